"""Builders of questions and of the Envoy series in a history, with defaults for what a test does not care about."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from serinus.api.abort_condition import Latency, parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.engine.analysis.measurements import Question, Subject
from support.prometheus.server import EPOCH, History

Samples = Iterable[tuple[float, float]]


def after(seconds: float) -> datetime:
    """Return the time this many seconds after a history's start."""
    return EPOCH + timedelta(seconds=seconds)


def question(  # noqa: PLR0913 - a builder: one argument for each field that some test changes
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
    """Return the question that a line of ``abortOn`` leads to."""
    parsed = parse_abort_condition(condition)
    limit = parsed.threshold if isinstance(parsed.metric, Latency) and not parsed.compared else 0.0
    subject = Subject(namespace, model, version, BackendRef(name=backend, port=port, kind=kind))
    return Question("default", preset, subject, parsed.metric, limit)


def steadily(rate: float, *, begin: float = 0, end: float = 600, every: float = 10, start: float = 0) -> Samples:
    """Return the samples of a counter that grows by ``rate`` a second."""
    count = int((end - begin) // every) + 1
    return [(begin + index * every, start + rate * every * index) for index in range(count)]


def add_classes(history: History, backend: str, classes: Mapping[str, Samples], *, pod: str = "envoy-0") -> None:
    """Add Envoy's response counters of a backend, by class."""
    for name, samples in classes.items():
        labels = {"envoy_cluster_name": f"ml_{backend}_80", "envoy_response_code_class": name, "pod": pod}
        history.add("envoy_cluster_upstream_rq_xx", labels, samples)


def add_presence(history: History, backend: str, samples: Samples, *, pod: str = "envoy-0") -> None:
    """Add the counter that Envoy exposes before a backend's first request."""
    history.add("envoy_cluster_upstream_rq_total", {"envoy_cluster_name": f"ml_{backend}_80", "pod": pod}, samples)


def add_buckets(history: History, backend: str, buckets: Mapping[str, Samples], *, pod: str = "envoy-0") -> None:
    """Add Envoy's histogram of a backend, by ``le`` (milliseconds)."""
    for bound, samples in buckets.items():
        labels = {"envoy_cluster_name": f"ml_{backend}_80", "le": bound, "pod": pod}
        history.add("envoy_cluster_upstream_rq_time_bucket", labels, samples)


def add_lifecycle(  # noqa: PLR0913 - a builder: one argument for each series that some test changes
    history: History,
    backend: str,
    *,
    sent: Samples,
    ended: Samples,
    active: Samples | None = None,
    broken: Mapping[str, Samples],
) -> None:
    """Add Envoy's statistics of a backend's requests from their sending to their end.

    Without ``active`` none is under way at any scrape; ``broken`` has Envoy's names without ``envoy_cluster_``.
    """
    times = list(sent)
    none = [(at, 0.0) for at, _ in times]
    named = {"upstream_rq_total": times, "upstream_rq_retry": none, "upstream_rq_completed": ended}
    for name, samples in (named | {"upstream_rq_active": none if active is None else active} | dict(broken)).items():
        labels = {"envoy_cluster_name": f"ml_{backend}_80", "pod": "envoy-0"}
        history.add(f"envoy_cluster_{name}", labels, samples)
