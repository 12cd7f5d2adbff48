"""The user's own kubectl, which supports every way to log in to a cluster, and starts faster than a client library."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from serinus.api.names import ROLLOUT
from serinus.errors import SerinusError

TIMEOUT: Final = 30.0
"""Seconds that one call may take, the login included."""

_LOCAL: Final = 10.0
"""Seconds for what kubectl reads from the kubeconfig alone."""

LONGEST_ANSWER: Final = 512 * 1024 * 1024
"""Characters: 10,000 Rollouts with everything in their status are less."""


_LOG: Final = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.")
_NO_ROLLOUT: Final = re.compile(
    rf'Error from server \(NotFound\): {ROLLOUT.plural}\.{re.escape(ROLLOUT.group)} "([^"\s]+)" not found'
)
DEFAULT_NAMESPACE: Final = "default"
"""The namespace that kubectl takes where neither an option nor the kubeconfig names one."""


class KubectlError(SerinusError):
    """kubectl is missing or failed."""


class KubectlMissingError(KubectlError):
    """kubectl is not on PATH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an object is.

    Attributes:
        namespace: None for kubectl's current one.
        kube_context: the kubeconfig context; None for kubectl's current one.
    """

    namespace: str | None = None
    kube_context: str | None = None

    @property
    def words(self) -> list[str]:
        """The options of kubectl for it."""
        namespace = ["--namespace", self.namespace] if self.namespace else []
        return namespace + (["--context", self.kube_context] if self.kube_context else [])


def find_kubectl() -> str:
    """Return where kubectl is; KubectlMissingError if it is not on PATH."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise KubectlMissingError("kubectl is not on PATH: install it, or annotate the Rollout with your own client")
    return kubectl


def run_kubectl(
    arguments: list[str], *, given: str | None = None, seconds: float | None = None, longest: int = LONGEST_ANSWER
) -> str:
    """Run kubectl and return what it printed.

    Args:
        arguments: its words.
        given: what it reads on standard input.
        seconds: how long it may take; ``TIMEOUT`` where this is None.
        longest: how many characters it may print.

    Raises:
        KubectlError: with kubectl's own message; kubectl is missing or has failed.
    """
    kubectl, most = find_kubectl(), TIMEOUT if seconds is None else seconds
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            [kubectl, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=most,
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired as problem:
        raise _too_slow(arguments, most) from problem
    except OSError as problem:
        raise KubectlError(f"kubectl could not be started: {problem}") from problem
    return _printed(arguments, done.returncode, done.stdout, done.stderr, longest)


def current_namespace(kube_context: str | None = None) -> str:
    """Return the namespace of a kubeconfig context; empty where it names none, or kubectl does not answer soon.

    Args:
        kube_context: the context; None for kubectl's current one.
    """
    context = ["--context", kube_context] if kube_context else []
    try:
        words = ["config", "view", "--minify", "--output=jsonpath={..namespace}", *context]
        return run_kubectl(words, seconds=_LOCAL).strip()
    except KubectlError:
        return ""


def start_json(arguments: list[str]) -> Callable[[], dict[str, Any]]:
    """Start kubectl, and return what waits for it and returns the object that it prints as JSON.

    Both raise KubectlError; the latter as :func:`read_json`.
    """
    words = [find_kubectl(), *arguments, "--output=json"]
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )
    except OSError as problem:
        raise KubectlError(f"kubectl could not be started: {problem}") from problem

    def result() -> dict[str, Any]:
        with process:
            try:
                out, err = process.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired as problem:
                process.kill()
                raise _too_slow(arguments, TIMEOUT) from problem
            except BaseException:
                process.kill()
                raise
        return _object(arguments, _printed(arguments, process.returncode, out, err, LONGEST_ANSWER))

    return result


def _too_slow(arguments: list[str], seconds: float) -> KubectlError:
    written = " and may have written the annotation: check with kubectl describe mro before you try again"
    then = written if arguments[0] == "annotate" else ": check the connection to the cluster"
    return KubectlError(f"kubectl did not answer within {seconds:g} s{then}")


def _printed(arguments: list[str], status: int, out: str, err: str, longest: int) -> str:
    if status != 0:
        raise KubectlError(problem_of(err, arguments) or f"kubectl failed with exit status {status}")
    if len(out) > longest:
        raise KubectlError(f"kubectl printed more than {longest:,} characters: ask for one namespace")
    return out


def problem_of(err: str, arguments: list[str]) -> str:
    """Return what kubectl said on standard error; of a Rollout that is not there also where it was looked for."""
    said = without_log(err)
    missing = _NO_ROLLOUT.fullmatch(said)
    if missing is None:
        return said
    given = _option("--namespace", arguments)
    namespace = given or current_namespace(_option("--context", arguments)) or DEFAULT_NAMESPACE
    remedy = "`serinus list -A` shows all namespaces" if given else "name its namespace with -n"
    return f"no Rollout {missing[1]} in namespace {namespace}: {remedy}"


def _option(name: str, arguments: list[str]) -> str | None:
    """Return the value of one of the options of a :class:`Place`; None where it is not given."""
    at = arguments.index(name) + 1 if name in arguments else len(arguments)
    return arguments[at] if at < len(arguments) else None


def without_log(text: str) -> str:
    """Return what kubectl printed on standard error without the log lines of its libraries (klog's format)."""
    return "\n".join(line for line in text.splitlines() if _LOG.match(line) is None).strip()


def read_json(arguments: list[str]) -> dict[str, Any]:
    """Return the object that kubectl prints as JSON.

    Raises:
        KubectlError: kubectl fails, or prints something else.
    """
    return _object(arguments, run_kubectl([*arguments, "--output=json"]))


def _object(arguments: list[str], text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise KubectlError(f"kubectl {arguments[0]} did not print JSON: {problem}") from problem
    if not isinstance(answer, dict):
        raise KubectlError(f"kubectl {arguments[0]} did not print an object")
    return answer
