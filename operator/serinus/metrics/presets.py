"""Data planes whose metrics Serinus reads: one declarative entry each; no other module knows about them.

To add a data plane, add an entry to ``PRESETS``, a row to docs/reference/metrics-presets.md, and a test.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from serinus.api.abort_condition import ClientErrorRate, ErrorRate, Latency, Metric, NamedQuery, UnansweredRate
from serinus.api.modelversion import BackendRef
from serinus.metrics.promql import literal, quoted

Key = tuple[str, ...]
"""The values of a preset's isolating labels for one backend, without the prefix and suffix of the data plane."""


@dataclass(frozen=True)
class IsolatingLabel:
    """A label whose value identifies a backend.

    Attributes:
        name: the label.
        value: returns the label's value for a namespace and a backend.
        before: a regular expression for the prefix that the data plane adds to the value; empty where it adds none.
        after: likewise for the suffix.
    """

    name: str
    value: Callable[[str, BackendRef], str]
    before: str = ""
    after: str = ""

    def matcher(self, values: frozenset[str]) -> str:
        """Return the PromQL matcher for all these backends."""
        if len(values) == 1 and not self.before + self.after:
            return f"{self.name}={quoted(*values)}"
        alternatives = "|".join(literal(value) for value in sorted(values))
        pattern = f"{self.before}(?:{alternatives}){self.after}" if self.before + self.after else alternatives
        return f"{self.name}=~{quoted(pattern)}"

    def read(self, text: str) -> str:
        """Return a label value without prefix and suffix; unchanged where it has none."""
        match = self._pattern.fullmatch(text) if self.before + self.after else None
        return match.group(1) if match else text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(f"{self.before}(.*?){self.after}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """A label and a regular expression that its whole value has to match."""

    label: str
    pattern: re.Pattern[str]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series with these labels matches; an absent label is empty, as in PromQL."""
        return self.pattern.fullmatch(labels.get(self.label, "")) is not None


@dataclass(frozen=True, slots=True)
class Histogram:
    """A classic histogram of response times.

    Attributes:
        series: its name with ``_bucket``.
        per_second: units of the histogram in one second: 1000 for milliseconds.
        usual_bounds: the data plane's default finite bounds in that unit; informative, the real ones are queried.
        advice: where the data plane's bounds are configured.
    """

    series: str
    per_second: float
    usual_bounds: tuple[float, ...]
    advice: str

    @property
    def native(self) -> str:
        """The series that has the response times as a native histogram, where Prometheus stores them as one."""
        return self.series.removesuffix("_bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The series that tell which requests never got a complete answer.

    Attributes:
        sent: counters of the attempts to send a request, one for each way that they can go.
        repeated: a counter of the attempts that repeat an earlier one.
        ended: a counter of the requests that were answered, by the backend or by the data plane for it.
        active: a gauge of the attempts under way.
        broken: counters of attempts that the backend broke off, or that found no backend, or whose time was over.
    """

    sent: tuple[str, ...]
    repeated: str
    ended: str
    active: str
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcStatus:
    """The counters of gRPC statuses, which a response of HTTP status 200 carries in its trailers.

    Attributes:
        calls: all calls that ended; a backend speaks gRPC if it has this series.
        failures: those whose status is not OK.
        client_failures: those whose status says that the caller made a mistake or gave up.
        unavailable: those with the status that the data plane gives where it answers instead of the backend; it counts
            them among the responses too.
    """

    calls: str
    failures: str
    client_failures: tuple[str, ...]
    unavailable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one data plane exposes the requests to a backend.

    Attributes:
        name: the value of ``metrics.preset`` in a Rollout.
        isolation: the labels that identify a backend.
        requests: the counter of responses, split by the labels of ``server_errors`` and ``client_errors``.
        server_errors: responses that match any of these count towards ``error_rate``.
        client_errors: responses that match any of these count towards ``client_error_rate``, unless they are server
            errors.
        transport_failures: a counter of requests that never got a response; None where ``requests`` includes them.
        presence: a series that a backend has before its first request; used to check that the data is fresh.
        histogram: the response times; None where the data plane has none by backend.
        fixed: matchers that all series share, as PromQL.
        lifecycle: which requests had no complete answer; None where the data plane does not tell.
        grpc: the statuses of gRPC calls; None where the data plane does not count them.
        kinds: the kinds of backend that the data plane can identify.
        needs_port: whether the backend's port is part of its name in the data plane.
    """

    name: str
    isolation: tuple[IsolatingLabel, ...]
    requests: str
    server_errors: tuple[LabelMatcher, ...]
    client_errors: tuple[LabelMatcher, ...]
    presence: str
    histogram: Histogram | None
    transport_failures: str | None = None
    fixed: str = ""
    lifecycle: Lifecycle | None = None
    grpc: GrpcStatus | None = None
    kinds: frozenset[str] = frozenset({"Service"})
    needs_port: bool = False

    @property
    def by(self) -> str:
        """The isolating labels, as a PromQL list."""
        return ", ".join(label.name for label in self.isolation)

    @property
    def class_labels(self) -> tuple[str, ...]:
        """The labels that classify a response."""
        return tuple(dict.fromkeys(matcher.label for matcher in (*self.server_errors, *self.client_errors)))

    def key(self, namespace: str, backend: BackendRef) -> Key:
        """Return the backend's key in this data plane's series."""
        return tuple(label.value(namespace, backend) for label in self.isolation)

    def key_of(self, labels: Mapping[str, str]) -> Key:
        """Return the key of the backend that a series belongs to."""
        return tuple(label.read(labels.get(label.name, "")) for label in self.isolation)

    def selector(self, series: str, keys: frozenset[Key], more: str = "") -> str:
        """Return the PromQL selector of a series for these backends."""
        matchers = [label.matcher(frozenset(key[index] for key in keys)) for index, label in enumerate(self.isolation)]
        return f"{series}{{{','.join([*matchers, *filter(None, (self.fixed, more))])}}}"

    def problem_with(self, backend: BackendRef, metric: Metric) -> str:
        """Return why this preset cannot measure the metric for the backend; empty where it can."""
        if backend.kind not in self.kinds:
            kinds = " or ".join(sorted(self.kinds))
            return f"preset {self.name} cannot tell a {backend.kind} apart: serve from a {kinds}, or use another preset"
        if self.needs_port and backend.port is None:
            return f"preset {self.name} names a backend by its port: give backendRef {backend.name} a port"
        match metric:
            case Latency() if self.histogram is None:
                return f"preset {self.name} has no response times: use error_rate, or a named query of the source"
            case UnansweredRate() if self.lifecycle is None:
                return f"preset {self.name} does not tell which requests had no answer: use error_rate"
            case Latency() | ErrorRate() | ClientErrorRate() | UnansweredRate() | NamedQuery():
                return ""


def _service_port(namespace: str, backend: BackendRef) -> str:
    """Contour's AltStatName: namespace, service and port, joined by underscores, which none of the three contains."""
    return f"{namespace}_{backend.name}_{backend.port}"


_ENVOY_BOUNDS: Final = (
    *(0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0),
    *(30000.0, 60000.0, 300000.0, 600000.0, 1800000.0, 3600000.0),
)


_NOT_SENT: Final = (
    "envoy_cluster_upstream_rq_pending_failure_eject",
    "envoy_cluster_upstream_rq_pending_overflow",
    "envoy_cluster_upstream_cx_none_healthy",
)
"""Requests that Envoy answered with 503 before it had a connection: refused, too many at once, no endpoint."""

_ENVOY_LIFECYCLE: Final = Lifecycle(
    sent=("envoy_cluster_upstream_rq_total", *_NOT_SENT),
    repeated="envoy_cluster_upstream_rq_retry",
    ended="envoy_cluster_upstream_rq_completed",
    active="envoy_cluster_upstream_rq_active",
    broken=(
        # A backend that breaks an answer off in its midst leaves the class and the status 200: only its connection
        # (HTTP/1) or its stream (HTTP/2) tells. A client that goes away closes from this side, which is not counted.
        "envoy_cluster_upstream_cx_destroy_remote_with_active_rq",
        "envoy_cluster_upstream_rq_rx_reset",
        "envoy_cluster_upstream_rq_timeout",
        "envoy_cluster_upstream_rq_per_try_timeout",
        *_NOT_SENT,
    ),
)

_GRPC_CALLERS_FAULT: Final = (1, 3, 5, 6, 7, 9, 11, 16)
"""CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE and
UNAUTHENTICATED (grpc.io, Status codes and their use in gRPC)."""

_ENVOY_GRPC: Final = GrpcStatus(
    calls="envoy_cluster_grpc_total",
    failures="envoy_cluster_grpc_failure",
    client_failures=tuple(f"envoy_cluster_grpc_{code}" for code in _GRPC_CALLERS_FAULT),
    unavailable="envoy_cluster_grpc_14",
)


def _envoy(name: str) -> Preset:
    """Envoy's own statistics of a cluster.

    Envoy counts a failed connection, a time-out and "no healthy host" as the 503 or 504 that it answers with, so the
    response classes include transport failures. ``upstream_rq_total`` exists from the cluster's start; the response
    classes and the histogram appear with the first response. The statuses of gRPC are counted by the filter
    ``grpc_stats``, which Contour configures.
    """
    return Preset(
        name=name,
        isolation=(IsolatingLabel("envoy_cluster_name", _service_port),),
        requests="envoy_cluster_upstream_rq_xx",
        server_errors=(LabelMatcher("envoy_response_code_class", re.compile("5")),),
        client_errors=(LabelMatcher("envoy_response_code_class", re.compile("4")),),
        presence="envoy_cluster_upstream_rq_total",
        histogram=Histogram(
            "envoy_cluster_upstream_rq_time_bucket",
            per_second=1000.0,
            usual_bounds=_ENVOY_BOUNDS,
            advice="stats_config.histogram_bucket_settings in Envoy's bootstrap",
        ),
        needs_port=True,
        lifecycle=_ENVOY_LIFECYCLE,
        grpc=_ENVOY_GRPC,
    )


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({name: _envoy(name) for name in ("contour", "envoy")})
