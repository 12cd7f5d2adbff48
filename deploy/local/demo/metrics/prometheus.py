"""The demo's independent reading of Prometheus, deliberately with other expressions than the operator's.

The operator sums increments from tick to tick; the demo compares the raw counters with those at the start of the run.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from demo.errors import CouldNotAskError, DemoError
from demo.metrics.dataplanes import CONTOUR, DataPlane
from serinus.api.abort_condition import AbortCondition, ClientErrorRate, ErrorRate, Latency, Timing

MIN_BAD: Final = 3
"""Number of bad requests from which a breach over the limit counts as visible: fewer could be an accident."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=3)
_MAX_BYTES: Final = 4_000_000
_RECEIVED: Final = re.compile(
    r'^prometheus_http_requests_total\{[^}]*handler="/api/v1/query(?:_range)?"[^}]*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of requests to a backend, and of those that were certainly bad."""

    requests: float
    bad: float

    def since(self, before: "Counts") -> "Counts":
        """Return the counts since an earlier reading."""
        return Counts(self.requests - before.requests, self.bad - before.bad)


NO_REQUESTS: Final = Counts(0.0, 0.0)


def is_visible(condition: AbortCondition, counts: Counts) -> bool:
    """Return whether the share of bad requests exceeds the limit, with at least ``MIN_BAD`` of them.

    Raises:
        DemoError: the condition is not about a proportion of requests.
    """
    tolerated = condition.tolerated
    if tolerated is None:
        raise DemoError(f"{condition.text}: the demo measures proportions of requests only")
    return counts.bad >= MIN_BAD and counts.bad > tolerated * counts.requests


def expression(condition: AbortCondition, backend: str, plane: DataPlane = CONTOUR) -> str:
    """Return the query for one backend: series labelled ``requests``, and ``bad`` or ``within`` with a bound.

    Args:
        condition: the condition that is measured.
        backend: the matcher of the backend's series.
        plane: the data plane that has them.

    Raises:
        DemoError: the condition is not about a proportion of requests.
    """
    match condition.metric:
        case Latency(timing=Timing.RESPONSE):
            requests = f"sum({plane.times}_count{{{backend}}})"
            within = f'label_replace(sum by (le) ({plane.times}_bucket{{{backend}}}), "what", "within", "", "")'
            return f"{_labelled('requests', requests)} or {within}"
        case ErrorRate():
            bad = _of_class(plane, backend, "5")
        case ClientErrorRate():
            bad = _of_class(plane, backend, "4")
        case _:
            raise DemoError(f"{condition.name}: the demo measures response times and classes only")
    return f"{_labelled('requests', f'sum({plane.requests}{{{backend}}})')} or {_labelled('bad', bad)}"


def _counts(result: Iterable[Mapping[str, Any]], limit: float) -> Counts:
    """Return what the series of an answer come to; slower than a limit is what no bound from there on contains."""
    requests, bad, within = 0.0, 0.0, dict[float, float]()
    for series in result:
        labels, value = series["metric"], float(series["value"][1])
        match labels["what"]:
            case "requests":
                requests = value
            case "bad":
                bad = value
            case _:
                within[float(labels["le"])] = value
    bounds = [bound for bound in within if bound >= limit]
    return Counts(requests, requests - within[min(bounds)] if bounds else bad)


class Probe:
    """Queries one Prometheus and counts its own queries."""

    def __init__(self, session: aiohttp.ClientSession, url: str, plane: DataPlane = CONTOUR) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._plane = plane
        self._asked = 0

    async def counts(self, condition: AbortCondition, backend: str) -> Counts:
        """Return a backend's current counters, chosen by a matcher; one that does not exist yet is 0.

        Raises:
            CouldNotAskError: Prometheus did not answer.
        """
        result = await self._query(expression(condition, backend, self._plane))
        try:
            return _counts(result, condition.threshold * self._plane.per_second)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise self._unexpected(problem) from problem

    async def value(self, query: str) -> float | None:
        """Return the value of the only series of an answer; None where there is none.

        Raises:
            CouldNotAskError: Prometheus did not answer.
        """
        result = await self._query(query)
        try:
            return float(result[0]["value"][1]) if result else None
        except (KeyError, TypeError, ValueError, IndexError) as problem:
            raise self._unexpected(problem) from problem

    async def _query(self, query: str) -> list[Mapping[str, Any]]:
        self._asked += 1
        body = await self._get("/api/v1/query", {"query": query})
        try:
            result: list[Mapping[str, Any]] = msgspec.json.decode(body)["data"]["result"]
        except (msgspec.DecodeError, KeyError, TypeError) as problem:
            raise self._unexpected(problem) from problem
        return result

    def _unexpected(self, problem: Exception) -> CouldNotAskError:
        return CouldNotAskError(f"{self._url} returned an unexpected response: {problem!r}")

    async def queries_of_others(self) -> float:
        """Return the number of queries that Prometheus has received since its start, except those of this probe.

        Raises:
            CouldNotAskError: Prometheus did not answer.
        """
        page = (await self._get("/metrics", {})).decode()
        return sum(float(value) for value in _RECEIVED.findall(page)) - self._asked

    async def _get(self, path: str, query: dict[str, Any]) -> bytes:
        try:
            async with self._session.get(self._url + path, params=query, timeout=_TIMEOUT) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise CouldNotAskError(f"{self._url}{path} answered more than {_MAX_BYTES} bytes")
                if response.status != 200:  # noqa: PLR2004 - OK
                    raise CouldNotAskError(f"{self._url}{path} answered {response.status}; see the log of prometheus")
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise CouldNotAskError(f"{self._url}{path} did not answer: {problem!r}") from problem


def _of_class(plane: DataPlane, backend: str, digit: str) -> str:
    return f"sum({plane.requests}{{{backend},{plane.of_class(digit)}}})"


def _labelled(what: str, query: str) -> str:
    return f'label_replace({query}, "what", "{what}", "", "")'
