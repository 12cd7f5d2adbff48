"""What a simulation against a recording shows: the decision, and each condition's verdicts over time."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from serinus.cli.simulate.alternatives import Alternative
from serinus.cli.simulate.view import Chart, Mark, Series, View
from serinus.engine.analysis.text import evidence, number
from serinus.engine.simulation.outcomes import End
from serinus.engine.simulation.replay import Point, Replay

_POINTS: Final = 300
"""Points of a line; evidence between them is left out, the highest of each part stays."""

_VERDICTS: Final = 8
"""Changes of a condition's verdict that a table shows."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One alternative and what it would have done."""

    alternative: Alternative
    replay: Replay


def recorded_view(rollout: str, version: str, began: datetime, results: Sequence[Replayed]) -> View:
    """Return what people see of these results."""
    rows: list[tuple[str, tuple[str, ...]]] = [
        ("decision", tuple(_decision(one.replay) for one in results)),
        ("at minute", tuple(_minute(one.replay) for one in results)),
        ("at tick", tuple(_tick(one.replay) for one in results)),
        ("on", tuple(one.replay.message or "-" for one in results)),
        ("requests", tuple(number(one.replay.outcome.requests) for one in results)),
        ("harmed", tuple(number(one.replay.outcome.harmed) for one in results)),
    ]
    lines = dict.fromkeys(point.condition for one in results for point in one.replay.points)
    rows += [(line, tuple(_verdicts(one.replay, line, began) for one in results)) for line in lines]
    return View(
        title=f"{rollout}: {version} as recorded from {began:%Y-%m-%d %H:%M:%SZ}",
        lead=("Minutes count from the beginning of the first stage with traffic.",),
        columns=tuple(one.alternative.name for one in results),
        rows=tuple(rows),
        remarks=_remarks(results),
        charts=tuple(chart for one in results for chart in _charts(one, began, named=len(results) > 1)),
    )


def _decision(replay: Replay) -> str:
    match replay.outcome.end:
        case End.ROLLED_BACK:
            return f"rolled back in {replay.outcome.stage}"
        case End.PROMOTED:
            return "promoted"
        case End.UNDECIDED:
            return f"undecided in {replay.outcome.stage}: the recording ends"


def _minute(replay: Replay) -> str:
    after = replay.outcome.after
    return "-" if after is None else f"{after.total_seconds() / 60:.2f}"


def _tick(replay: Replay) -> str:
    return "-" if replay.decided_at is None else f"{replay.decided_at:%H:%M:%S.%f}"[:-3] + "Z"


def _verdicts(replay: Replay, line: str, began: datetime) -> str:
    mine = [point for point in replay.points if point.condition == line]
    told = []
    for word, same in itertools.groupby(mine, key=_word):
        first = next(iter(same))
        told.append(f"{word} from min {(first.at - began).total_seconds() / 60:.1f}")
    left = len(told) - _VERDICTS
    return "; ".join(told[:_VERDICTS]) + (f"; {left} more" if left > 0 else "") or "-"


def _word(point: Point) -> str:
    return point.verdict.value if point.cause is None else point.cause.value


def _remarks(results: Sequence[Replayed]) -> tuple[str, ...]:
    return tuple(
        f"{one.alternative.name}: the requests are those of the recording, whatever share the plan gives the candidate."
        for one in results[1:]
    )


def _charts(result: Replayed, began: datetime, *, named: bool) -> tuple[Chart, ...]:
    points = [point for point in result.replay.points if point.evidence is not None]
    lines = dict.fromkeys(point.condition for point in points if not point.guard)
    if not lines:
        return ()
    needed = points[0].needed
    marks: tuple[Mark, ...] = ()
    if result.replay.outcome.after is not None:
        minutes = result.replay.outcome.after.total_seconds() / 60
        marks = (Mark(minutes, _decision(result.replay)),)
    series = tuple(
        Series(line, _thinned([point for point in points if point.condition == line], began)) for line in lines
    )
    name = f", {result.alternative.name}" if named else ""
    return (
        Chart(
            title=f"Evidence by minute{name}",
            unit="E, logarithmic",
            series=series,
            limit=(needed, f"{evidence(needed)} is a breach"),
            marks=marks,
            logarithmic=True,
        ),
    )


def _thinned(points: Sequence[Point], began: datetime) -> tuple[tuple[float, float], ...]:
    size = max(1, len(points) // _POINTS)
    parts = [points[first : first + size] for first in range(0, len(points), size)]
    highest = [max(part, key=lambda point: point.evidence or 0.0) for part in parts]
    return tuple(((one.at - began).total_seconds() / 60, one.evidence or 0.0) for one in highest)


def recorded_json(rollout: str, began: datetime, results: Sequence[Replayed]) -> dict[str, Any]:
    """Return the results for programs."""
    return {
        "rollout": rollout,
        "began": began.isoformat(),
        "alternatives": [
            {
                "name": one.alternative.name,
                "end": one.replay.outcome.end.value,
                "stage": one.replay.outcome.stage,
                "decidedAt": one.replay.decided_at.isoformat() if one.replay.decided_at is not None else None,
                "condition": one.replay.outcome.condition,
                "evidence": one.replay.outcome.evidence,
                "message": one.replay.message,
                "requests": one.replay.outcome.requests,
                "harmed": one.replay.outcome.harmed,
                "verdicts": [_point_json(point) for point in _changes(one.replay)],
            }
            for one in results
        ],
    }


def _changes(replay: Replay) -> list[Point]:
    """Return the points at which a condition's verdict changed, and the last one of each condition."""
    kept: dict[str, Point] = {}
    found = []
    for point in replay.points:
        before = kept.get(point.condition)
        if before is None or (before.stage, _word(before)) != (point.stage, _word(point)):
            found.append(point)
        kept[point.condition] = point
    return [*found, *(point for point in kept.values() if point not in found)]


def _point_json(point: Point) -> dict[str, Any]:
    return {
        "at": point.at.isoformat(),
        "stage": point.stage,
        "condition": point.condition,
        "verdict": point.verdict.value,
        "cause": point.cause.value if point.cause is not None else None,
        "value": point.value,
        "requests": point.requests,
        "bad": point.bad,
        "evidence": point.evidence,
        "needed": point.needed,
        "message": point.message,
    }
