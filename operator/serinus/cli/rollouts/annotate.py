"""The verbs that command the operator by an annotation on the Rollout, and show what came of it.

They run the user's own kubectl, which supports every way to log in to a cluster.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Self

import click

from serinus.api.names import OVERRIDE_ANNOTATION, REASON_ANNOTATION, ROLLBACK_TO_ANNOTATION, Command
from serinus.cli.command import Decorator, Params, command, together
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place, read_json, run_kubectl
from serinus.cli.output import echo
from serinus.cli.rollouts.acknowledge import show_outcome
from serinus.cli.rollouts.options import RESOURCE, checked_name, name_argument, place_of, place_options
from serinus.cli.rollouts.outcome import COMMAND_ENDS, OK
from serinus.cli.rollouts.read import subject_of
from serinus.cli.times import parse_length
from serinus.engine.view.command_effect import GivenCommand
from serinus.errors import ConfigurationError

DEFAULT_WAIT: Final = timedelta(seconds=60)


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
        """Refuse an override without a reason, and a name that kubectl would take for an option: click.UsageError."""
        try:
            checked_name(self.name)
        except ConfigurationError as problem:
            raise click.UsageError(f"{problem}.") from problem
        if self.override and not self.reason.strip():
            raise click.UsageError("--override needs --reason: the audit trail and the report show both.")

    @classmethod
    def from_params(cls, verb: Command, params: Params) -> Self:
        """Return the options that were parsed; click.UsageError for an override without a reason."""
        return cls(
            command=verb,
            name=params["name"],
            place=place_of(params),
            reason=params["reason"],
            override=params.get("override", False),
            wait=wait_of(params),
        )


override_option: Final = click.option(
    "--override",
    is_flag=True,
    help="in an emergency: do without the approval that the plan asks for; needs --reason and the verb override",
)
"""The option for emergencies."""

wait_options: Final = together(
    click.option("--no-wait", is_flag=True, help="return when the command is written"),
    click.option(
        "--timeout", type=parse_length, default="60s", show_default=True, metavar="TIME", help="how long to wait"
    ),
)
"""The options that say how long the operator's answer is waited for."""

_reason_option: Final = click.option(
    "--reason", metavar="TEXT", default="", help="reason, for the status and the audit trail"
)


def _verb(verb: Command, about: str, *more: Decorator) -> click.Command:
    """Return the command that gives this command to the operator."""
    parameters = together(name_argument, place_options, _reason_option, *more, wait_options)
    made = command(verb.value, partial(AnnotateOptions.from_params, verb), about, statuses=COMMAND_ENDS)
    return made(parameters(annotate))


def wait_of(params: Params) -> timedelta | None:
    """Return how long the answer is waited for; None for not at all."""
    length: timedelta = params["timeout"]
    return None if params["no_wait"] else length


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


promote: Final = _verb(
    Command.PROMOTE,
    "let the run leave its stage: approve it or end its wait; the analysis must still pass",
    override_option,
)
pause: Final = _verb(Command.PAUSE, "hold the run in its stage; a breach still rolls back")
resume: Final = _verb(Command.RESUME, "continue a paused run")
abort: Final = _verb(Command.ABORT, "end the run and roll the candidate back")
retry: Final = _verb(Command.RETRY, "start a new run of a version that was rolled back")
