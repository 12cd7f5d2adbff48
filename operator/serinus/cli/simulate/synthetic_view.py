"""What a simulation against synthetic traffic shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from serinus.cli.simulate.alternatives import Alternative
from serinus.cli.simulate.view import Chart, Series, View
from serinus.engine.analysis.text import evidence, number, percent, span
from serinus.engine.simulation.outcomes import Cause, End, Proportion, Spread, Summary
from serinus.engine.simulation.plan import SimulatedPlan
from serinus.engine.simulation.search import Smallest
from serinus.engine.simulation.traffic import Traffic

_POINTS = 120
"""Steps of a chart over the minutes."""

_CAUSES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One alternative and what became of its runs.

    Attributes:
        alternative: the plan.
        plan: what was run of it.
        summary: of all runs.
        smallest: by kind of regression, the smallest one that is found; None where none is.
    """

    alternative: Alternative
    plan: SimulatedPlan
    summary: Summary
    smallest: Mapping[str, Smallest | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What was simulated.

    Attributes:
        rollout: the Rollout's name.
        traffic: the requests.
        runs: how many for each alternative.
        seed: of the random numbers.
        most: how long each run was simulated at most.
    """

    rollout: str
    traffic: Traffic
    runs: int
    seed: int
    most: timedelta


def synthetic_view(setting: Setting, results: Sequence[Result]) -> View:
    """Return what people see of these results."""
    rows: list[tuple[str, tuple[str, ...]]] = [
        (name.rstrip(), tuple(cell(one.summary) for one in results)) for name, cell in _ROWS.items()
    ]
    kinds = results[0].smallest
    rows += [
        (f"finds {kind} of", tuple(_smallest(one.smallest[kind]) for one in results if kind in one.smallest))
        for kind in kinds
        if all(kind in one.smallest for one in results)
    ]
    return View(
        title=f"{setting.rollout}: {setting.runs:,} simulated runs",
        lead=_lead(setting, results[0]),
        columns=tuple(one.alternative.name for one in results),
        rows=tuple(rows),
        remarks=_remarks(setting, results),
        charts=_charts(results),
    )


def _lead(setting: Setting, first: Result) -> tuple[str, ...]:
    traffic, candidate = setting.traffic, setting.traffic.candidate
    bursts = "one by one" if traffic.burst <= 1 else f"{traffic.burst} at a time"
    stages = ", ".join(
        f"{stage.name} {stage.traffic} for {span(stage.watch.value)}" for stage in first.plan.spec.stages
    )
    return (
        (
            f"Candidate: {percent(candidate.errors)} errors ({bursts}), p95 {1000 * candidate.p95:g}ms; "
            f"{traffic.per_second:g} requests/s in all, scraped every {span(first.plan.scrape_interval)}; "
            f"seed {setting.seed}."
        ),
        f"Plan: {stages}. Minutes count from the first of these stages on.",
    )


def _chance(end: End) -> Callable[[Summary], str]:
    def cell(summary: Summary) -> str:
        found = summary.ending(end)
        return f"{percent(found.share)} ({_interval(found)})"

    return cell


def _interval(found: Proportion) -> str:
    low, high = found.interval
    return f"{100 * low:.1f}-{100 * high:.1f}%"


def _spread(end: End, figure: Callable[[Summary, End], Spread | None], unit: str = "") -> Callable[[Summary], str]:
    def cell(summary: Summary) -> str:
        found = figure(summary, end)
        return "-" if found is None else f"{number(round(found.median, 1))}{unit}, {number(round(found.p95, 1))}{unit}"

    return cell


def _causes(summary: Summary) -> str:
    return "; ".join(map(_cause, summary.causes[:_CAUSES])) or "-"


def _cause(cause: Cause) -> str:
    why = f"{cause.condition or 'stage timed out'} in {cause.stage}"
    runs = f"{cause.runs} run{'s' if cause.runs != 1 else ''}"
    return f"{why}: {runs}, evidence {evidence(cause.evidence)} of {number(cause.judged)} requests"


_ROWS: Mapping[str, Callable[[Summary], str]] = {
    "rolled back": _chance(End.ROLLED_BACK),
    "- at minute": _spread(End.ROLLED_BACK, Summary.minutes),
    "- on": _causes,
    "- requests served": _spread(End.ROLLED_BACK, Summary.requests),
    "- requests harmed": _spread(End.ROLLED_BACK, Summary.harmed),
    "promoted": _chance(End.PROMOTED),
    "- at minute ": _spread(End.PROMOTED, Summary.minutes),
    "- requests served ": _spread(End.PROMOTED, Summary.requests),
    "undecided": _chance(End.UNDECIDED),
}
"""By name, which a space at its end tells from another one."""


def _smallest(found: Smallest | None) -> str:
    if found is None:
        return "none, not even 100%"
    minutes = found.summary.minutes(End.ROLLED_BACK)
    return f"{percent(found.share)}" + (f" (min {number(round(minutes.median, 1))})" if minutes else "")


def _remarks(setting: Setting, results: Sequence[Result]) -> tuple[str, ...]:
    told = [
        (
            "In brackets the 95% interval of the chance. Two figures are the median and the 95th percentile of the "
            "runs. Harmed are requests that failed or were too slow, until the candidate had no traffic. A rollback of "
            "a version that is good enough for you is a false abort."
        )
    ]
    told += [
        f"{one.alternative.name}: undecided after {span(setting.most)}. For example: {one.summary.open_because}"
        for one in results
        if one.summary.open_because
    ]
    if any(one.smallest for one in results):
        told.append(
            "Finds: with this share of bad requests from the start at least 95% of the runs are rolled back within "
            "the plan's time, and not with less; in brackets the median minute."
        )
    return tuple(told)


def _charts(results: Sequence[Result]) -> tuple[Chart, ...]:
    last = max(
        (one.after for result in results for one in result.summary.outcomes if one.after is not None),
        default=timedelta(minutes=1),
    )
    minutes = [last.total_seconds() / 60 * step / _POINTS for step in range(_POINTS + 1)]
    many = len(results) > 1
    return tuple(
        Chart(
            title=title,
            unit="% of all runs",
            series=tuple(
                Series(one.alternative.name if many else title.lower(), _share_by(one.summary, end, minutes))
                for one in results
            ),
            top=100.0,
        )
        for title, end in (("Rolled back by minute", End.ROLLED_BACK), ("Promoted by minute", End.PROMOTED))
        if any(one.summary.ending(end).found for one in results)
    )


def _share_by(summary: Summary, end: End, minutes: Sequence[float]) -> tuple[tuple[float, float], ...]:
    shares = summary.by_minute(end, minutes)
    return tuple((minute, 100 * share) for minute, share in zip(minutes, shares, strict=True))


def synthetic_json(setting: Setting, results: Sequence[Result]) -> dict[str, Any]:
    """Return the results for programs; times in minutes, shares as ratios."""
    return {
        "rollout": setting.rollout,
        "runs": setting.runs,
        "seed": setting.seed,
        "requestsPerSecond": setting.traffic.per_second,
        "alternatives": [_alternative_json(one) for one in results],
    }


def _alternative_json(result: Result) -> dict[str, Any]:
    summary = result.summary
    return {
        "name": result.alternative.name,
        "ends": {
            end.value: {
                "share": summary.ending(end).share,
                "interval": list(summary.ending(end).interval),
                "minutes": _spread_json(summary.minutes(end)),
                "requests": _spread_json(summary.requests(end)),
                "harmed": _spread_json(summary.harmed(end)),
            }
            for end in End
        },
        "causes": [
            {"condition": one.condition, "stage": one.stage, "runs": one.runs, "evidence": one.evidence,
             "requests": one.judged}
            for one in summary.causes
        ],
        "waitingFor": summary.open_because,
        "smallestFound": {kind: None if one is None else one.share for kind, one in result.smallest.items()},
    }  # fmt: skip


def _spread_json(found: Spread | None) -> dict[str, float] | None:
    return None if found is None else {"median": found.median, "p95": found.p95}
