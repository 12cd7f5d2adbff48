"""What `serinus check` and `serinus lint --cluster` ask a Prometheus: series of presets, scrape interval, buckets."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isinf
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from serinus.api.abort_condition import AbortCondition, Latency
from serinus.api.quantities import Duration
from serinus.cli.check.cluster import Cluster, value_at
from serinus.metrics.bounds import Bounds
from serinus.metrics.presets import Histogram, Preset

_PRESET: Final = "serinus_preset"
_WINDOW: Final = 300
"""Seconds over which scrapes are counted."""

_IN_CLUSTER: Final = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)(\.svc(\.[a-z0-9.-]+)?)?")


class Row(NamedTuple):
    """One series of the result of an instant query."""

    labels: Mapping[str, str]
    number: float


class Prometheus(Protocol):
    """Answers instant queries."""

    def query(self, promql: str) -> Sequence[Row]:
        """Return the rows of a query.

        Raises:
            RefusedError: the user may not ask, or the query is refused.
            SerinusError: nobody answered.
        """


@dataclass(frozen=True, slots=True)
class ProxiedPrometheus:
    """A Service of the cluster, asked through the API server's proxy with the user's own kubectl.

    Attributes:
        cluster: the cluster.
        path: of the proxy, as :func:`proxy_path` returns it.
    """

    cluster: Cluster
    path: str

    def query(self, promql: str) -> Sequence[Row]:
        """Return the rows of a query; see :class:`Prometheus`."""
        rows = self.cluster.prometheus(self.path, promql)
        return [Row(_labels(one), _number(one)) for one in rows]


def _labels(row: Mapping[str, Any]) -> Mapping[str, str]:
    found = value_at(row, "metric")
    return {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}


def _number(row: Mapping[str, Any]) -> float:
    pair = row.get("value")
    try:
        number = float(pair[1]) if isinstance(pair, list) else 0.0
    except (IndexError, TypeError, ValueError):
        return 0.0
    return 0.0 if isinf(number) else number


def proxy_path(url: str) -> str | None:
    """Return the path of the API server's proxy to a Service of the cluster; None for any other address."""
    parts = urlsplit(url)
    found = _IN_CLUSTER.fullmatch(parts.hostname or "")
    if found is None or parts.scheme not in {"http", "https"}:
        return None
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    path = parts.path.rstrip("/")
    return f"/api/v1/namespaces/{found['namespace']}/services/{parts.scheme}:{found['name']}:{port}/proxy{path}"


def presets_with_series(prometheus: Prometheus, presets: Iterable[Preset]) -> frozenset[str]:
    """Return the names of the presets of which there are series; raises as :meth:`Prometheus.query`."""
    signs = (f'label_replace(count({one.sign}), "{_PRESET}", "{one.name}", "", "")' for one in presets)
    return frozenset(row.labels.get(_PRESET, "") for row in prometheus.query(" or ".join(signs)))


def measured_interval(prometheus: Prometheus, preset: Preset) -> float | None:
    """Return how many seconds are between two samples of a preset's series; None where that is not known yet.

    Counted are series that were there before the window: a new one has fewer samples in it. Raises as
    :meth:`Prometheus.query`.
    """
    scraped = f"count_over_time({preset.presence}[{_WINDOW}s])"
    rows = prometheus.query(f"max({scraped} and {preset.presence} offset {_WINDOW}s)")
    return _WINDOW / rows[0].number if rows and rows[0].number else None


def is_interval(measured: float, configured: Duration) -> bool:
    """Return whether the measured interval is the configured one, as far as a few samples can tell."""
    return 0.75 * configured.seconds <= measured <= 1.5 * configured.seconds


def bounds_in(rows: Iterable[Row]) -> Bounds | None:
    """Return the bucket bounds, from the number of series by ``le``; None where there is no histogram."""
    try:
        return Bounds.of([(row.labels.get("le", ""), row.number) for row in rows if "le" in row.labels], 0)
    except ValueError:
        return None


def shown_bounds(bounds: Iterable[float], histogram: Histogram) -> str:
    """Return the bounds in milliseconds, for a sentence."""
    return ", ".join(f"{bound * 1000 / histogram.per_second:g}" for bound in bounds)


def histogram_of(preset: Preset, condition: AbortCondition) -> Histogram | None:
    """Return the histogram whose buckets a condition's limit is held against; None where it has no such limit."""
    if not isinstance(condition.metric, Latency) or condition.compared or not preset.has(condition.metric):
        return None
    return preset.reading(condition.metric).histogram
