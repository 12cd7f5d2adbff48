"""The few queries of a tick, each for all backends of a preset at once. Pure text; what they mean stands here too."""

from collections.abc import Collection
from dataclasses import dataclass
from math import inf
from typing import Final

from serinus.metrics.bounds import Spelt
from serinus.metrics.presets import Histogram, Key, Preset
from serinus.metrics.promql import LOOKBACK_MS, increments, matches, tagged

TAG: Final = "serinus"
"""The label that tells the parts of an answer apart."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a tick's counts reach, in milliseconds: its own length, and how far before it a series is looked for."""

    span: int
    lookback: int = LOOKBACK_MS


FAILURES: Final = "failures"
CLASSES: Final = "classes"
UNEVEN: Final = "uneven"
SCRAPE: Final = "scrape"


def requests_query(preset: Preset, keys: frozenset[Key], reach: Reach) -> str:
    """(1) Increments of requests in the tick, by backend and response class."""
    by = ", ".join((preset.by, *preset.class_labels))
    query = f"sum by ({by}) {increments(preset.selector(preset.requests, keys), reach.span, reach.lookback)}"
    if preset.transport_failures is None:
        return query
    failures = increments(preset.selector(preset.transport_failures, keys), reach.span, reach.lookback)
    lost = f"sum by ({preset.by}) {failures}"
    return f"{query} or {tagged(lost, TAG, FAILURES)}"


def buckets_query(preset: Preset, histogram: Histogram, keys: frozenset[Key], spelt: Spelt, reach: Reach) -> str:
    """(2) Increments of the buckets with these bounds, by backend."""
    texts = frozenset().union(*spelt.values())
    selector = preset.selector(histogram.series, keys, matches("le", texts))
    return f"sum by ({preset.by}, le) {increments(selector, reach.span, reach.lookback)}"


def health_query(preset: Preset, keys: frozenset[Key], spelt: Spelt) -> str:
    """(3) The time of each backend's newest sample, and two things that would spoil the counts.

    ``uneven``: a backend of which not all series have a needed bucket (``spelt``; none where no histogram is read).
    ``scrape``: the seconds that the slowest scrape of these targets took lately. A sample carries the time at which
    its scrape began and is seen only when it has ended: a tick must not look closer than that, or the increments of
    the scrape are in no tick at all.
    """
    present, counted = preset.selector(preset.presence, keys), preset.selector(preset.requests, keys)
    parts = [f"max by ({preset.by}) (timestamp({present}))", f"max by ({preset.by}) (timestamp({counted}))"]
    if preset.histogram is not None and spelt:
        all_of_it = preset.selector(preset.histogram.series, keys, 'le="+Inf"')
        parts.append(f"max by ({preset.by}) (timestamp({all_of_it}))")
        for bound in sorted(spelt.keys() - {inf}):
            some = preset.selector(preset.histogram.series, keys, matches("le", spelt[bound]))
            differs = f"count by ({preset.by}) ({some}) != count by ({preset.by}) ({all_of_it})"
            parts.append(tagged(differs, TAG, UNEVEN))
    targets = f"group by (job, instance) ({present} or {counted})"
    slowest = f"max (max_over_time(scrape_duration_seconds[{LOOKBACK_MS}ms]) and on (job, instance) {targets})"
    parts.append(tagged(slowest, TAG, SCRAPE))
    return " or ".join(parts)


def display_query(preset: Preset, keys: frozenset[Key], quantiles: Collection[float], window: int) -> str:
    """(4) For people: quantiles and rates by response class over the last ``window`` seconds."""
    by = ", ".join((preset.by, *preset.class_labels))
    counted = preset.selector(preset.requests, keys)
    parts = [tagged(f"sum by ({by}) (rate({counted}[{window}s]))", TAG, CLASSES)]
    if preset.transport_failures is not None:
        lost = preset.selector(preset.transport_failures, keys)
        parts.append(tagged(f"sum by ({preset.by}) (rate({lost}[{window}s]))", TAG, FAILURES))
    if preset.histogram is not None:
        rates = f"sum by ({preset.by}, le) (rate({preset.selector(preset.histogram.series, keys)}[{window}s]))"
        parts += [
            tagged(f"histogram_quantile({quantile}, {rates})", TAG, quantile_tag(quantile))
            for quantile in sorted(quantiles)
        ]
    return " or ".join(parts)


def quantile_tag(quantile: float) -> str:
    """Return the value of ``TAG`` on this quantile's rows."""
    return f"q{quantile}"


def bounds_query(preset: Preset, histogram: Histogram, keys: frozenset[Key]) -> str:
    """Each value of ``le`` that these histograms have, and how many series have it; asked every ten minutes."""
    return f"count by (le) ({preset.selector(histogram.series, keys)})"
