"""The verbs that ask the operator for something by an annotation on the Rollout.

They go through the user's own kubectl, which knows every way to log in to a cluster.
"""

import argparse
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Self

from serinus.api.names import REASON_ANNOTATION, ROLLBACK_TO_ANNOTATION, ROLLOUT, Command
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.output import echo
from serinus.cli.session import CliContext
from serinus.errors import SerinusError

OK: Final = 0
TIMEOUT: Final = 30.0

_VERBS: Final = {
    Command.PROMOTE: "let the run leave its stage: gives the approval, or ends the wait; the evidence is still needed",
    Command.PAUSE: "let the run stay where it is; a breach still rolls back",
    Command.RESUME: "let a paused run go on",
    Command.ABORT: "end the run and roll the candidate back",
    Command.RETRY: "start a version again that was rolled back",
}


class KubectlError(SerinusError):
    """kubectl is not there or did not do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """Options of a verb that annotates a Rollout.

    Attributes:
        command: what the operator is asked for.
        name: the Rollout.
        namespace: its namespace; None for kubectl's current one.
        kube_context: the kubeconfig context; None for kubectl's current one.
        reason: why; may be empty.
        to: the version to go back to, of ``rollback`` only; None for the rollback target.
    """

    command: Command
    name: str
    namespace: str | None
    kube_context: str | None
    reason: str
    to: str | None = None

    @classmethod
    def from_args(cls, command: Command, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(
            command=command,
            name=args.name,
            namespace=args.namespace,
            kube_context=args.context,
            reason=args.reason,
        )


def add_parsers(verbs: Subparsers) -> None:
    """Add the verbs that only annotate a Rollout."""
    for command, explanation in _VERBS.items():
        parser = verbs.add_parser(command.value, help=explanation, description=explanation)
        parser.add_argument("name", help="the Rollout")
        parser.add_argument("-n", "--namespace", help="its namespace; kubectl's current one where it is not given")
        parser.add_argument("--context", help="the kubeconfig context")
        parser.add_argument("--reason", default="", help="why, for the status and the audit trail")
        set_handler(parser, partial(AnnotateOptions.from_args, command), _run)


def _run(options: AnnotateOptions, _: CliContext) -> int:
    annotate(options)
    return OK


def annotate(options: AnnotateOptions) -> None:
    """Annotate the Rollout and print what was written.

    The token is the reason and the time, so that the same command can be given twice.

    Raises:
        KubectlError: with kubectl's own words.
    """
    token = f"{options.reason or options.command.value} ({datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ})"
    _kubectl(["annotate", f"{ROLLOUT.plural}.{ROLLOUT.group}", options.name, *_changes(options, token)])
    echo(f"Rollout {options.name}: {options.command.annotation}={token}")
    echo(f"See what came of it: kubectl describe mro {options.name}")


def _changes(options: AnnotateOptions, token: str) -> list[str]:
    """Return kubectl's arguments for the annotations; one that ends with a dash is removed."""
    words = [
        "--overwrite",
        f"{options.command.annotation}={token}",
        # A reason belongs to one command: that of the command before must not stand beside this one.
        f"{REASON_ANNOTATION}={options.reason}" if options.reason else f"{REASON_ANNOTATION}-",
    ]
    if options.command is Command.ROLLBACK:
        target = f"={options.to.removeprefix('v')}" if options.to else "-"
        words.append(f"{ROLLBACK_TO_ANNOTATION}{target}")
    words += ["--namespace", options.namespace] if options.namespace else []
    words += ["--context", options.kube_context] if options.kube_context else []
    return words


def _kubectl(words: list[str]) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise KubectlError("kubectl is not on PATH: install it, or annotate the Rollout with your own client")
    try:
        done = subprocess.run([kubectl, *words], capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired as problem:
        raise KubectlError(
            f"kubectl did not answer within {TIMEOUT:g} s, so the annotation may or may not be there: look with "
            "kubectl describe mro, then ask again"
        ) from problem
    except OSError as problem:
        raise KubectlError(f"kubectl could not be started: {problem}") from problem
    if done.returncode != 0:
        raise KubectlError(done.stderr.strip() or f"kubectl ended with {done.returncode}")
