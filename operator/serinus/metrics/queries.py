"""The queries of a tick, each for all backends of a preset at once. Builds text only."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from serinus.metrics.bounds import Spellings
from serinus.metrics.presets import Histogram, Key, Preset
from serinus.metrics.promql import LOOKBACK_MS, born, born_after, fallen, grown, matches, since_first, tagged

TAG: Final = "serinus"
"""The label that distinguishes the kinds of rows in one result."""

PART: Final = "serinus_part"
"""The label of rows that are not growth.

``NOW`` and ``BEFORE``: what counters that fell show, and what they showed. ``COPIES``: how many equal series of one
target there are, where that is more than one: each request would count more than once. ``BEGUN``: see ``begun_query``.
``KEPT``: see ``sums_query``.
"""

BEGUN: Final = "begun"
NOW: Final = "now"
BEFORE: Final = "before"
COPIES: Final = "copies"
KEPT: Final = "kept"


@dataclass(frozen=True, slots=True)
class Reach:
    """Time range of a tick's counts, in milliseconds.

    Attributes:
        span: its length.
        lookback: how far before it to search for a series.
        relabelled: backends with a target whose labels have changed (``relabelled``).
        scrape: how far before it to search for their series: what a target counted under other labels meanwhile is not
            counted again when it returns to the labels that it had. One and a half scrape intervals.
    """

    span: int
    lookback: int = LOOKBACK_MS
    relabelled: frozenset[Key] = frozenset()
    scrape: int = LOOKBACK_MS

    @property
    def has_several_scrapes(self) -> bool:
        """Whether a target may have been scraped twice in it, as after an outage."""
        return 3 * self.span >= 2 * self.scrape

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
BREADTH: Final = "breadth"


def requests_query(preset: Preset, keys: frozenset[Key], reach: Reach) -> str:
    """Increments of requests in the tick, by backend and response class."""
    return _of_requests(preset, lambda series, more: _increments(preset, series, keys, more, reach))


def _of_requests(preset: Preset, rows_of: Callable[[str, tuple[str, ...]], list[str]]) -> str:
    """Return the rows of the responses by class, and of the requests that never got one.

    ``rows_of`` returns those of a counter, given the labels that it has beside the preset's.
    """
    rows = rows_of(preset.requests, preset.class_labels)
    if preset.transport_failures is not None:
        rows += [tagged(one, TAG, FAILURES) for one in rows_of(preset.transport_failures, ())]
    return " or ".join(rows)


def buckets_query(preset: Preset, histogram: Histogram, keys: frozenset[Key], bounds: Spellings, reach: Reach) -> str:
    """Increments of the buckets with these bounds, by backend."""
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
    own = ", ".join(dict.fromkeys((*more, *preset.own_labels)))
    growth = increase(selector, presence, own, reach)
    now, before = fallen(selector, span, lookback)
    of_targets = preset.selector(series, keys, ",".join(filter(None, (matcher, 'instance!=""'))))
    each = ", ".join(filter(None, (preset.by, own)))
    return [
        f"sum by ({by}) ({growth})",
        tagged(f"sum by ({by}) {now}", PART, NOW),
        tagged(f"sum by ({by}) {before}", PART, BEFORE),
        tagged(f"max by ({preset.by}) (count by ({each}, instance) ({of_targets}) > 1)", PART, COPIES),
    ]


def increase(selector: str, presence: str, ignoring: str, reach: Reach) -> str:
    """Return by how much counters have grown, one row for each of them.

    A counter that is new counts whole on a target that is not (``born``). Where the tick is that long because of an
    outage, all that a new version has done may be in it: what a new target has had from its first scrape on counts from
    its first value on, what came to it later counts whole.

    Args:
        selector: the counters.
        presence: the series that the target always has.
        ignoring: the labels that the counters have beside those of ``presence``, as a PromQL list.
        reach: the time range; the counters are searched for as far before it as ``lookback`` says.
    """
    span, lookback = reach.span, reach.lookback
    growth = f"{grown(selector, span, lookback)} or {born(selector, presence, ignoring, span, lookback)}"
    if not reach.has_several_scrapes:
        return growth
    return f"{growth} or {new_growth(selector, presence, ignoring, span)}"


def new_growth(selector: str, presence: str, ignoring: str, span: int) -> str:
    """Return by how much counters have grown that are new on a new target. Arguments as for ``increase``."""
    return f"{born_after(selector, presence, ignoring, span)} or {since_first(selector, span)}"


def request_sums_query(preset: Preset, keys: frozenset[Key], span: int) -> str:
    """(1) The counters of requests, by backend and response class, and how many of them went on (``sums_query``)."""
    return _of_requests(preset, lambda series, more: sums_query(preset, series, keys, more, span))


def bucket_sums_query(preset: Preset, histogram: Histogram, keys: frozenset[Key], bounds: Spellings, span: int) -> str:
    """(2) The buckets with these bounds, by backend, and how many histograms went on (``sums_query``)."""
    spellings = frozenset().union(*bounds.values())
    total = preset.selector(histogram.series, keys, matches("le", bounds.get(inf, ("+Inf",))))
    return " or ".join(sums_query(preset, histogram.series, keys, ("le",), span, matches("le", spellings), total))


def sums_query(  # noqa: PLR0913, PLR0917 - what a query is made of
    preset: Preset,
    series: str,
    keys: frozenset[Key],
    more: tuple[str, ...],
    span: int,
    matcher: str = "",
    kept: str = "",
) -> list[str]:
    """Return the sums of counters, and by backend their number where all were there before the last ``span`` too.

    The latter (``KEPT``) is missing where a counter fell or is new; one that is gone makes it smaller than at the tick
    before. ``kept`` is the selector of those that are compared, where that need not be all.
    """
    selector, by = preset.selector(series, keys, matcher), ", ".join((preset.by, *more))
    return [f"sum by ({by}) ({selector})", tagged(kept_number(preset, kept or selector, span), PART, KEPT)]


def kept_number(preset: Preset, selector: str, span: int) -> str:
    """Return by backend how many counters there are, where all were there before and none fell."""
    went_on = f"count by ({preset.by}) ({selector} >= {selector} offset {span}ms)"
    return f"(count by ({preset.by}) ({selector}) == {went_on})"


def begun_query(preset: Preset, keys: frozenset[Key], span: int) -> str:
    """The time of each backend's newest sample at the beginning of a tick of so many milliseconds: for replays."""
    presence = preset.selector(preset.presence, keys)
    return tagged(f"max by ({preset.by}) (timestamp({presence} offset {span}ms))", PART, BEGUN)


