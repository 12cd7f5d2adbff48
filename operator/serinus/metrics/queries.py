"""The queries of a tick, each for all backends of a preset at once. Builds text only."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from serinus.metrics.bounds import Spellings
from serinus.metrics.presets import Histogram, Key, Preset
from serinus.metrics.promql import LOOKBACK_MS, born, fallen, grown, matches, tagged

TAG: Final = "serinus"
"""The label that distinguishes the kinds of rows in one result."""

PART: Final = "serinus_part"
"""The label of rows that are not growth.

``NOW`` and ``BEFORE``: what counters that fell show, and what they showed. ``COPIES``: how many equal series of one
target there are, where that is more than one: each request would count more than once. ``BEGUN``: see ``begun_query``.
"""

BEGUN: Final = "begun"
NOW: Final = "now"
BEFORE: Final = "before"
COPIES: Final = "copies"


@dataclass(frozen=True, slots=True)
class Reach:
    """Time range of a tick's counts, in milliseconds.

    Attributes:
        span: its length.
        lookback: how far before it to search for a series.
        relabelled: backends with a target whose labels have changed (``relabelled``).
        scrape: how far before it to search for their series: what a target counted under other labels meanwhile is not
            counted again when it returns to the labels that it had.
    """

    span: int
    lookback: int = LOOKBACK_MS
    relabelled: frozenset[Key] = frozenset()
    scrape: int = LOOKBACK_MS

    def parts(self, keys: frozenset[Key]) -> tuple[tuple[frozenset[Key], int], ...]:
        """Return these backends by how far before the tick to search for their series."""
        found = ((keys - self.relabelled, self.lookback), (keys & self.relabelled, min(self.scrape, self.lookback)))
        return tuple((some, lookback) for some, lookback in found if some)


FAILURES: Final = "failures"
GRPC: Final = "grpc"
CLASSES: Final = "classes"
UNEVEN: Final = "uneven"
SCRAPE: Final = "scrape"
RELABELLED: Final = "relabelled"
NATIVE: Final = "native"


def requests_query(preset: Preset, keys: frozenset[Key], reach: Reach) -> str:
    """(1) Increments of requests in the tick, by backend and response class."""
    rows = _increments(preset, preset.requests, keys, preset.class_labels, reach)
    if preset.transport_failures is not None:
        rows += [tagged(one, TAG, FAILURES) for one in _increments(preset, preset.transport_failures, keys, (), reach)]
    return " or ".join(rows)


def buckets_query(preset: Preset, histogram: Histogram, keys: frozenset[Key], bounds: Spellings, reach: Reach) -> str:
    """(2) Increments of the buckets with these bounds, by backend."""
    spellings = frozenset().union(*bounds.values())
    return " or ".join(_increments(preset, histogram.series, keys, ("le",), reach, matches("le", spellings)))


def _increments(  # noqa: PLR0913, PLR0917 - what a query is made of
    preset: Preset, series: str, keys: frozenset[Key], more: tuple[str, ...], reach: Reach, matcher: str = ""
) -> list[str]:
    """Return growth, with the counters that are new, and apart from it what the rows of ``PART`` say; each a sum.

    ``more`` are the labels that the counters have beside those of the preset's ``presence``.
    """
    return [
        row
        for some, lookback in reach.parts(keys)
        for row in _increments_of(preset, series, some, more, replace(reach, lookback=lookback), matcher)
    ]


def _increments_of(  # noqa: PLR0913, PLR0917 - as above
    preset: Preset, series: str, keys: frozenset[Key], more: tuple[str, ...], reach: Reach, matcher: str
) -> list[str]:
    selector, presence = preset.selector(series, keys, matcher), preset.selector(preset.presence, keys)
    by, span, lookback = ", ".join((preset.by, *more)), reach.span, reach.lookback
    new = born(selector, presence, ", ".join(more), span, lookback)
    now, before = fallen(selector, span, lookback)
    of_targets = preset.selector(series, keys, ",".join(filter(None, (matcher, 'instance!=""'))))
    return [
        f"sum by ({by}) ({grown(selector, span, lookback)} or {new})",
        tagged(f"sum by ({by}) {now}", PART, NOW),
        tagged(f"sum by ({by}) {before}", PART, BEFORE),
        tagged(f"max by ({preset.by}) (count by ({by}, instance) ({of_targets}) > 1)", PART, COPIES),
    ]


def begun_query(preset: Preset, keys: frozenset[Key], span: int) -> str:
    """The time of each backend's newest sample at the beginning of a tick of so many milliseconds: for replays."""
    presence = preset.selector(preset.presence, keys)
    return tagged(f"max by ({preset.by}) (timestamp({presence} offset {span}ms))", PART, BEGUN)


