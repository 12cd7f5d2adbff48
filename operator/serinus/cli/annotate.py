"""The verbs that command the operator by an annotation on the Rollout.

They run the user's own kubectl, which supports every way to log in to a cluster.
"""

import argparse
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Self

from serinus.api.names import OVERRIDE_ANNOTATION, REASON_ANNOTATION, ROLLBACK_TO_ANNOTATION, ROLLOUT, Command
from serinus.api.schema import SUBDOMAIN, in_python
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.output import echo
from serinus.cli.session import CliContext
from serinus.errors import ConfigurationError, SerinusError

OK: Final = 0
TIMEOUT: Final = 30.0

_VERBS: Final = {
    Command.PROMOTE: "let the run leave its stage: approve it or end its wait; the analysis must still pass",
    Command.PAUSE: "hold the run in its stage; a breach still rolls back",
    Command.RESUME: "continue a paused run",
    Command.ABORT: "end the run and roll the candidate back",
    Command.RETRY: "start a new run of a version that was rolled back",
}


class KubectlError(SerinusError):
    """kubectl is missing or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """Options of a verb that annotates a Rollout.

    Attributes:
        command: the command to the operator.
        name: of the Rollout.
        namespace: its namespace; None for kubectl's current one.
        kube_context: the kubeconfig context; None for kubectl's current one.
        reason: why; may be empty.
        to: the version to go back to, of ``rollback`` only; None for the rollback target.
        override: do without the approval that the plan asks for, of ``promote`` and ``rollback`` only.
    """

    command: Command
    name: str
    namespace: str | None
    kube_context: str | None
    reason: str
    to: str | None = None
    override: bool = False

    def __post_init__(self) -> None:
        """Refuse an override without a reason, and a name that kubectl would take for an option: ConfigurationError."""
        if re.fullmatch(in_python(SUBDOMAIN), self.name) is None:
            raise ConfigurationError(f"{self.name!r} is not the name of a Rollout: give --namespace on its own")
        if self.override and not self.reason.strip():
            raise ConfigurationError("--override needs --reason: the audit trail and the report show both")

    @classmethod
    def from_args(cls, command: Command, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; ConfigurationError for an override without a reason."""
        return cls(
            command=command,
            name=args.name,
            namespace=args.namespace,
            kube_context=args.context,
            reason=args.reason,
            override=getattr(args, "override", False),
        )


def add_parsers(verbs: Subparsers) -> None:
    """Add the verbs."""
    for command, explanation in _VERBS.items():
        parser = verbs.add_parser(command.value, help=explanation, description=explanation)
        parser.add_argument("name", help="name of the Rollout")
        parser.add_argument("-n", "--namespace", help="namespace of the Rollout (default: kubectl's current one)")
        parser.add_argument("--context", help="kubeconfig context (default: the current one)")
        parser.add_argument("--reason", default="", help="reason, for the status and the audit trail")
        if command is Command.PROMOTE:
            add_override(parser)
        set_handler(parser, partial(AnnotateOptions.from_args, command), _run)


def add_override(parser: argparse.ArgumentParser) -> None:
    """Add the option for emergencies."""
    parser.add_argument(
        "--override",
        action="store_true",
        help="in an emergency: do without the approval that the plan asks for; needs --reason and the verb override",
    )


def _run(options: AnnotateOptions, _: CliContext) -> int:
    annotate(options)
    return OK


def annotate(options: AnnotateOptions) -> None:
    """Annotate the Rollout and print the annotation.

    Its value is the reason and the time, so that the same command can be given twice.

    Raises:
        KubectlError: with kubectl's own message.
    """
    value = f"{options.reason or options.command.value} ({datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ})"
    run_kubectl(["annotate", f"{ROLLOUT.plural}.{ROLLOUT.group}", options.name, *_changes(options, value)])
    echo(f"Rollout {options.name}: {options.command.annotation}={value}")
    echo(f"Check the outcome: kubectl describe mro {options.name}")


def _changes(options: AnnotateOptions, value: str) -> list[str]:
    """Return kubectl's arguments for the annotations; one that ends with a dash is removed."""
    arguments = [
        "--overwrite",
        f"{options.command.annotation}={value}",
        # A reason belongs to one command: remove that of an earlier one.
        f"{REASON_ANNOTATION}={options.reason}" if options.reason else f"{REASON_ANNOTATION}-",
    ]
    if options.command in {Command.PROMOTE, Command.ROLLBACK}:
        # The text is new each time, as that of a command is: each override counts for one command.
        arguments.append(f"{OVERRIDE_ANNOTATION}={value}" if options.override else f"{OVERRIDE_ANNOTATION}-")
    if options.command is Command.ROLLBACK:
        target = f"={options.to.removeprefix('v')}" if options.to else "-"
        arguments.append(f"{ROLLBACK_TO_ANNOTATION}{target}")
    arguments += ["--namespace", options.namespace] if options.namespace else []
    arguments += ["--context", options.kube_context] if options.kube_context else []
    return arguments


def run_kubectl(arguments: list[str]) -> None:
    """Run the user's kubectl; KubectlError with its own message where it is missing or fails."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise KubectlError("kubectl is not on PATH: install it, or annotate the Rollout with your own client")
    try:
        done = subprocess.run([kubectl, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired as problem:
        raise KubectlError(
            f"kubectl did not answer within {TIMEOUT:g} s and may have written the annotation: check with "
            "kubectl describe mro before you try again"
        ) from problem
    except OSError as problem:
        raise KubectlError(f"kubectl could not be started: {problem}") from problem
    if done.returncode != 0:
        raise KubectlError(done.stderr.strip() or f"kubectl failed with exit status {done.returncode}")