def relabelled_query(preset: Preset, keys: frozenset[Key], lookback: int) -> str:
    """Backends with a target that had several sets of labels within so many milliseconds."""
    presence = preset.selector(preset.presence, keys, 'instance!=""')
    had = f"last_over_time({presence}[{lookback}ms])"
    # What differs by its own labels too, as each response may, is one set of a target's labels.
    one_each = f"group without ({', '.join(preset.own_labels)}) ({had})" if preset.own_labels else had
    sets = f"count by ({preset.by}, instance) ({one_each}) > 1"
    return tagged(f"max by ({preset.by}) ({sets})", TAG, RELABELLED)


def uneven_query(preset: Preset, histogram: Histogram, keys: frozenset[Key], bounds: Spellings) -> str:
    """Backends of which some series lack a needed bucket; empty where none but the last is needed."""
    total = preset.selector(histogram.series, keys, 'le="+Inf"')
    buckets = (
        preset.selector(histogram.series, keys, matches("le", bounds[bound])) for bound in sorted(bounds.keys() - {inf})
    )
    rows = (f"count by ({preset.by}) ({bucket}) != count by ({preset.by}) ({total})" for bucket in buckets)
    return " or ".join(tagged(row, TAG, UNEVEN) for row in rows)


def health_query(preset: Preset, keys: frozenset[Key], native: frozenset[Key], changes: int, *, timed: bool) -> str:
    """(5) The time of each backend's newest sample, which backends speak gRPC, and how long scrapes take.

    ``scrape``: the duration in seconds of the slowest recent scrape of these targets. A sample carries the time at
    which its scrape began and is readable only when the scrape has ended: a tick evaluated in between would miss its
    increments, and so would the next. ``timed``: whether classic histograms are read; ``native``: the backends whose
    native ones are, for which alone ``relabelled_query`` is asked here, with ``changes`` as its lookback.
    """
    present, counted = preset.selector(preset.presence, keys), preset.selector(preset.requests, keys)
    parts = [f"max by ({preset.by}) (timestamp({present}))", f"max by ({preset.by}) (timestamp({counted}))"]
    if preset.histogram is not None and timed:
        total = preset.selector(preset.histogram.series, keys, 'le="+Inf"')
        parts.append(f"max by ({preset.by}) (timestamp({total}))")
    if preset.grpc is not None:
        calls = preset.selector(preset.grpc.calls, keys)
        parts.append(tagged(f"max by ({preset.by}) (timestamp({calls}))", TAG, GRPC))
    targets = f"group by (job, instance) ({present} or {counted})"
    slowest = f"max (max_over_time(scrape_duration_seconds[{LOOKBACK_MS}ms]) and on (job, instance) {targets})"
    parts += [tagged(slowest, TAG, SCRAPE), *([relabelled_query(preset, native, changes)] if native else [])]
    return " or ".join(parts)


def breadth_query(preset: Preset, keys: frozenset[Key]) -> str:
    """How many backends have names that begin as these do."""
    presence = replace(preset, by_prefix=True).selector(preset.presence, keys)
    return tagged(f"count (count by ({preset.by}) ({presence}))", TAG, BREADTH)


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
