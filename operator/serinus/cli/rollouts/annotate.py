"""The verbs that command the operator by an annotation on the Rollout, and show what came of it.

They run the user's own kubectl, which supports every way to log in to a cluster.
"""

import argparse
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Self

from serinus.api.names import OVERRIDE_ANNOTATION, REASON_ANNOTATION, ROLLBACK_TO_ANNOTATION, Command
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place, read_json, run_kubectl
from serinus.cli.output import echo
from serinus.cli.rollouts.acknowledge import show_outcome
from serinus.cli.rollouts.options import RESOURCE, add_name, add_place, checked_name, place_of
from serinus.cli.rollouts.outcome import COMMAND_ENDS, OK
from serinus.cli.rollouts.read import subject_of
from serinus.cli.times import parse_length
from serinus.engine.view.command_effect import GivenCommand
from serinus.errors import ConfigurationError

DEFAULT_WAIT: Final = timedelta(seconds=60)

_VERBS: Final = {
    Command.PROMOTE: "let the run leave its stage: approve it or end its wait; the analysis must still pass",
    Command.PAUSE: "hold the run in its stage; a breach still rolls back",
    Command.RESUME: "continue a paused run",
    Command.ABORT: "end the run and roll the candidate back",
    Command.RETRY: "start a new run of a version that was rolled back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotateOptions:
    """Options of a verb that annotates a Rollout.

    Attributes:
        command: the command to the operator.
        name: of the Rollout.
        place: where it is.
        reason: why; may be empty.
        to: the version to go back to, of ``rollback`` only; None for the rollback target.
        override: do without the approval that the plan asks for, of ``promote`` and ``rollback`` only.
        wait: how long the operator may take to act on it; None where nobody waits.
    """

    command: Command
    name: str
    place: Place = field(default_factory=Place)
    reason: str
    to: str | None = None
    override: bool = False
    wait: timedelta | None = DEFAULT_WAIT

    def __post_init__(self) -> None:
        """Refuse an override without a reason, and a name that kubectl would take for an option: ConfigurationError."""
        checked_name(self.name)
        if self.override and not self.reason.strip():
            raise ConfigurationError("--override needs --reason: the audit trail and the report show both")

    @classmethod
    def from_args(cls, command: Command, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; ConfigurationError for an override without a reason."""
        return cls(
            command=command,
            name=args.name,
            place=place_of(args),
            reason=args.reason,
            override=getattr(args, "override", False),
            wait=wait_of(args),
        )


def add_parser(verbs: Subparsers) -> None:
    """Add the verbs."""
    for command, explanation in _VERBS.items():
        parser = verbs.add_parser(command.value, help=explanation, description=explanation)
        add_name(parser)
        add_place(parser)
        parser.add_argument("--reason", default="", help="reason, for the status and the audit trail")
        if command is Command.PROMOTE:
            add_override(parser)
        add_wait(parser)
        set_handler(parser, partial(AnnotateOptions.from_args, command), annotate, statuses=COMMAND_ENDS)


def add_override(parser: argparse.ArgumentParser) -> None:
    """Add the option for emergencies."""
    parser.add_argument(
        "--override",
        action="store_true",
        help="in an emergency: do without the approval that the plan asks for; needs --reason and the verb override",
    )


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how long the operator's answer is waited for."""
    parser.add_argument("--no-wait", action="store_true", help="return when the command is written")
    parser.add_argument(
        "--timeout", type=parse_length, default=DEFAULT_WAIT, metavar="TIME", help="how long to wait (default: 60s)"
    )


def wait_of(args: argparse.Namespace) -> timedelta | None:
    """Return how long the answer is waited for; None for not at all."""
    length: timedelta = args.timeout
    return None if args.no_wait else length


def annotate(options: AnnotateOptions, context: CliContext) -> int:
    """Annotate the Rollout, print the annotation, wait for what comes of it, and return the exit status.

    The annotation's value is the reason and the time, so that the same command can be given twice.

    Raises:
        KubectlError: with kubectl's own message.
    """
    value = token_of(options, context.clock.now())
    words = ["annotate", RESOURCE, options.name, *_changes(options, value)]
    written = f"Rollout {options.name}: {options.command.annotation}={value}"
    if options.wait is None:
        run_kubectl(words)
        echo(written)
        echo(f"Check the outcome: kubectl serinus status {options.name}")
        return OK
    # The API server answers with the status as it was when the annotation was written.
    before = subject_of(read_json(words))
    echo(written)
    given = GivenCommand(command=options.command, token=value, before=before.status)
    return show_outcome(given, before.key, options.place, options.wait, context)


def token_of(options: AnnotateOptions, now: datetime) -> str:
    """Return the annotation's value."""
    return f"{options.reason or options.command.value} ({now:%Y-%m-%dT%H:%M:%SZ})"


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
    return arguments + options.place.words
