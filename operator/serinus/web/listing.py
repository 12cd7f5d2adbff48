"""The list of all Rollouts: one small row for each, filters, and pages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from urllib.parse import urlencode

from msgspec import field

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration
from serinus.api.rollout_status import Phase, StageState
from serinus.engine.view.silence import is_long_ago
from serinus.errors import InvalidObjectError
from serinus.kube.raw import Condition, Raw, read_whole
from serinus.web.attention import Attention, attention_of

PAGE_SIZE: Final = 100
LONGEST_FILTER: Final = 253
"""Characters of a filter: no name in Kubernetes is longer."""

_ON_TRIAL: Final = frozenset({Phase.PROGRESSING.value, Phase.PAUSED.value})
_LAST_PAGE: Final = 1_000_000
_SUMMARY: Final = 400
"""Characters of a summary in the list; the page of the Rollout has the whole."""


class _Serving(Raw, frozen=True, kw_only=True):
    version: str = ""
    weight: float = 0.0


class _Stage(Raw, frozen=True, kw_only=True):
    name: str = ""
    state: str = ""
    state_since: datetime | None = None


class _Judged(Raw, frozen=True, kw_only=True):
    at: datetime


class _Status(Raw, frozen=True, kw_only=True):
    phase: str = ""
    reason: str = ""
    summary: str = ""
    next_action: str = ""
    stable: _Serving | None = None
    candidate: _Serving | None = None
    stage: _Stage | None = None
    phase_since: datetime | None = None
    evidence: tuple[_Judged, ...] = ()
    conditions: tuple[Condition, ...] = ()


class _Metrics(Raw, frozen=True, kw_only=True):
    interval: str = ""


class _Spec(Raw, frozen=True, kw_only=True):
    model: str = ""
    version: str = ""
    metrics: _Metrics = field(default_factory=_Metrics)


class _Metadata(Raw, frozen=True, kw_only=True):
    name: str
    namespace: str = ""


class _Rollout(Raw, frozen=True, kw_only=True):
    metadata: _Metadata
    spec: _Spec = field(default_factory=_Spec)
    status: _Status = field(default_factory=_Status)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """What the list shows of a Rollout.

    Attributes:
        weight: the candidate's confirmed share of the traffic in percent; None without a candidate.
        since: since when the phase holds; None where the operator has not said.
    """

    key: ObjectKey
    model: str
    attention: Attention
    phase: str
    reason: str
    stable: str
    candidate: str
    weight: float | None
    stage: str
    since: datetime | None
    summary: str
    next_action: str

    @property
    def order(self) -> tuple[int, float, ObjectKey]:
        """What the list is sorted by: what needs a person first, then the latest change, then the name."""
        return int(self.attention), -(self.since.timestamp() if self.since is not None else 0.0), self.key


def row_of(raw: Mapping[str, Any], now: datetime) -> RolloutRow:
    """Return the row of a Rollout at ``now`` (UTC); one whose fields cannot be read is a row that says so.

    Raises:
        InvalidObjectError: it has not even a name.
    """
    try:
        rollout = read_whole(_Rollout, raw)
    except InvalidObjectError as problem:
        return _unreadable(raw, problem)
    status = rollout.status
    candidate, conditions = status.candidate, {condition.type: condition for condition in status.conditions}
    return RolloutRow(
        key=ObjectKey(rollout.metadata.namespace, rollout.metadata.name),
        model=rollout.spec.model,
        attention=attention_of(
            status.phase or Phase.PENDING,
            status.stage.state if status.stage is not None else "",
            stalled=_is(conditions, ConditionType.STALLED, ConditionStatus.TRUE),
            backends_down=_is(conditions, ConditionType.BACKENDS_READY, ConditionStatus.FALSE),
            unwatched=_is_unwatched(rollout, now),
        ),
        phase=status.phase or Phase.PENDING.value,
        reason=status.reason,
        stable=status.stable.version if status.stable is not None else "",
        candidate=candidate.version if candidate is not None else "",
        weight=candidate.weight if candidate is not None else None,
        stage=status.stage.name if status.stage is not None else "",
        since=status.phase_since,
        summary=_shortened(status.summary),
        next_action=_shortened(status.next_action),
    )


def _is_unwatched(rollout: _Rollout, now: datetime) -> bool:
    """Return whether a stage is watched and has not been judged for too long."""
    status = rollout.status
    if status.stage is None or status.stage.state != StageState.ANALYZING or status.phase not in _ON_TRIAL:
        return False
    try:
        interval = Duration(rollout.spec.metrics.interval).value
    except ValueError:
        interval = None
    told = (status.stage.state_since, *(one.at for one in status.evidence))
    # A time without an offset was not written by the operator.
    times = [at for at in told if at is not None and at.tzinfo is not None]
    return bool(status.evidence and times) and is_long_ago(max(times), interval, now)


def _is(conditions: Mapping[str, Condition], kind: ConditionType, status: ConditionStatus) -> bool:
    condition = conditions.get(kind.value)
    return condition is not None and condition.status == status.value


def _shortened(text: str) -> str:
    return text if len(text) <= _SUMMARY else f"{text[: _SUMMARY - 1]}…"


def _unreadable(raw: Mapping[str, Any], problem: InvalidObjectError) -> RolloutRow:
    metadata = read_whole(_Metadata, raw.get("metadata") or {})
    return RolloutRow(
        key=ObjectKey(metadata.namespace, metadata.name),
        model="",
        attention=Attention.WAITS,
        phase=Phase.INVALID.value,
        reason="",
        stable="",
        candidate="",
        weight=None,
        stage="",
        since=None,
        summary=_shortened(f"The stored object cannot be read: {problem}"),
        next_action="",
    )


class FilterError(ValueError):
    """A filter of the URL is invalid; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the list is restricted to; empty parts restrict nothing.

    Attributes:
        text: found in namespace, name, model, versions, reason or summary, whatever the case.
        page: from 1.
    """

    namespace: str = ""
    phase: str = ""
    text: str = ""
    page: int = 1

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Self:
        """Return the filters of a URL's query; FilterError where one is invalid or not known."""
        unknown = sorted(query.keys() - {"namespace", "phase", "text", "page"})
        if unknown:
            raise FilterError(f"there is no filter {unknown[0]!r}: use namespace, phase, text and page")
        texts = {name: query.get(name, "").strip() for name in ("namespace", "phase", "text")}
        for name, text in texts.items():
            if len(text) > LONGEST_FILTER:
                raise FilterError(f"{name}: at most {LONGEST_FILTER} characters")
        if texts["phase"] and texts["phase"] not in set(Phase):
            raise FilterError(f"phase: {texts['phase']!r} is not one of {', '.join(Phase)}")
        return cls(**texts, page=_page(query.get("page", "") or "1"))

    def query(self, page: int) -> str:
        """Return the query of the URL of a page with the same filters; empty for the first page without filters."""
        parts = {"namespace": self.namespace, "phase": self.phase, "text": self.text}
        kept = {name: text for name, text in parts.items() if text} | ({"page": str(page)} if page > 1 else {})
        return f"?{urlencode(kept)}" if kept else ""

    def admits(self, row: RolloutRow) -> bool:
        """Return whether the list shows this row."""
        if self.namespace and row.key.namespace != self.namespace:
            return False
        if self.phase and row.phase != self.phase:
            return False
        return not self.text or self.text.casefold() in _searched(row)


