"""Whether the limit of a latency is a bound of the histogram's buckets: only then are slow requests counted exactly."""

from collections.abc import Iterator, Sequence
from math import isinf

from serinus.api.abort_condition import AbortCondition
from serinus.cli.check.prometheus import Row, bounds_in, histogram_of, shown_bounds
from serinus.cli.lint.cluster.objects import NotAsked
from serinus.cli.lint.cluster.plans import Plan, not_asked
from serinus.cli.lint.cluster.sources import Source
from serinus.cli.lint.finding import Check, Level, Problem
from serinus.metrics.bounds import Bracket
from serinus.metrics.presets import Histogram, Preset
from serinus.metrics.queries import NATIVE, TAG, bounds_query


def bucket_problems(plan: Plan, source: Source, preset: Preset) -> Iterator[Problem]:
    """Yield which limits of a Rollout are between two bounds; raises as ``source.query``."""
    for stage, conditions in enumerate(plan.spec.conditions):
        for line, condition in enumerate(conditions):
            histogram = histogram_of(preset, condition)
            if histogram is not None:
                path = f"spec.stages[{stage}].abortOn[{line}]"
                yield from _limit_problems(plan, source, preset, histogram, condition, path)


def _limit_problems(  # noqa: PLR0913, PLR0917 - what a limit is held against
    plan: Plan, source: Source, preset: Preset, histogram: Histogram, condition: AbortCondition, path: str
) -> Iterator[Problem]:
    rows = _rows(plan, source, preset, histogram)
    bounds = bounds_in(row for row in rows if TAG not in row.labels)
    if bounds is None and any(row.labels.get(TAG) == NATIVE for row in rows):
        # The buckets of a native histogram are fine enough for every limit.
        return
    if bounds is None:
        usual = shown_bounds(histogram.usual_bounds, histogram)
        why = f"Prometheus has no {histogram.series} yet; as delivered its bounds are, in ms, {usual}"
        answer = NotAsked(why, "try again when requests have been answered")
        yield not_asked(path, f"the limit of {condition.text} is a bound of the buckets", answer)
        return
    bracket = bounds.bracket(condition.threshold * histogram.per_second)
    if not bracket.exact:
        yield _coarse(condition, histogram, bracket, path)


def _rows(plan: Plan, source: Source, preset: Preset, histogram: Histogram) -> Sequence[Row]:
    """Return the bounds of the versions' own buckets; where they have none yet, those of all backends."""
    backends = [version.backend for version in plan.versions if version.backend is not None]
    keys = frozenset(preset.key(plan.namespace, backend) for backend in backends if not backend.subset)
    own = source.query(bounds_query(preset, histogram, keys)) if keys else ()
    return own or source.query(f"count by (le) ({preset.of_any(histogram.series)})")


def _coarse(condition: AbortCondition, histogram: Histogram, bracket: Bracket, path: str) -> Problem:
    if isinf(bracket.upper):
        last = shown_bounds([bracket.lower], histogram)
        where = f"is above the last bound of the buckets, {last} ms: all requests above that bound count as too slow"
        nearest = f"{last} ms"
    else:
        lower, upper = (shown_bounds([bound], histogram) for bound in (bracket.lower, bracket.upper))
        where = f"is between two bounds of the buckets, {lower} and {upper} ms: the requests between them are estimated"
        nearest = f"{upper} ms" if not bracket.lower else f"{lower} or {upper} ms"
    said = f"the limit of {condition.text} {where}"
    remedy = f"write {nearest}, or add the limit to the bounds: {histogram.advice}"
    return Problem(Check.COARSE_BUCKETS, path, said, remedy, level=Level.WARNING)
