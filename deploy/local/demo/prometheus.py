"""The demo's independent reading of Prometheus, deliberately with other expressions than the operator's.

The operator sums increments from tick to tick; the demo compares the raw counters with those at the start of the run.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from demo.errors import CouldNotAskError, DemoError
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


def expression(condition: AbortCondition, cluster: str) -> str:
    """Return the query for one backend: two series, labelled ``requests`` and ``bad``.

    Raises:
        DemoError: the condition is not about a proportion of requests.
    """
    selector = f'envoy_cluster_name="{cluster}"'
    match condition.metric:
        case Latency(timing=Timing.RESPONSE):
            milliseconds = f"{condition.threshold * 1000:g}"
            requests = f"sum(envoy_cluster_upstream_rq_time_count{{{selector}}})"
            # Prometheus 3 spells the bound 200.0, Prometheus 2 as the target does.
            within = rf'sum(envoy_cluster_upstream_rq_time_bucket{{{selector},le=~"{milliseconds}(\\.0)?"}})'
            bad = f"{requests} - {within}"
        case ErrorRate():
            requests, bad = _by_class(selector, "5")
        case ClientErrorRate():
            requests, bad = _by_class(selector, "4")
        case _:
            raise DemoError(f"{condition.name}: the demo measures response times and classes only")
    return f"{_labelled('requests', requests)} or {_labelled('bad', bad)}"


class Probe:
    """Queries one Prometheus and counts its own queries."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._asked = 0

    async def counts(self, condition: AbortCondition, cluster: str) -> Counts:
        """Return a backend's current counters; a counter that Envoy has not created yet is 0.

        Raises:
            CouldNotAskError: Prometheus did not answer.
        """
        self._asked += 1
        body = await self._get("/api/v1/query", {"query": expression(condition, cluster)})
        try:
            result = msgspec.json.decode(body)["data"]["result"]
            values = {series["metric"]["what"]: float(series["value"][1]) for series in result}
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as problem:
            raise CouldNotAskError(f"{self._url} returned an unexpected response: {problem!r}") from problem
        return Counts(values.get("requests", 0.0), values.get("bad", 0.0))

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


def _by_class(selector: str, digit: str) -> tuple[str, str]:
    name = "envoy_cluster_upstream_rq_xx"
    bad = f'sum({name}{{{selector},envoy_response_code_class="{digit}"}})'
    return f"sum({name}{{{selector}}})", bad


def _labelled(what: str, query: str) -> str:
    return f'label_replace({query}, "what", "{what}", "", "")'
