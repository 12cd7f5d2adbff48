"""What `serinus explain` says, as data for scripts and incident tools."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from serinus.api.parsing import encode
from serinus.cli.rollouts.explain_text import Query
from serinus.engine.view.checks import CheckView
from serinus.engine.view.explanation import Explanation


class _Point(Struct, frozen=True, kw_only=True, rename="camel"):
    at: datetime
    requests: int
    bad: int
    evidence: float | None


class _Condition(Struct, frozen=True, kw_only=True, rename="camel"):
    """One condition; ``evidence`` and ``needed`` are null where its value is compared instead."""

    condition: str
    metric: str
    guard: bool
    verdict: str
    cause: str
    value: str
    limit: str
    requests: int
    evidence: float | None
    needed: float | None
    message: str
    why: str
    at: datetime
    points: tuple[_Point, ...]
    queries: tuple[Query, ...]


class _Explanation(Struct, frozen=True, kw_only=True, rename="camel"):
    headline: str
    waits: tuple[str, ...]
    version: str
    begin: datetime | None
    end: datetime
    conditions: tuple[_Condition, ...]


def explanation_data(explained: Explanation, queries: Mapping[str, Sequence[Query]]) -> dict[str, Any]:
    """Return an explanation as JSON and YAML have it: camelCase, times in UTC."""
    return encode(
        _Explanation(
            headline=explained.headline,
            waits=explained.waits,
            version=explained.version,
            begin=explained.begin,
            end=explained.end,
            conditions=tuple(_condition(check, why, queries[check.condition]) for check, why in explained.checks),
        )
    )


def _condition(check: CheckView, why: str, queries: Sequence[Query]) -> _Condition:
    return _Condition(
        condition=check.condition,
        metric=check.metric,
        guard=check.guard,
        verdict=check.verdict.value,
        cause=check.cause,
        value=check.value,
        limit=check.limit,
        requests=check.requests,
        evidence=check.evidence,
        needed=check.needed,
        message=check.message,
        why=why,
        at=check.at,
        points=tuple(
            _Point(at=point.at, requests=point.requests, bad=point.bad, evidence=point.figure) for point in check.points
        ),
        queries=tuple(queries),
    )
