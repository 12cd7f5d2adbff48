"""A person at a terminal: the real kubectl against the cluster around this process."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

_SECONDS: Final = 60


class KubectlError(Exception):
    """kubectl said no; the message is what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """kubectl with a kubeconfig and a namespace, as one user.

    Attributes:
        program: where kubectl is.
        kubeconfig: whose cluster.
        namespace: where objects go that name none.
        acts_as: options that make it another user, such as ``--as=alice``.
    """

    program: Path
    kubeconfig: Path
    namespace: str = "default"
    acts_as: tuple[str, ...] = ()

    def within(self, namespace: str) -> Self:
        """Return the same person working in another namespace."""
        return replace(self, namespace=namespace)

    def impersonating(self, user: str, *groups: str) -> Self:
        """Return the administrator acting as another user."""
        return replace(self, acts_as=(f"--as={user}", *(f"--as-group={group}" for group in groups)))

    def __call__(self, *arguments: str, given: object = None) -> str:
        """Run kubectl, with a manifest or a list of them on its standard input, and return what it printed.

        Raises:
            KubectlError: it failed.
        """
        done = self.run(arguments, given)
        if done.returncode:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def json(self, *arguments: str, given: object = None) -> Any:
        """Run kubectl and return the object that it printed."""
        return json.loads(self(*arguments, "-o", "json", given=given))

    def refusal(self, *arguments: str, given: object = None) -> str:
        """Return the words with which kubectl failed.

        Raises:
            AssertionError: it did not.
        """
        done = self.run(arguments, given)
        assert done.returncode, f"kubectl {' '.join(arguments)} was not refused: {done.stdout}"
        return done.stderr

    def run(self, arguments: Sequence[str], given: object = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever comes of it."""
        options = (f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *self.acts_as)
        cache = self.kubeconfig.parent / "kubectl-cache"
        return subprocess.run(
            [str(self.program), *options, f"--cache-dir={cache}", *arguments],
            input=_text(given),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )


def _text(given: object) -> str:
    if isinstance(given, list):
        given = {"apiVersion": "v1", "kind": "List", "items": given}
    return "" if given is None else json.dumps(given)
