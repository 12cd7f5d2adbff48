"""Waits until the operator has acted on a command, and shows what came of it."""

import re
import sys
from datetime import timedelta
from typing import Any, Final

from serinus.api.names import Command, ObjectKey
from serinus.cli.context import CliContext
from serinus.cli.kubectl import KubectlError, Place, read_json
from serinus.cli.output import echo, echo_error, write_screen
from serinus.cli.rollouts.follow import follow
from serinus.cli.rollouts.outcome import ERROR, OK, ROLLED_BACK, TIMED_OUT, WAITS
from serinus.cli.rollouts.read import subject_of
from serinus.cli.rollouts.status_text import status_lines
from serinus.cli.screen import Look, render
from serinus.engine.view.command_effect import Effect, GivenCommand, effect_of, story_of
from serinus.engine.view.rollout import view_of
from serinus.engine.view.standing import Standing, Subject, standing_of

_TICK: Final = 1.0
_PATIENCE: Final = 5
"""Ticks after which a command that had no effect is taken as ignored although no event says so: events may be late."""

_IS_IT_RUNNING: Final = "See `serinus check`, `kubectl -n serinus-system get pods` and `kubectl get lease -A`."
_BY_HAND: Final = "Until it runs, weights change by hand only: see docs/how-to/break-glass.md, The operator is down."

_TOWARDS_SAFETY: Final = frozenset({Command.ABORT, Command.ROLLBACK})
_TIME: Final = re.compile(r"\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)Z\)$")


def show_outcome(given: GivenCommand, key: ObjectKey, place: Place, wait: timedelta, context: CliContext) -> int:
    """Wait for the operator's answer, show the Rollout as it then is, and return the exit status.

    A rollback is waited for until the gateway has accepted it.
    """
    last: Subject | None = None
    effect, without = Effect.PENDING, 0
    for raw in follow(key.name, place, seconds=wait.total_seconds(), tick=_TICK):
        last = subject_of(raw) if raw is not None else last
        if last is None:
            continue
        effect = effect_of(given, last.status)
        if effect is Effect.DONE:
            _show(last, context)
            return status_after(given.command, standing_of(last))
        if effect is Effect.NONE:
            said = refusal(given, key, place)
            without += raw is None
            if said or without >= _PATIENCE:
                why = f"{given.command.value} was acknowledged and had no effect: kubectl describe mro {key.name}"
                _say(said or why, story_of(last.status))
                return ERROR
    if last is not None:
        _show(last, context)
    _say(*_late(given.command, effect, wait))
    return TIMED_OUT


def _late(command: Command, effect: Effect, wait: timedelta) -> tuple[str, ...]:
    """Return how far a command is that took too long, line by line; without an operator, what a person can do."""
    length = f"{wait.total_seconds():g} s"
    if effect is not Effect.PENDING:
        return (f"{command.value}: {effect.value}; that is all within {length}",)
    return (
        f"{command.value} is written, and the operator has not acted on it within {length}: is it running?",
        _IS_IT_RUNNING,
        _BY_HAND,
    )


def _say(problem: str, *more: str) -> None:
    """Print an error on standard error, and further lines below it."""
    echo_error(problem)
    for line in more:
        if line:
            echo(line, err=True)


def _show(subject: Subject, context: CliContext) -> None:
    look, now = Look.of(sys.stdout, context.environment), context.clock.now()
    echo("")
    write_screen(render(status_lines(view_of(subject, now), now, look), look))


def status_after(command: Command, standing: Standing) -> int:
    """Return the exit status of a command that had its effect: an effect that was asked for is not a failure."""
    if standing is Standing.FAILED:
        return OK if command in _TOWARDS_SAFETY else ROLLED_BACK
    if standing is Standing.WAITS:
        return OK if command is Command.PAUSE or command in _TOWARDS_SAFETY else WAITS
    return OK


def refusal(given: GivenCommand, key: ObjectKey, place: Place) -> str:
    """Return why the operator has not done it, as its event says; empty where there is no such event yet."""
    where = Place(namespace=key.namespace, kube_context=place.kube_context)
    about = f"--field-selector=regarding.kind=Rollout,regarding.name={key.name}"
    try:
        events = read_json(["get", "events.events.k8s.io", about, *where.words])
    except KubectlError:
        # Whoever may annotate a Rollout need not be allowed to read events.
        return ""
    items = events.get("items")
    notes = [_note(event, given) for event in items] if isinstance(items, list) else []
    return next((note for note in reversed(notes) if note), "")


def _note(event: object, given: GivenCommand) -> str:
    """Return what an event says of this command: from the sentence about it on, without the run before it."""
    if not isinstance(event, dict) or _last_time(event) < _written(given.token):
        return ""
    note, verb = str(event.get("note") or ""), given.command
    match event.get("reason"):
        case "CommandIgnored":
            begin = note.find(f"{verb.value} was ignored")
        case "ApprovalRefused" if verb is Command.PROMOTE:
            begin = note.find("The approval does not count")
        case _:
            begin = -1
    return note[begin:] if begin >= 0 else ""


def _last_time(event: dict[str, Any]) -> str:
    """Return when the event was seen last, to the second: one that comes again is counted in a series."""
    series = event.get("series")
    last = series.get("lastObservedTime") if isinstance(series, dict) else None
    return str(last or event.get("eventTime") or "")[:19]


def _written(token: str) -> str:
    """Return when the token was made, to the second and in the form of an event's time; both are UTC."""
    found = _TIME.search(token)
    return found[1] if found is not None else ""
