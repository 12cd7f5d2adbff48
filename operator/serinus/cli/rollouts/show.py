"""Shows one Rollout, once or after each change, and returns the exit status for where it stands."""

import json
import shutil
import sys
from collections.abc import Iterator
from typing import Final, assert_never

from serinus.cli.context import CliContext
from serinus.cli.kubectl import KubectlError, Place
from serinus.cli.output import echo, write_screen
from serinus.cli.rollouts.follow import follow
from serinus.cli.rollouts.options import RESOURCE, Output
from serinus.cli.rollouts.outcome import OK, ROLLED_BACK, TIMED_OUT, WAITS
from serinus.cli.rollouts.read import Raw, subject_of, without_managed_fields
from serinus.cli.rollouts.status_text import status_lines
from serinus.cli.screen import Look, render
from serinus.engine.view.rollout import view_of
from serinus.engine.view.standing import Standing, Subject, is_over, standing_of

_TICK: Final = 1.0
"""Seconds after which the ages on the screen are drawn anew."""

_TO_TOP: Final = "\x1b[H"
_TO_END_OF_LINE: Final = "\x1b[K"
_TO_END: Final = "\x1b[J"
"""Cursor to the first column of the first line; erase the rest of the line, of the screen (ECMA-48, 8.3)."""


def status_of(standing: Standing) -> int:
    """Return the exit status for where a Rollout stands."""
    match standing:
        case Standing.HEALTHY | Standing.RUNNING | Standing.PENDING:
            return OK
        case Standing.FAILED:
            return ROLLED_BACK
        case Standing.WAITS:
            return WAITS
        case _:
            assert_never(standing)


def show_rollout(raw: Raw, output: Output, context: CliContext) -> int:
    """Show the Rollout as it is and return the exit status; InvalidObjectError if it cannot be read."""
    subject = subject_of(raw)
    write_screen(shown(raw, subject, output, context))
    return status_of(standing_of(subject))


def shown(raw: Raw, subject: Subject, output: Output, context: CliContext, rows: int | None = None) -> str:
    """Return the Rollout in the form that was asked for; a screen in so many rows if it can be."""
    match output:
        case Output.JSON:
            return f"{json.dumps(without_managed_fields(raw), indent=2)}\n"
        case Output.YAML:
            from serinus.yaml_output import to_yaml  # noqa: PLC0415 - the other forms need no YAML

            return to_yaml(without_managed_fields(raw))
        case Output.NAME:
            return f"{RESOURCE.replace('rollouts', 'rollout')}/{subject.key.name}\n"
        case Output.TEXT | Output.WIDE:
            look, now = Look.of(sys.stdout, context.environment), context.clock.now()
            return render(status_lines(view_of(subject, now), now, look, wide=output is Output.WIDE, rows=rows), look)


def follow_rollout(name: str, place: Place, output: Output, timeout: float | None, context: CliContext) -> int:
    """Show the Rollout after each change until its run is over, and return the exit status.

    A terminal shows one screen that is drawn anew; into a pipe goes one screen for each change of what it says first.
    """
    screen = output in {Output.TEXT, Output.WIDE} and sys.stdout.isatty()
    last: tuple[Raw, Subject] | None = None
    before = ""
    for raw, subject in _changes(name, place, timeout):
        last = raw, subject
        rows = shutil.get_terminal_size().lines - 1 if screen and not is_over(subject) else None
        text = shown(raw, subject, output, context, rows)
        if screen:
            write_screen(redrawn(text, rows))
        elif (said := _said_first(subject)) != before:
            before = said
            write_screen(text)
        if is_over(subject):
            return status_of(standing_of(subject))
    if last is None:
        raise KubectlError(f"kubectl did not answer within {timeout or 0:g} s")
    waits = standing_of(last[1]) is Standing.WAITS
    echo(f"serinus: the run of {name} was not over within {timeout or 0:g} s", err=True)
    return WAITS if waits else TIMED_OUT


def redrawn(text: str, rows: int | None) -> str:
    """Return a screen that is drawn over the one before, cut to so many rows so that it does not scroll."""
    lines = text.splitlines()
    if rows is not None and len(lines) > rows:
        more = len(lines) - rows + 1
        lines = [*lines[: max(0, rows - 1)], f"({more} more lines: make the window higher)"]
    return _TO_TOP + "".join(f"{line}{_TO_END_OF_LINE}\n" for line in lines) + _TO_END


def _changes(name: str, place: Place, timeout: float | None) -> Iterator[tuple[Raw, Subject]]:
    """Yield the Rollout after each change, and again at each tick of the clock."""
    last: tuple[Raw, Subject] | None = None
    for raw in follow(name, place, seconds=timeout, tick=_TICK):
        if raw is not None:
            last = raw, subject_of(raw)
        if last is not None:
            yield last


def _said_first(subject: Subject) -> str:
    """Return what must change so that a pipe gets another screen: not the figures, which change all the time."""
    status = subject.status
    stage = f"{status.stage.name} {status.stage.state}" if status.stage is not None else ""
    return f"{subject.observed} {status.phase} {status.reason} {stage} {status.run}"
