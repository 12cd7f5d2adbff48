"""Which points there are: derived from the calls of an undisturbed run of each story."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from support.faultpoints.faults import (
    ANY_WRITE,
    CLOCK_FAULTS,
    EVENT_FAULTS,
    KILLS,
    METRICS,
    METRICS_FAULTS,
    READ_FAULTS,
    WRITE_FAULTS,
    Fault,
    Point,
)

SPARED: Final = "discovery"
_BESIDE_CLOCKS: Final = 0.5
"""So many of the points that are neither go into the runs with a clock that is set."""

STEPS: Final = (5.0, 60.0, 3600.0)
"""By how many seconds the clock is set."""


def points_of(story: str, calls: Mapping[str, int]) -> list[Point]:
    """Return every point of a story with these calls."""
    return [
        *_kills(story, calls),
        *_api(story, calls),
        *_events(story, calls),
        *_metrics(story, calls),
        *_clock(story, calls),
    ]


def _kills(story: str, calls: Mapping[str, int]) -> Iterable[Point]:
    for number in range(1, calls[ANY_WRITE] + 1):
        yield from (Point(story, fault, ANY_WRITE, number) for fault in KILLS)


def _api(story: str, calls: Mapping[str, int]) -> Iterable[Point]:
    for call, count in sorted(calls.items()):
        if call in {ANY_WRITE, METRICS} or call.startswith("EVENT "):
            continue
        is_read = call.split(" ", 1)[0] in {"GET", "LIST", "WATCH"}
        faults = (*READ_FAULTS, Fault.STALE_LIST) if call.startswith("LIST ") else READ_FAULTS
        for number in range(1, count + 1):
            yield from (Point(story, fault, call, number) for fault in (faults if is_read else WRITE_FAULTS))


def _events(story: str, calls: Mapping[str, int]) -> Iterable[Point]:
    for call, count in sorted(calls.items()):
        if call.startswith("EVENT "):
            watch = f"WATCH {call.removeprefix('EVENT ')}"
            for number in range(1, count + 1):
                yield from (Point(story, fault, watch, number) for fault in EVENT_FAULTS)


def _metrics(story: str, calls: Mapping[str, int]) -> Iterable[Point]:
    for number in range(1, calls[METRICS] + 1):
        yield from (Point(story, fault, METRICS, number) for fault in METRICS_FAULTS)


def _clock(story: str, calls: Mapping[str, int]) -> Iterable[Point]:
    for number in range(1, calls[ANY_WRITE] + 1):
        for size in STEPS:
            yield Point(story, Fault.CLOCK_FORWARD, ANY_WRITE, number, size)
            yield Point(story, Fault.CLOCK_BACK, ANY_WRITE, number, -size)


def chosen(points: Sequence[Point], most: int, seed: int) -> list[Point]:
    """Return every kill, and of each other class at most so many points, drawn by a seed from all calls alike."""
    by_class: dict[Fault, list[Point]] = defaultdict(list)
    for point in points:
        by_class[point.fault].append(point)
    found: list[Point] = []
    for fault, listed in by_class.items():
        found += listed if fault in KILLS else _drawn(listed, most, seed)
    return found


def sampled(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    """Return so many points: of each class as many as of the others, as far as they go."""
    rng = random.Random(seed)  # noqa: S311 - draws tests
    by_class: dict[Fault, list[Point]] = defaultdict(list)
    for point in sorted(points):
        by_class[point.fault].append(point)
    columns = [rng.sample(listed, len(listed)) for _, listed in sorted(by_class.items())]
    rows = [one for row in range(max(map(len, columns))) for one in [c[row] for c in columns if row < len(c)]]
    return rows[:count]


def _drawn(points: Sequence[Point], most: int, seed: int) -> list[Point]:
    """Draw so that every kind of call has its turn before one has a second."""
    rng = random.Random(seed)  # noqa: S311 - draws tests
    turns: Counter[tuple[str, str]] = Counter()
    ranked: list[tuple[int, float, Point]] = []
    for point in rng.sample(sorted(points), len(points)):
        key = (point.story, point.call)
        ranked.append((turns[key], rng.random(), point))
        turns[key] += 1
    return [point for _, _, point in sorted(ranked)[:most]]


def bundles(points: Sequence[Point], size: int, seed: int) -> list[tuple[Point, ...]]:
    """Return the points in groups of one story that are tried in one run, of at most so many each.

    No run has both a clock that is set and an operator that is killed: where one operator sees the clock being set back
    and only the next one sees it put right, the stage lasts longer by that (docs/explanation/safety.md).
    """
    rng = random.Random(seed)  # noqa: S311 - draws tests
    pools: dict[tuple[str, bool], list[Point]] = defaultdict(list)
    for point in rng.sample(list(points), len(points)):
        beside_clock = point.fault in CLOCK_FAULTS or (point.fault not in KILLS and rng.random() < _BESIDE_CLOCKS)
        pools[point.story, beside_clock].append(point)
    found = [tuple(listed[at : at + size]) for listed in pools.values() for at in range(0, len(listed), size)]
    return rng.sample(found, len(found))
