"""Which requests of a tick never got a complete answer: the query and its rows. Builds text and reads rows only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from serinus.api.abort_condition import UnansweredRate
from serinus.engine.analysis.measurements import Question
from serinus.metrics.label_sets import ByLabels, Row
from serinus.metrics.presets import Key, Lifecycle, Preset
from serinus.metrics.promql import change, matches, tagged
from serinus.metrics.queries import KEPT, PART, TAG, kept_number

ENDED: Final = "ended"
OPEN: Final = "open"
BROKEN: Final = "broken"


def lifecycle_backends(keys: Mapping[Question, Key]) -> frozenset[Key]:
    """Return the backends of which somebody asks which requests had no answer."""
    return frozenset(key for question, key in keys.items() if isinstance(question.metric, UnansweredRate))


def lifecycle_query(preset: Preset, lifecycle: Lifecycle, keys: frozenset[Key], span: int) -> str:
    """Return the requests that ended in the tick, those that neither ended nor go on, and what broke, by backend.

    Many of these counters do not change for hours, so the values at the two times are compared directly: reading ten
    minutes of each would cost Prometheus ten times as much.
    """
    closed = (lifecycle.repeated, lifecycle.ended, lifecycle.active)
    ended = preset.selector(lifecycle.ended, keys)
    sent, gone, broken = (_selector(preset, keys, names) for names in (lifecycle.sent, closed, lifecycle.broken))
    rows = {ENDED: change(ended, None, span), OPEN: change(sent, gone, span), BROKEN: change(broken, None, span)}
    told = " or ".join(tagged(rows[tag], TAG, tag) for tag in rows)
    # Only of targets that have all of these series and were not restarted since: then none of their counters fell.
    counter = preset.selector(lifecycle.sent[0], keys)
    whole = f"count without () ({gone}) == {len(closed)} and ({counter} >= {counter} offset {span}ms)"
    return f"sum by ({preset.by}, {TAG}) (({told}) and ignoring ({TAG}) ({whole}))"


def lifecycle_sums_query(preset: Preset, lifecycle: Lifecycle, keys: frozenset[Key], span: int) -> str:
    """Return the sums of the same counters as they are now, and whether they went on (``queries.sums_query``).

    The latter only of backends of which every target has all series: of others not all sums can be compared.
    """
    closed = (lifecycle.repeated, lifecycle.ended, lifecycle.active)
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