def relabelled_query(preset: Preset, keys: frozenset[Key], lookback: int) -> str:
    """Backends with a target that had several sets of labels within so many milliseconds."""
    presence = preset.selector(preset.presence, keys, 'instance!=""')
    sets = f"count by ({preset.by}, instance) (last_over_time({presence}[{lookback}ms])) > 1"
    return tagged(f"max by ({preset.by}) ({sets})", TAG, RELABELLED)


def health_query(preset: Preset, keys: frozenset[Key], bounds: Spellings, lookback: int) -> str:
    """(5) The time of each backend's newest sample, which backends speak gRPC, and what would falsify the counts.

    ``uneven``: a backend of which some series lack a needed bucket (``bounds``; empty where no histogram is read).
    ``scrape``: the duration in seconds of the slowest recent scrape of these targets. A sample carries the time at
    which its scrape began and is readable only when the scrape has ended: a tick evaluated in between would miss its
    increments, and so would the next.
    ``relabelled``: see ``relabelled_query``.
    """
    present, counted = preset.selector(preset.presence, keys), preset.selector(preset.requests, keys)
    parts = [f"max by ({preset.by}) (timestamp({present}))", f"max by ({preset.by}) (timestamp({counted}))"]
    if preset.histogram is not None and bounds:
        total = preset.selector(preset.histogram.series, keys, 'le="+Inf"')
        parts.append(f"max by ({preset.by}) (timestamp({total}))")
        for bound in sorted(bounds.keys() - {inf}):
            bucket = preset.selector(preset.histogram.series, keys, matches("le", bounds[bound]))
            differs = f"count by ({preset.by}) ({bucket}) != count by ({preset.by}) ({total})"
            parts.append(tagged(differs, TAG, UNEVEN))
    if preset.grpc is not None:
        calls = preset.selector(preset.grpc.calls, keys)
        parts.append(tagged(f"max by ({preset.by}) (timestamp({calls}))", TAG, GRPC))
    targets = f"group by (job, instance) ({present} or {counted})"
    slowest = f"max (max_over_time(scrape_duration_seconds[{LOOKBACK_MS}ms]) and on (job, instance) {targets})"
    parts += [tagged(slowest, TAG, SCRAPE), relabelled_query(preset, keys, lookback)]
    return " or ".join(parts)


def display_query(
    preset: Preset,
    keys: frozenset[Key],
    quantiles: Collection[float],
    window: int,
    only_native: frozenset[Key] = frozenset(),
) -> str:
    """(6) For display only: quantiles and rates by response class over the last ``window`` seconds.

    ``only_native`` are the backends without classic buckets that have a native histogram.
    """
    by = ", ".join((preset.by, *preset.class_labels))
    counted = preset.selector(preset.requests, keys)
    parts = [tagged(f"sum by ({by}) (rate({counted}[{window}s]))", TAG, CLASSES)]
    if preset.transport_failures is not None:
        failed = preset.selector(preset.transport_failures, keys)
        parts.append(tagged(f"sum by ({preset.by}) (rate({failed}[{window}s]))", TAG, FAILURES))
    if preset.histogram is not None:
        rates = f"sum by ({preset.by}, le) (rate({preset.selector(preset.histogram.series, keys)}[{window}s]))"
        of_native = preset.selector(preset.histogram.native, only_native or keys)
        sources = [rates, *([f"sum by ({preset.by}) (rate({of_native}[{window}s]))"] if only_native else [])]
        parts += [
            tagged(f"histogram_quantile({quantile}, {source})", TAG, quantile_tag(quantile))
            for quantile in sorted(quantiles)
            for source in sources
        ]
    return " or ".join(parts)


def quantile_tag(quantile: float) -> str:
    """Return the value of ``TAG`` on this quantile's rows."""
    return f"q{quantile}"


def bounds_query(preset: Preset, histogram: Histogram, keys: frozenset[Key]) -> str:
    """Each value of ``le`` in these histograms, with the number of series that have it; queried every ten minutes.

    ``native``: backends without such series that have one of the native histogram's name.
    """
    total, native = preset.selector(histogram.series, keys, 'le="+Inf"'), preset.selector(histogram.native, keys)
    only = tagged(f"count by ({preset.by}) ({native} unless on ({preset.by}) {total})", TAG, NATIVE)
    return f"count by (le) ({preset.selector(histogram.series, keys)}) or {only}"
