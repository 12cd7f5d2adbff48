"""Which requests of a tick never got a complete answer: the query and its rows. Builds text and reads rows only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from serinus.api.abort_condition import UnansweredRate
from serinus.engine.analysis.measurements import Question
from serinus.metrics.label_sets import ByLabels, Row
from serinus.metrics.presets import Key, Lifecycle, Preset
from serinus.metrics.promql import change, earlier, matches, no_reset, tagged
from serinus.metrics.queries import KEPT, PART, TAG, Reach, kept_number, new_growth

ENDED: Final = "ended"
OPEN: Final = "open"
BROKEN: Final = "broken"


def lifecycle_backends(keys: Mapping[Question, Key]) -> frozenset[Key]:
    """Return the backends of which somebody asks which requests had no answer."""
    return frozenset(key for question, key in keys.items() if isinstance(question.metric, UnansweredRate))


def lifecycle_query(preset: Preset, lifecycle: Lifecycle, keys: frozenset[Key], reach: Reach) -> str:
    """Return the requests that ended in the tick, those that neither ended nor go on, and what broke, by backend.

    A target that was absent for a while is compared with what it showed last. Where the tick is that long because of an
    outage, a target that is new counts as the requests of one do (``queries.increase``).
    """
    rows = [_changed(preset, lifecycle, some, reach.span, lookback) for some, lookback in reach.parts(keys)]
    if reach.has_several_scrapes:
        rows += [_of_new(preset, lifecycle, some, reach.span, lookback) for some, lookback in reach.parts(keys)]
    return f"sum by ({preset.by}, {TAG}) ({' or '.join(rows)})"


def _changed(preset: Preset, lifecycle: Lifecycle, keys: frozenset[Key], span: int, lookback: int) -> str:
    """Return by how much the sums have changed on each target that was there before."""
    gone = _selector(preset, keys, _closed(lifecycle))
    sent, broken = (_selector(preset, keys, names) for names in (lifecycle.sent, lifecycle.broken))
    ended, counter = preset.selector(lifecycle.ended, keys), preset.selector(lifecycle.sent[0], keys)
    rows = {
        ENDED: change(ended, None, span, lookback),
        OPEN: change(sent, gone, span, lookback),
        BROKEN: change(broken, None, span, lookback),
    }
    told = " or ".join(tagged(rows[tag], TAG, tag) for tag in rows)
    # Only of targets that were not restarted since: then none of their counters fell.
    went_on = f"{counter} >= {earlier(counter, span, lookback)}"
    return f"(({told}) and ignoring ({TAG}) ({_whole(preset, lifecycle, keys)} and ({went_on})))"


def _of_new(preset: Preset, lifecycle: Lifecycle, keys: frozenset[Key], span: int, lookback: int) -> str:
    """Return by how much each counter has grown on the targets that are new, apart from the others by its name.

    What is under way at first is taken for as little as it ever was: rather too few are left without an answer than
    too many. A target that was restarted in this time, or whose counters dipped, is left out.
    """
    counter = preset.selector(lifecycle.sent[0], keys)
    closed, broken = _closed(lifecycle), lifecycle.broken
    counted = [
        *((ENDED, lifecycle.ended, ""), *((OPEN, name, "") for name in lifecycle.sent)),
        *(*((OPEN, name, "-") for name in closed), *((BROKEN, name, "") for name in broken)),
    ]
    told = " or ".join(
        tagged(tagged(f"{sign}({new_growth(preset.selector(name, keys), counter, '', span)})", TAG, tag), PART, name)
        for tag, name, sign in counted
    )
    new = f"({counter} unless {earlier(counter, span, lookback)}) and ({no_reset(counter, span)})"
    return f"(({told}) and ignoring ({TAG}, {PART}) ({_whole(preset, lifecycle, keys)} and {new}))"


def _closed(lifecycle: Lifecycle) -> tuple[str, ...]:
    return (lifecycle.repeated, lifecycle.ended, lifecycle.active)


def _whole(preset: Preset, lifecycle: Lifecycle, keys: frozenset[Key]) -> str:
    """Return the targets that have all of these series."""
    closed = _closed(lifecycle)
    return f"count without () ({_selector(preset, keys, closed)}) == {len(closed)}"


def lifecycle_sums_query(preset: Preset, lifecycle: Lifecycle, keys: frozenset[Key], span: int) -> str:
    """Return the sums of the same counters as they are now, and whether they went on (``queries.sums_query``).

    The latter only of backends of which every target has all series: of others not all sums can be compared.
    """
    closed = _closed(lifecycle)
    counter = preset.selector(lifecycle.sent[0], keys)
    sent, gone, broken = (
        f"sum by ({preset.by}) ({_selector(preset, keys, names)})"
        for names in (lifecycle.sent, closed, lifecycle.broken)
    )
    ended = f"sum by ({preset.by}) ({preset.selector(lifecycle.ended, keys)})"
    rows = {ENDED: ended, OPEN: f"({sent} - {gone})", BROKEN: broken}
    number = f"count by ({preset.by}) ({_selector(preset, keys, closed)})"
    whole = f"({number} == {len(closed)} * count by ({preset.by}) ({counter}))"
    kept = tagged(f"{kept_number(preset, counter, span)} and {whole}", PART, KEPT)
    return " or ".join((*(tagged(rows[tag], TAG, tag) for tag in rows), kept))


def _selector(preset: Preset, keys: frozenset[Key], series: tuple[str, ...]) -> str:
    """Return the selector of several series at once."""
    return preset.selector("", keys, matches("__name__", series))


@dataclass(frozen=True, slots=True)
class LifecycleCounts:
    """A backend's requests in a tick.

    Attributes:
        ended: the requests that were answered, by the backend or by the data plane for it.
        open: by how much the number of those has grown that neither ended nor are under way; negative where it shrank,
            because the counters are not read at one moment.
        broken: attempts that broke.
    """

    ended: float
    open: float
    broken: float


class LifecycleRows:
    """Reads the rows of one preset's lifecycle, tick after tick."""

    def __init__(self, preset: Preset) -> None:
        """Begin without any row."""
        self._tags = ByLabels(lambda labels: (preset.key_of(labels), labels.get(TAG, "")))

    def counts(self, rows: Iterable[Row]) -> dict[Key, LifecycleCounts]:
        """Read the rows of the lifecycle's query; a backend that lacks one of them is left out."""
        found: dict[Key, dict[str, float]] = {}
        for (key, tag), count in self._tags.over(rows):
            tags = found.get(key)
            if tags is None:
                tags = found[key] = {}
            tags[tag] = tags.get(tag, 0.0) + count
        return {
            key: LifecycleCounts(max(0.0, tags[ENDED]), tags[OPEN], max(0.0, tags[BROKEN]))
            for key, tags in found.items()
            if {ENDED, OPEN, BROKEN} <= tags.keys()
        }
