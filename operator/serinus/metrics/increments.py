"""Reads the rows of the increments' queries: what each backend's counters have grown by, and which ones fell. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from serinus.metrics.bounds import bound_of
from serinus.metrics.label_sets import ByLabels, Labels, Row
from serinus.metrics.plausible import NO_FALL, Counts, Fall, Increments
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import COPIES, FAILURES, NOW, PART, TAG


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """A backend's requests by outcome: counts, or rates per second in a ``Display``."""

    requests: float = 0.0
    server_errors: float = 0.0
    client_errors: float = 0.0


class _Responses(NamedTuple):
    """What the labels of a row say of the requests that it counts."""

    key: Key
    server_error: bool
    client_error: bool


class RequestRows:
    """Reads the rows of one preset's requests, tick after tick."""

    def __init__(self, preset: Preset) -> None:
        """Begin without any row."""
        self._preset = preset
        self._responses = ByLabels(self._read)

    def counts(self, rows: Iterable[Row]) -> dict[Key, RequestCounts]:
        """Sum requests by backend and outcome."""
        sums: dict[Key, list[float]] = {}
        for (key, server_error, client_error), count in self._responses.over(rows):
            backend = sums.get(key)
            if backend is None:
                backend = sums[key] = [0.0, 0.0, 0.0]
            backend[0] += count
            if server_error:
                backend[1] += count
            elif client_error:
                backend[2] += count
        return {key: RequestCounts(*backend) for key, backend in sums.items()}

    def increments(self, rows: Iterable[Row]) -> Increments[RequestCounts]:
        """Read the rows of the requests' query."""
        return _increments(self._preset, rows, self.counts, lambda counts: counts.requests)

    def _read(self, labels: Labels) -> _Responses:
        preset = self._preset
        server = labels.get(TAG) == FAILURES or any(matcher.matches(labels) for matcher in preset.server_errors)
        client = any(matcher.matches(labels) for matcher in preset.client_errors)
        return _Responses(preset.key_of(labels), server, client)


class BucketRows:
    """Reads the rows of one preset's buckets, tick after tick."""

    def __init__(self, preset: Preset) -> None:
        """Begin without any row."""
        self._preset = preset
        self._bounds = ByLabels(lambda labels: (preset.key_of(labels), bound_of(labels.get("le", ""))))

    def increments(self, rows: Iterable[Row]) -> Increments[Mapping[float, float]]:
        """Return each bucket's cumulative count; two spellings of a bound are added up."""
        return _increments(self._preset, rows, self._by_bound, lambda buckets: buckets.get(inf, 0.0))

    def _by_bound(self, rows: Iterable[Row]) -> Mapping[Key, Mapping[float, float]]:
        buckets: dict[Key, dict[float, float]] = {}
        for (key, bound), count in self._bounds.over(rows):
            backend = buckets.get(key)
            if backend is None:
                backend = buckets[key] = {}
            backend[bound] = backend.get(bound, 0.0) + count
        return buckets


def _increments(
    preset: Preset,
    rows: Iterable[Row],
    read: Callable[[Iterable[Row]], Mapping[Key, Counts]],
    requests: Callable[[Counts], float],
) -> Increments[Counts]:
    """Return the increments as ``read`` sums them up; ``requests`` returns the requests among such a sum."""
    parts = parted(preset, rows)
    growth = read(parts.grown)
    return Increments(
        # Mostly nothing fell: then the rows are read once.
        read((*parts.grown, *parts.fell)) if parts.fell else growth,
        {key: requests(counts) for key, counts in growth.items()},
        parts.falls,
        parts.copies,
    )


class Parts(NamedTuple):
    """The rows of counters that grew and that fell, by how much these fell, and how many equal series there are."""

    grown: list[Row]
    fell: list[Row]
    falls: dict[Key, tuple[Fall, ...]]
    copies: dict[Key, float]


def parted(preset: Preset, rows: Iterable[Row]) -> Parts:
    """Sort rows into those of counters that grew, that fell, and those that say something about both."""
    grown: list[Row] = []
    fell: list[Row] = []
    copies: dict[Key, float] = {}
    falls: dict[Key, dict[tuple[tuple[str, str], ...], Fall]] = {}
    for row in rows:
        labels, count = row
        part = labels.get(PART)
        if part is None:
            grown.append(row)
        elif part == COPIES:
            copies[preset.key_of(labels)] = count
        else:
            fell += [(labels, count)] if part == NOW else []
            counter = tuple(sorted(item for item in labels.items() if item[0] != PART))
            of_backend = falls.setdefault(preset.key_of(labels), {})
            fall = Fall(count, 0.0) if part == NOW else Fall(0.0, count)
            of_backend[counter] = of_backend.get(counter, NO_FALL) + fall
    return Parts(grown, fell, {key: tuple(counters.values()) for key, counters in falls.items()}, copies)
