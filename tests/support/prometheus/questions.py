"""Questions, and the series of an Envoy that a history holds, each with what a test does not care about left out."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from serinus.api.abort_condition import Latency, parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.engine.analysis.measurements import Question, Subject
from support.prometheus.server import EPOCH, History

Samples = Iterable[tuple[float, float]]


def after(seconds: float) -> datetime:
    """Return the time so many seconds after a history's begin."""
    return EPOCH + timedelta(seconds=seconds)


def question(  # noqa: PLR0913 - a builder: each field that some test changes
    condition: str = "error_rate > 1%",
    *,
    backend: str = "fraud-2",
    version: str = "2.0.0",
    preset: str = "contour",
    model: str = "fraud",
    namespace: str = "ml",
    port: int | None = 80,
    kind: str = "Service",
) -> Question:
    """Ask what a line of ``abortOn`` asks."""
    parsed = parse_abort_condition(condition)
    limit = parsed.threshold if isinstance(parsed.metric, Latency) else 0.0
    subject = Subject(namespace, model, version, BackendRef(name=backend, port=port, kind=kind))
    return Question("default", preset, subject, parsed.metric, limit)


def steadily(rate: float, *, begin: float = 0, end: float = 600, every: float = 10, start: float = 0) -> Samples:
    """Return a counter that grows by so much a second."""
    count = int((end - begin) // every) + 1
    return [(begin + place * every, start + rate * every * place) for place in range(count)]


def add_classes(history: History, backend: str, classes: Mapping[str, Samples], *, pod: str = "envoy-0") -> None:
    """Add an Envoy's response counters of one backend, by class."""
    for name, samples in classes.items():
        labels = {"envoy_cluster_name": f"ml_{backend}_80", "envoy_response_code_class": name, "pod": pod}
        history.add("envoy_cluster_upstream_rq_xx", labels, samples)


def add_presence(history: History, backend: str, samples: Samples) -> None:
    """Add the counter that an Envoy has before a backend's first request."""
    history.add("envoy_cluster_upstream_rq_total", {"envoy_cluster_name": f"ml_{backend}_80"}, samples)


def add_buckets(history: History, backend: str, buckets: Mapping[str, Samples], *, pod: str = "envoy-0") -> None:
    """Add an Envoy's histogram of one backend, by ``le`` (milliseconds)."""
    for bound, samples in buckets.items():
        labels = {"envoy_cluster_name": f"ml_{backend}_80", "le": bound, "pod": pod}
        history.add("envoy_cluster_upstream_rq_time_bucket", labels, samples)
