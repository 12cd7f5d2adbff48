"""Native histograms: one series with many buckets, in the place of a classic histogram's ``_bucket`` series.

Prometheus answers with the buckets themselves, so they are counted here: nothing is interpolated but the bucket that
contains the limit. The query subtracts histograms, which reduces two resolutions to the coarser one, and needs a
Prometheus that can multiply one by a number; older ones return plain numbers.

Source: https://prometheus.io/docs/specs/native_histograms
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil, floor, isclose, isinf, log2
from typing import Final, NamedTuple

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Batch, Coarse, Tail
from serinus.metrics.increments import parted
from serinus.metrics.label_sets import Row
from serinus.metrics.plausible import Increments
from serinus.metrics.presets import Histogram, Key, Preset
from serinus.metrics.promql import born, earlier, tagged
from serinus.metrics.queries import BEFORE, COPIES, NOW, PART, Reach
from serinus.metrics.transport import HistogramValue

_NEAR: Final = 1e-6
"""Bounds that are written as text are so near to a power of two, in steps of a bucket."""

NativeRow = tuple[Mapping[str, str], HistogramValue | str]
"""Labels, and a histogram or a number as text."""

_ROUNDING: Final = 1e-9
_SCHEMAS: Final = range(-4, 9)
"""Bounds of schema n are the powers of two to the power of ``2 ** -n``."""

_MOST: Final = 20_000
"""So many limits are followed; a source that has more of them starts anew."""

_GRID_SCHEMA: Final = 2
_SHORTEST, _LONGEST = 0.001, 3600.0
"""Seconds; between them lie the bounds for which the whole histogram is counted."""


class Bucket(NamedTuple):
    """A bucket that is not empty: values above ``lower``, at most ``upper``."""

    lower: float
    upper: float
    requests: float

    @property
    def of_zero(self) -> bool:
        """Whether it is the bucket of values near zero, which is wider than the schema says."""
        return self.lower == -self.upper


@dataclass(frozen=True)
class NativeCounts:
    """Increments of a backend's native histograms; the buckets of several histograms may overlap."""

    requests: float = 0.0
    buckets: tuple[Bucket, ...] = ()

    @property
    def negative(self) -> bool:
        """Whether a bucket fell while the histogram as a whole grew: its increments are not what happened."""
        return any(bucket.requests < 0 for bucket in self.buckets)

    @cached_property
    def schema(self) -> int | None:
        """The coarsest schema of the buckets; None where they have bounds of their own, or where there is none."""
        schemas = [_schema(bucket) for bucket in self.buckets if not bucket.of_zero]
        known = [schema for schema in schemas if schema is not None]
        return min(known) if known and len(known) == len(schemas) else None

    @property
    def custom(self) -> bool:
        """Whether the buckets have bounds of their own, as after a conversion of classic buckets."""
        return self.schema is None and not all(bucket.of_zero for bucket in self.buckets)

    def batch(self, limit: float) -> Batch:
        """Count the requests above a limit in the histogram's unit."""
        certain = sum(bucket.requests for bucket in self.buckets if bucket.lower >= limit * (1 - _ROUNDING))
        around = [bucket for bucket in self.buckets if _contains(bucket, limit)]
        likely = sum(bucket.requests * _share_above(bucket, limit) for bucket in around)
        return Batch(self.requests, certain, certain + likely, certain + sum(bucket.requests for bucket in around))

    def around(self, limit: float) -> tuple[float, float] | None:
        """Return the bounds of the bucket that contains the limit, equal where it is one; None where it is unknown."""
        schema = self.schema
        if schema is not None:
            lower, upper = _around(limit, schema)
            exact = next((bound for bound in (lower, upper) if isclose(limit, bound, rel_tol=_ROUNDING)), None)
            return (lower, upper) if exact is None else (exact, exact)
        around = [bucket for bucket in self.buckets if _contains(bucket, limit)]
        if not around:
            return None
        return max(min(one.lower for one in around), 0.0), max(one.upper for one in around)

    def tail(self, per_second: float) -> Tail:
        """Return the requests above each bound of a fixed grid, which the bounds of finer schemas contain."""
        schema = self.schema
        grid = _GRID_SCHEMA if schema is None else min(_GRID_SCHEMA, schema)
        rising = sorted(self.buckets)
        lowers = [bucket.lower * (1 + _ROUNDING) for bucket in rising]
        below = [0.0, *accumulate(bucket.requests for bucket in rising)]
        return tuple(
            (bound / per_second, below[-1] - below[bisect_left(lowers, bound)]) for bound in _grid(grid, per_second)
        )


class Neighbours:
    """The bounds around each limit as last seen: without requests a native histogram shows none."""

    def __init__(self) -> None:
        """Start without any."""
        self._seen: dict[tuple[Key, float], tuple[float, float]] = {}

    def coarse(self, key: Key, counts: NativeCounts, limit: float, per_second: float) -> Coarse | None:
        """Return the bounds in seconds around a limit of a backend; None where the limit is a bound."""
        seen = counts.around(limit)
        if seen is not None:
            if len(self._seen) > _MOST:
                self._seen = {}
            self._seen[key, limit] = seen
        lower, upper = self._seen.get((key, limit), (limit, limit))
        return None if lower == upper else Coarse(lower / per_second, upper / per_second)


def _contains(bucket: Bucket, limit: float) -> bool:
    return bucket.lower < limit * (1 - _ROUNDING) and bucket.upper > limit * (1 + _ROUNDING)


