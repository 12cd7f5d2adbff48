"""Which requests of a tick never got a complete answer: the query and its rows. Builds text and reads rows only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from serinus.api.abort_condition import UnansweredRate
from serinus.engine.analysis.measurements import Question
from serinus.metrics.increments import Row
from serinus.metrics.presets import Key, Lifecycle, Preset
from serinus.metrics.promql import differences, tagged
from serinus.metrics.queries import TAG

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
    sent, broken = _selectors(preset, keys, lifecycle.sent), _selectors(preset, keys, lifecycle.broken)
    repeated, ended, active = _selectors(preset, keys, (lifecycle.repeated, lifecycle.ended, lifecycle.active))
    counter = sent[0]
    rows = {
        ENDED: differences((ended,), (), counter, span),
        OPEN: differences(sent, (repeated, ended, active), counter, span),
        BROKEN: differences(broken, (), counter, span),
    }
    return " or ".join(tagged(f"sum by ({preset.by}) {rows[tag]}", TAG, tag) for tag in rows)


def _selectors(preset: Preset, keys: frozenset[Key], series: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(preset.selector(one, keys) for one in series)


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


def read_lifecycle(preset: Preset, rows: Iterable[Row]) -> dict[Key, LifecycleCounts]:
    """Read the rows of the lifecycle's query; a backend that lacks one of them is left out."""
    found: dict[Key, dict[str, float]] = {}
    for labels, count in rows:
        found.setdefault(preset.key_of(labels), {})[labels.get(TAG, "")] = count
    return {
        key: LifecycleCounts(max(0.0, tags[ENDED]), tags[OPEN], max(0.0, tags[BROKEN]))
        for key, tags in found.items()
        if {ENDED, OPEN, BROKEN} <= tags.keys()
    }
