"""What counters have grown by between two ticks, from what their sums were at both. Pure.

Reading ten minutes of each counter, to find out which ones are new, came back or fell, costs Prometheus most of the
time of a tick. Mostly there are none: the same series are there as at the tick before, and each shows at least as much.
Then the growth of their sum is the sum of their growth. Only of the other backends the increments are read in full.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import nan
from types import MappingProxyType
from typing import Final, NamedTuple

from serinus.metrics.label_sets import ByLabels, Labels, Row
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import KEPT, PART, TAG

_REMEMBERED: Final = 3
"""Ticks: a question that had no answer at the last one is about the time since an earlier one."""

_NONE: Final[Mapping[tuple[str, ...], float]] = {}

_Series = tuple[str, ...]
"""The values of the isolating labels as a row has them: of a backend that has several, one of these."""

_Mark = tuple[str, ...]
"""The values of a row's labels: which of a backend's sums it is."""


@dataclass(slots=True)
class _Sums:
    """What the counters of some backends show at one time.

    Attributes:
        keys: these backends.
        values: the sums.
        kept: by the tag of a sum, how many series each backend has by the values of its isolating labels, where all
            were there at the tick before, with no larger value.
    """

    keys: frozenset[Key] = frozenset()
    values: dict[_Mark, float] = field(default_factory=dict)
    kept: dict[str, dict[_Series, float]] = field(default_factory=dict)


class _RowKind(NamedTuple):
    """Which sum a row is, by its labels.

    Attributes:
        key: the backend.
        series: the values of its isolating labels.
        tag: the tag of the sum, or of the number of kept series.
        kept: whether the value is a number of kept series.
        kept_tag: the tag of the number of kept series that goes with the sum.
        mark: which sum of the backend it is.
        labels: the labels.
    """

    key: Key
    series: _Series
    tag: str
    kept: bool
    kept_tag: str
    mark: _Mark
    labels: Labels


_Entry = tuple[_RowKind, float]
"""A row of a sum."""


class Growth(NamedTuple):
    """The increments of the backends whose counters went on as they were, and which backends these are."""

    rows: list[Row]
    steady: frozenset[Key]


class Counters:
    """The sums of some counters of a preset's backends at the last ticks."""

    def __init__(
        self,
        preset: Preset,
        more: tuple[str, ...] = (),
        *,
        kept: Mapping[str, str] = MappingProxyType({}),
        may_fall: str | None = None,
    ) -> None:
        """Begin without any.

        Args:
            preset: whose backends.
            more: the labels of the rows beside those that identify a backend.
            kept: the tag that tells of a sum how many series were kept, where that is another than the sum's own.
            may_fall: the tag of the sum that is not of counters only; None where there is none.
        """
        self._preset, self._kept, self._may_fall = preset, kept, may_fall
        self._labels = (*(label.name for label in preset.isolation), *more, TAG)
        self._known: dict[int, _Sums] = {}
        self._settled: frozenset[Key] = frozenset()
        self._kinds = ByLabels(self._read)

    def take(self, rows: Iterable[Row], keys: frozenset[Key], start: int, end: int) -> Growth:
        """Return the growth from one tick to another, of the backends of which it can be told from the sums.

        Args:
            rows: those at ``end``, as the queries of sums return them; those about other backends are left out.
            keys: the backends of which growth is wanted.
            start: when the earlier tick was evaluated, in milliseconds since 1970.
            end: when this one was, likewise.
        """
        entries, kept = self._sort(rows, keys)
        before = self._known.get(start, _Sums())
        self._remember(end, keys, entries, kept)
        wanted = keys & self._settled & before.keys
        changed = {
            key
            for tag in kept.keys() | before.kept.keys()
            for key in self._differ(wanted, kept.get(tag, _NONE), before.kept.get(tag, _NONE))
        }
        grown: list[tuple[_RowKind, float]] = []
        values, may_fall = before.values, self._may_fall
        for kind, value in entries:
            growth = value - values.get(kind.mark, nan)
            # What is not a number has not grown, nor has what was not there.
            if kind.series in kept.get(kind.kept_tag, _NONE) and (growth >= 0 or (growth < 0 and kind.tag == may_fall)):
                grown.append((kind, growth))
            else:
                changed.add(kind.key)
        steady = wanted - changed
        return Growth([(kind.labels, growth) for kind, growth in grown if kind.key in steady], steady)

    def knows(self, start: int) -> bool:
        """Return whether sums of this time, in milliseconds since 1970, are known."""
        return start in self._known

    def settle(self, keys: frozenset[Key]) -> None:
        """Note that these backends were read in full: from now on their growth may be told from the sums."""
        self._settled |= keys

    def unsettle(self, keys: frozenset[Key]) -> None:
        """Have the growth of these backends read in full until they are settled."""
        self._settled -= keys

    def _differ(
        self, wanted: frozenset[Key], now: Mapping[_Series, float], before: Mapping[_Series, float]
    ) -> Iterable[Key]:
        """Return the backends of which some series are not those that were kept at the tick before."""
        if not self._preset.surrounded:
            # Each backend has one value only.
            return (key for key in wanted if now.get(key) != before.get(key))
        both = now.keys() | before.keys()
        changed = {self._preset.key_of_values(series) for series in both if now.get(series) != before.get(series)}
        return wanted & changed

    def _sort(self, rows: Iterable[Row], keys: frozenset[Key]) -> tuple[list[_Entry], dict[str, dict[_Series, float]]]:
        """Return the sums of these backends, and their kept series by tag."""
        entries: list[_Entry] = []
        kept: dict[str, dict[_Series, float]] = {}
        for entry in self._kinds.over(rows):
            kind, value = entry
            if kind.key not in keys:
                continue
            if kind.kept:
                kept.setdefault(kind.tag, {})[kind.series] = value
            else:
                entries.append(entry)
        return entries, kept

    def _read(self, labels: Labels) -> _RowKind:
        key, tag = self._preset.key_of(labels), labels.get(TAG, "")
        return _RowKind(
            key=key,
            series=self._preset.values_of(labels) if self._preset.surrounded else key,
            tag=tag,
            kept=labels.get(PART) == KEPT,
            kept_tag=self._kept.get(tag, tag),
            mark=tuple([labels.get(name, "") for name in self._labels]),
            labels=labels,
        )

    def _remember(
        self, end: int, keys: frozenset[Key], entries: Iterable[_Entry], kept: Mapping[str, dict[_Series, float]]
    ) -> None:
        # Put last, so that the first is the one that was noted longest ago.
        now = self._known[end] = self._known.pop(end, _Sums())
        now.keys |= keys
        now.values.update({kind.mark: value for kind, value in entries})
        for tag, numbers in kept.items():
            now.kept[tag] = now.kept.get(tag, {}) | numbers
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._settled &= frozenset().union(*(sums.keys for sums in self._known.values()))
