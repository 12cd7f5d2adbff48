"""Reads what a preset's counters have grown by in a tick: mostly from their sums, else in full (``counters``)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from serinus.metrics.bounds import Spellings
from serinus.metrics.counters import Counters
from serinus.metrics.grpc_calls import grpc_counters, grpc_query, grpc_sums_query, with_grpc
from serinus.metrics.health import number
from serinus.metrics.increments import BucketRows, RequestCounts, RequestRows
from serinus.metrics.label_sets import Row
from serinus.metrics.lifecycle import (
    BROKEN,
    ENDED,
    OPEN,
    LifecycleCounts,
    LifecycleRows,
    lifecycle_query,
    lifecycle_sums_query,
)
from serinus.metrics.plausible import Increments
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import (
    COPIES,
    PART,
    RELABELLED,
    TAG,
    UNEVEN,
    Reach,
    bucket_sums_query,
    buckets_query,
    relabelled_query,
    request_sums_query,
    requests_query,
    uneven_query,
)
from serinus.metrics.workers import Failure, Workers

_AT_ONCE: Final = 500
"""Backends that are read in full by one query: of thousands, as at the start, one would take longer than its time-out
allows; those that were read are settled, and the next tick has less to read."""

_ABOUT: Final = frozenset({UNEVEN, RELABELLED})
"""Tags of rows that say something of a backend's series; all others are counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked about one tick.

    Attributes:
        preset: by which the backends are selected; the rows may be about others, too.
        backends: whose increments; those of response times too where there are ``bounds``.
        rated: whether increments of requests are wanted.
        bounds: the bounds of the buckets that are wanted.
        ended: the backends of which it is asked which requests ended.
        calls: those that speak gRPC.
        start: when the tick before was evaluated, in milliseconds since 1970.
        end: when this one is, likewise.
        lookback: how far before ``start`` to search for a series, in milliseconds.
        scrape: milliseconds that contain one scrape, and not the one before it.
        changes: how far before ``end`` to search for other labels of a target, in milliseconds.
    """

    preset: Preset
    backends: frozenset[Key]
    rated: bool
    bounds: Spellings
    ended: frozenset[Key]
    calls: frozenset[Key]
    start: int
    end: int
    lookback: int
    scrape: int
    changes: int

    @property
    def span(self) -> int:
        """The length of the tick, in milliseconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of one kind of counters.

    Attributes:
        counters: what is known of them.
        keys: of which backends.
        sums: the query of their sums.
        full: returns the query of the increments of these backends.
        about: the tags of the rows in its answer that are not counts.
    """

    counters: Counters
    keys: frozenset[Key]
    sums: str
    full: Callable[[frozenset[Key]], str]
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The increments of one tick.

    Attributes:
        requests: of requests by backend.
        buckets: of each cumulative bucket by backend.
        lifecycle: which requests ended, by backend.
        uneven: the backends of which some series lack a needed bucket.
        unread: the backends of which something could not be read, and why.
    """

    requests: Increments[RequestCounts] | Failure
    buckets: Increments[Mapping[float, float]] | Failure
    lifecycle: Mapping[Key, LifecycleCounts] | Failure
    uneven: frozenset[Key]
    unread: Mapping[Key, Failure]