def _share_above(bucket: Bucket, limit: float) -> float:
    """Return which part of a bucket is above a limit within it, as for classic buckets: all of the last one."""
    return 1.0 if isinf(bucket.upper) else (bucket.upper - limit) / (bucket.upper - max(bucket.lower, 0.0))


def _schema(bucket: Bucket) -> int | None:
    if bucket.lower <= 0 or isinf(bucket.upper):
        return None
    upper = log2(bucket.upper)
    width = upper - log2(bucket.lower)
    schema = round(-log2(width))
    steps = 2.0**schema
    fits = abs(width * steps - 1) < _NEAR and abs(upper * steps - round(upper * steps)) < _NEAR
    return schema if fits and schema in _SCHEMAS else None


def _around(limit: float, schema: int) -> tuple[float, float]:
    position = log2(limit) * 2.0**schema
    upper = ceil(position - _ROUNDING)
    return 2.0 ** ((upper - 1) / 2.0**schema), 2.0 ** (upper / 2.0**schema)


def _grid(schema: int, per_second: float) -> Iterable[float]:
    steps = 2.0**schema
    first, last = floor(log2(_SHORTEST * per_second) * steps), ceil(log2(_LONGEST * per_second) * steps)
    return (2.0 ** (index / steps) for index in range(first, last + 1))


def native_query(preset: Preset, histogram: Histogram, keys: frozenset[Key], reach: Reach) -> str:
    """Increments of native histograms by backend, as one histogram each; ``PART`` has rows as in ``queries``.

    ``+ -1 *`` is a subtraction of which Prometheus does not warn where one of the two follows a restart.
    """
    return " or ".join(
        part for some, lookback in reach.parts(keys) for part in _parts(preset, histogram, some, reach.span, lookback)
    )


def _parts(preset: Preset, histogram: Histogram, keys: frozenset[Key], span: int, lookback: int) -> list[str]:
    by, selector = preset.by, preset.selector(histogram.native, keys)
    presence, before = preset.selector(preset.presence, keys), earlier(selector, span, lookback)
    count, count_before = f"histogram_count({selector})", f"histogram_count({before})"
    grown = f"(({selector} and ({count} >= {count_before})) + {before} * -1)"
    new = born(selector, presence, ", ".join(preset.own_labels), span, lookback)
    of_targets = preset.selector(histogram.native, keys, 'instance!=""')
    each = ", ".join((by, *preset.own_labels))
    return [
        f"sum by ({by}) ({grown} or {_as_gauge(new)})",
        tagged(f"sum by ({by}) ({_as_gauge(f'({selector} and ({count} < {count_before}))')})", PART, NOW),
        tagged(f"sum by ({by}) ({count_before} > {count})", PART, BEFORE),
        tagged(f"max by ({by}) (count by ({each}, instance) ({of_targets}) > 1)", PART, COPIES),
    ]


def _as_gauge(histograms: str) -> str:
    """Return the same histograms, which can be added up without a warning that some follow a restart."""
    return f"({histograms} * -1 * -1)"


def read_native(preset: Preset, rows: Iterable[NativeRow]) -> Increments[NativeCounts]:
    """Read the rows of ``native_query``."""
    grown: dict[Key, list[HistogramValue]] = {}
    all_of: dict[Key, list[HistogramValue]] = {}
    numbers: list[Row] = []
    for labels, value in rows:
        key, growth = preset.key_of(labels), PART not in labels
        if isinstance(value, HistogramValue):
            all_of.setdefault(key, []).append(value)
            grown.setdefault(key, []).extend([value] if growth else [])
            numbers.append((labels, float(value.count)))
        elif not growth:
            numbers.append((labels, float(value)))
    parts = parted(preset, numbers)
    return Increments(
        {key: _counts(found) for key, found in all_of.items()},
        {key: sum(float(one.count) for one in found) for key, found in grown.items()},
        parts.falls,
        parts.copies,
    )


class Problem(NamedTuple):
    """Why counts cannot be judged, and what to do."""

    cause: Cause
    message: str


def usable(
    backend: str, histogram: Histogram, counts: NativeCounts | None, *, compared: bool
) -> NativeCounts | Problem:
    """Return these counts where they can be judged.

    Args:
        backend: its name.
        histogram: the preset's.
        counts: those of a backend that had requests; None where Prometheus gave none.
        compared: whether the question is about the whole histogram, for a comparison with the stable version.
    """
    only = f"Prometheus has the response times of {backend} only as the native histogram {histogram.native}"
    if counts is None:
        return Problem(
            Cause.NO_SERIES,
            f"{only}, but gave no increments of it: a version before 3 may be too old for that. Use version 3, or keep "
            f"{histogram.series}: set scrape_classic_histograms: true in the scrape config of the data plane (from "
            "version 3 on: always_scrape_classic_histograms: true)",
        )
    if counts.negative:
        return Problem(
            Cause.AMBIGUOUS,
            f"a bucket of {histogram.native} of {backend} fell while its count grew: nothing of this moment is counted",
        )
    if compared and counts.custom:
        return Problem(
            Cause.NO_SERIES,
            f"{only} with custom buckets, which a comparison with the stable version cannot use: set "
            "always_scrape_classic_histograms: true, or convert_classic_histograms_to_nhcb: false, in the scrape "
            f"config of the data plane, which keeps {histogram.series}; or give the limit as a time",
        )
    return counts


def _counts(found: Sequence[HistogramValue]) -> NativeCounts:
    buckets = (bucket for one in found for bucket in one.buckets)
    return NativeCounts(
        sum(float(one.count) for one in found),
        tuple(Bucket(float(lower), float(upper), float(count)) for _, lower, upper, count in buckets),
    )
