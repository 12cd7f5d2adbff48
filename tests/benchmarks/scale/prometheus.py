"""What the real Prometheus knew, and when: read afterwards, so that a breach is handled undisturbed."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import aiohttp

from benchmarks.scale.gateway import SERIES_PORT
from benchmarks.scale.objects import NAMESPACE, candidate_of
from benchmarks.scale.process import summed
from localcluster.client import Cluster
from support.e2e.manifests import PORT

WINDOW_SECONDS: Final = 30.0
_CLASSES: Final = "envoy_cluster_upstream_rq_xx"
_JOB: Final = "kubernetes-pods"

Samples = list[tuple[float, float]]
"""Times in seconds since 1970, with values."""


def add_targets(cluster: Cluster, parts: int) -> None:
    """Have Prometheus scrape the generator, in so many targets with addresses of their own."""
    targets = [
        {
            "targets": [f"198.18.0.{20 + part}:{SERIES_PORT}"],
            "labels": {"__metrics_path__": f"/part/{part}/{parts}", "namespace": "projectcontour"},
        }
        for part in range(parts)
    ]
    file = cluster.state / "prometheus" / "targets" / "scale.json"
    file.write_text(json.dumps(targets), encoding="utf-8")


async def query(session: aiohttp.ClientSession, url: str, expression: str) -> list[dict[str, Any]]:
    """Return the result of an instant query."""
    async with session.post(f"{url}/api/v1/query", data={"query": expression}) as response:
        answer = await response.json()
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


async def received(session: aiohttp.ClientSession, url: str) -> float:
    """Return how many queries Prometheus has received, by its own count."""
    async with session.get(f"{url}/metrics") as response:
        text = await response.text()
    lines = [line for line in text.splitlines() if 'handler="/api/v1/query' in line]
    return summed("\n".join(lines)).get("prometheus_http_requests_total", 0.0)


async def visible_at(
    session: aiohttp.ClientSession, url: str, failing_since: Mapping[str, float], limit: float, seconds: float
) -> dict[str, float]:
    """Return when the failures of each model's candidate could first be read over the limit.

    That is the first scrape after which the share of failures of the 30 s before it is over the limit, plus the
    duration of that scrape: its samples can only be read once it has ended.

    Args:
        session: for the requests.
        url: of Prometheus.
        failing_since: when each candidate began to fail (seconds since 1970).
        limit: of the share of failures.
        seconds: how far back to read.
    """
    found: dict[str, dict[str, Samples]] = {}
    instances: dict[str, str] = {}
    for series in await query(session, url, f"{_CLASSES}[{seconds:.0f}s]"):
        labels = series["metric"]
        cluster = labels["envoy_cluster_name"]
        instances[cluster] = labels["instance"]
        found.setdefault(cluster, {})[labels["envoy_response_code_class"]] = _samples(series)
    durations = {
        series["metric"]["instance"]: dict(_samples(series))
        for series in await query(session, url, f'scrape_duration_seconds{{job="{_JOB}"}}[{seconds:.0f}s]')
    }
    result = {}
    for model, since in failing_since.items():
        cluster = f"{NAMESPACE}_{candidate_of(model)}_{PORT}"
        at = first_over(found.get(cluster, {}), limit, since)
        if at is not None:
            result[model] = at + durations[instances[cluster]].get(at, 0.0)
    return result


def first_over(classes: Mapping[str, Samples], limit: float, since: float) -> float | None:
    """Return the time of the first sample since a time whose window of failures is over the limit; None without one.

    Args:
        classes: the samples by class of the response: 2 and 5.
        limit: of the share of failures.
        since: earlier samples are not looked at, but are the beginnings of windows.
    """
    good, bad = classes.get("2", []), classes.get("5", [])
    for at in sorted({time for time, _ in (*good, *bad) if time >= since}):
        failed = _growth(bad, at)
        answered = failed + _growth(good, at)
        if answered and failed / answered > limit:
            return at
    return None


def _growth(samples: Samples, at: float) -> float:
    """Return the growth in the window that ends at a time; a counter that did not exist was at zero."""
    before = [value for time, value in samples if time <= at - WINDOW_SECONDS]
    until = [value for time, value in samples if time <= at]
    first = before[-1] if before else 0.0
    return (until[-1] - first) if until else 0.0


def _samples(series: dict[str, Any]) -> Samples:
    return [(float(time), float(value)) for time, value in series["values"]]


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