class IncrementReader:
    """Reads one preset's increments; knows its counters at the last ticks."""

    def __init__(self, preset: Preset, workers: Workers) -> None:
        """Prepare; nothing is sent."""
        self._preset, self._workers = preset, workers
        self._requests = Counters(preset, preset.class_labels)
        self._buckets = Counters(preset, ("le",))
        counters = grpc_counters(preset.grpc) if preset.grpc is not None else ()
        self._calls = Counters(preset, kept=dict.fromkeys(counters, ""))
        self._lifecycle = Counters(preset, kept=dict.fromkeys((ENDED, OPEN, BROKEN), ""), may_fall=OPEN)
        self._request_rows, self._bucket_rows = RequestRows(preset), BucketRows(preset)
        self._lifecycle_rows = LifecycleRows(preset)
        self._about: dict[str, frozenset[Key]] = dict.fromkeys(_ABOUT, frozenset())

    async def read(self, wanted: Wanted) -> Read:
        """Return the increments of a tick, in at most four queries.

        Backends of which something has changed take four more, for each ``_AT_ONCE`` of them.
        """
        unread: dict[Key, Failure] = {}
        for counters in (self._requests, self._buckets):
            counters.unsettle(self._about[RELABELLED])
        requests, buckets, lifecycle = await asyncio.gather(
            self._read_requests(wanted, unread),
            self._read_buckets(wanted, unread),
            self._read_lifecycle(wanted, unread),
        )
        about = self._about[UNEVEN]
        return Read(requests=requests, buckets=buckets, lifecycle=lifecycle, uneven=about, unread=unread)

    def _reach(self, wanted: Wanted) -> Reach:
        return Reach(wanted.span, wanted.lookback, self._about[RELABELLED], wanted.scrape)

    async def _read_requests(self, wanted: Wanted, unread: dict[Key, Failure]) -> Increments[RequestCounts] | Failure:
        if not wanted.rated:
            return Increments()
        preset, reach = self._preset, self._reach(wanted)

        def full(changed: frozenset[Key]) -> str:
            return f"{requests_query(preset, changed, reach)} or {relabelled_query(preset, changed, wanted.changes)}"

        sums = request_sums_query(wanted.preset, wanted.backends, wanted.span)
        rows, failed_calls = await asyncio.gather(
            self._counted(_Asked(self._requests, wanted.backends, sums, full, (RELABELLED,)), wanted, unread),
            self._read_calls(wanted, reach, unread),
        )
        if isinstance(rows, Failure):
            return rows
        if isinstance(failed_calls, Failure):
            return failed_calls
        return with_grpc(preset, self._request_rows.increments(rows), failed_calls)

    async def _read_calls(self, wanted: Wanted, reach: Reach, unread: dict[Key, Failure]) -> Sequence[Row] | Failure:
        preset, grpc, keys = self._preset, self._preset.grpc, wanted.calls
        if grpc is None or not keys:
            return ()

        def full(changed: frozenset[Key]) -> str:
            return grpc_query(preset, grpc, changed, reach)

        sums = grpc_sums_query(wanted.preset, grpc, keys, wanted.span)
        return await self._counted(_Asked(self._calls, keys, sums, full), wanted, unread)

    async def _read_buckets(
        self, wanted: Wanted, unread: dict[Key, Failure]
    ) -> Increments[Mapping[float, float]] | Failure:
        preset, histogram, bounds = self._preset, self._preset.histogram, wanted.bounds
        if histogram is None or not bounds:
            return Increments()
        reach = self._reach(wanted)

        def full(changed: frozenset[Key]) -> str:
            queries = (
                buckets_query(preset, histogram, changed, bounds, reach),
                uneven_query(preset, histogram, changed, bounds),
                relabelled_query(preset, changed, wanted.changes),
            )
            return " or ".join(filter(None, queries))

        sums = bucket_sums_query(wanted.preset, histogram, wanted.backends, bounds, wanted.span)
        asked = _Asked(self._buckets, wanted.backends, sums, full, (UNEVEN, RELABELLED))
        rows = await self._counted(asked, wanted, unread)
        return rows if isinstance(rows, Failure) else self._bucket_rows.increments(rows)

    async def _read_lifecycle(
        self, wanted: Wanted, unread: dict[Key, Failure]
    ) -> Mapping[Key, LifecycleCounts] | Failure:
        preset, lifecycle, keys = self._preset, self._preset.lifecycle, wanted.ended
        if lifecycle is None or not keys:
            return {}
        reach = self._reach(wanted)

        def full(changed: frozenset[Key]) -> str:
            return lifecycle_query(preset, lifecycle, changed, reach)

        sums = lifecycle_sums_query(wanted.preset, lifecycle, keys, wanted.span)
        rows = await self._counted(_Asked(self._lifecycle, keys, sums, full), wanted, unread)
        return rows if isinstance(rows, Failure) else self._lifecycle_rows.counts(rows)

    async def _counted(self, asked: _Asked, wanted: Wanted, unread: dict[Key, Failure]) -> Sequence[Row] | Failure:
        """Return the rows of growth: those of steady backends from the sums, those of all others in full."""
        counters, keys = asked.counters, asked.keys
        if not counters.knows(wanted.start):
            # Nothing can be told from the sums yet: the two queries need not wait for each other.
            now, changed = await asyncio.gather(
                self._rows(asked.sums, wanted.end), self._full(asked, keys, wanted, unread)
            )
            if not isinstance(now, Failure):
                counters.take(now, keys, wanted.start, wanted.end)
            return changed
        now = await self._rows(asked.sums, wanted.end)
        if isinstance(now, Failure):
            return now
        growth = counters.take(now, keys, wanted.start, wanted.end)
        return [*growth.rows, *await self._full(asked, keys - growth.steady, wanted, unread)]

    async def _full(
        self, asked: _Asked, keys: frozenset[Key], wanted: Wanted, unread: dict[Key, Failure]
    ) -> Sequence[Row]:
        """Return the increments of these backends, some at a time; those that could not be read are ``unread``."""
        asked.counters.unsettle(keys)
        listed = sorted(keys)
        groups = [frozenset(listed[first : first + _AT_ONCE]) for first in range(0, len(listed), _AT_ONCE)]
        counts: list[Row] = []
        answers = await asyncio.gather(*(self._rows(asked.full(group), wanted.end) for group in groups))
        for group, rows in zip(groups, answers, strict=True):
            if isinstance(rows, Failure):
                unread.update(dict.fromkeys(group, rows))
            else:
                counts += self._settled(asked, group, rows)
        return counts

    def _settled(self, asked: _Asked, keys: frozenset[Key], rows: Sequence[Row]) -> Sequence[Row]:
        """Return the counts among the rows about these backends; note what the others say of them."""
        counts: list[Row] = []
        found: dict[str, set[Key]] = {tag: set() for tag in asked.about}
        copies: set[Key] = set()
        for row in rows:
            labels, _ = row
            if labels.get(TAG) in found:
                found[labels[TAG]].add(self._preset.key_of(labels))
                continue
            counts.append(row)
            if labels.get(PART) == COPIES:
                copies.add(self._preset.key_of(labels))
        for tag in asked.about:
            self._about[tag] = (self._about[tag] - keys) | found[tag]
        asked.counters.settle(keys - copies)
        return counts

    async def _rows(self, query: str, at: int) -> Sequence[Row] | Failure:
        result = await self._workers.instant(query, at)
        if isinstance(result, Failure):
            return result
        return [(sample.metric, number(sample)) for sample in result.samples]