def _page(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(_LAST_PAGE))) or int(text) < 1:
        raise FilterError(f"page: {text[:20]!r} is not a number from 1")
    return int(text)


def _searched(row: RolloutRow) -> str:
    texts = (*row.key, row.model, row.stable, row.candidate, row.reason, row.stage, row.summary)
    return "\n".join(texts).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListView:
    """One page of the list.

    Attributes:
        counts: how many Rollouts of the whole selection are in each group, the first group first.
        matching: number of Rollouts that the filters admit.
        total: number of all Rollouts that were read.
        pages: number of pages, at least 1.
    """

    rows: tuple[RolloutRow, ...]
    filters: Filters
    counts: tuple[tuple[str, int], ...]
    namespaces: tuple[str, ...]
    matching: int
    total: int
    pages: int


def ordered(rows: Iterable[RolloutRow]) -> tuple[RolloutRow, ...]:
    """Return the rows in the order of the list."""
    return tuple(sorted(rows, key=lambda row: row.order))


def list_view(rows: Sequence[RolloutRow], namespaces: tuple[str, ...], filters: Filters) -> ListView:
    """Return the page that the filters select from rows that are in order; a page beyond the last is the last."""
    found = [row for row in rows if filters.admits(row)] if filters != Filters(page=filters.page) else rows
    pages = max(1, -(-len(found) // PAGE_SIZE))
    page = min(filters.page, pages)
    counts = dict.fromkeys(Attention, 0)
    for row in found:
        counts[row.attention] += 1
    return ListView(
        rows=tuple(found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]),
        filters=Filters(namespace=filters.namespace, phase=filters.phase, text=filters.text, page=page),
        counts=tuple((attention.label, count) for attention, count in counts.items() if count),
        namespaces=namespaces,
        matching=len(found),
        total=len(rows),
        pages=pages,
    )
