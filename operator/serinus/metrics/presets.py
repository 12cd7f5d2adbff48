"""The data planes whose metrics Serinus reads: one declarative entry each, and nothing about them elsewhere.

A new data plane is one more entry of ``PRESETS``, its row in docs/reference/metrics-presets.md, and its own test.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from serinus.api.abort_condition import ClientErrorRate, ErrorRate, Latency, Metric, NamedQuery
from serinus.api.modelversion import BackendRef
from serinus.metrics.promql import literal, quoted

Key = tuple[str, ...]
"""The values of a preset's isolating labels for one backend, without what may surround them."""


@dataclass(frozen=True)
class IsolatingLabel:
    """A label whose value tells one backend from another.

    Attributes:
        name: the label.
        value: makes the backend's value from its namespace and itself.
        before: a regular expression that may stand before it in the label, where the data plane adds something.
        after: likewise after it.
    """

    name: str
    value: Callable[[str, BackendRef], str]
    before: str = ""
    after: str = ""

    def matcher(self, values: frozenset[str]) -> str:
        """Return the PromQL matcher of all these backends."""
        if len(values) == 1 and not self.before + self.after:
            return f"{self.name}={quoted(*values)}"
        alternatives = "|".join(literal(value) for value in sorted(values))
        around = f"{self.before}(?:{alternatives}){self.after}" if self.before + self.after else alternatives
        return f"{self.name}=~{quoted(around)}"

    def read(self, text: str) -> str:
        """Return the backend's own part of a label value; the whole where nothing surrounds it."""
        found = self._form.fullmatch(text) if self.before + self.after else None
        return found.group(1) if found else text

    @cached_property
    def _form(self) -> re.Pattern[str]:
        return re.compile(f"{self.before}(.*?){self.after}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Where:
    """A label and the form (a regular expression, of the whole value) that it has for some responses."""

    label: str
    form: re.Pattern[str]

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Say whether a series is one of them; a label that is absent is empty, as in PromQL."""
        return self.form.fullmatch(labels.get(self.label, "")) is not None


@dataclass(frozen=True, slots=True)
class Histogram:
    """A classic histogram of response times.

    Attributes:
        series: its name with ``_bucket``.
        per_second: its units in one second: 1000 for milliseconds.
        usual_bounds: the data plane's default finite bounds in its unit; for people: the real ones are learnt.
        advice: how a bound is added.
    """

    series: str
    per_second: float
    usual_bounds: tuple[float, ...]
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How one data plane tells of the requests to one backend.

    Attributes:
        name: what a Rollout calls it.
        isolation: the labels that tell backends apart.
        requests: the counter of responses, split by the labels of ``server_errors`` and ``client_errors``.
        server_errors: the responses that count for ``error_rate``; one that any of these fits.
        client_errors: the responses that count for ``client_error_rate``, unless they are server errors.
        transport_failures: a counter of requests that never got a response and that ``requests`` does not hold; None
            where it holds them.
        presence: a series that a backend has before its first request; it says how fresh the figures are.
        histogram: the response times; None where the data plane has none that tells backends apart.
        fixed: matchers that all series share, as PromQL.
        kinds: the kinds of backend that it can tell apart.
        needs_port: whether the backend's port is part of its name there.
    """

    name: str
    isolation: tuple[IsolatingLabel, ...]
    requests: str
    server_errors: tuple[Where, ...]
    client_errors: tuple[Where, ...]
    presence: str
    histogram: Histogram | None
    transport_failures: str | None = None
    fixed: str = ""
    kinds: frozenset[str] = frozenset({"Service"})
    needs_port: bool = False

    @property
    def by(self) -> str:
        """The isolating labels, as a PromQL list."""
        return ", ".join(label.name for label in self.isolation)

    @property
    def class_labels(self) -> tuple[str, ...]:
        """The labels that say how a response ended."""
        return tuple(dict.fromkeys(where.label for where in (*self.server_errors, *self.client_errors)))

    def key(self, namespace: str, backend: BackendRef) -> Key:
        """Return what the backend is called in this data plane's series."""
        return tuple(label.value(namespace, backend) for label in self.isolation)

    def key_of(self, labels: Mapping[str, str]) -> Key:
        """Return which backend a series is about."""
        return tuple(label.read(labels.get(label.name, "")) for label in self.isolation)

    def selector(self, series: str, keys: frozenset[Key], more: str = "") -> str:
        """Return the series of these backends."""
        matchers = [label.matcher(frozenset(key[place] for key in keys)) for place, label in enumerate(self.isolation)]
        return f"{series}{{{','.join([*matchers, *filter(None, (self.fixed, more))])}}}"

    def problem_with(self, backend: BackendRef, metric: Metric) -> str:
        """Say why this can never be read here; empty where it can."""
        if backend.kind not in self.kinds:
            kinds = " or ".join(sorted(self.kinds))
            return f"preset {self.name} cannot tell a {backend.kind} apart: serve from a {kinds}, or use another preset"
        if self.needs_port and backend.port is None:
            return f"preset {self.name} names a backend by its port: give backendRef {backend.name} a port"
        match metric:
            case Latency() if self.histogram is None:
                return f"preset {self.name} has no response times: use error_rate, or a named query of the source"
            case Latency() | ErrorRate() | ClientErrorRate() | NamedQuery():
                return ""


def _service_port(namespace: str, backend: BackendRef) -> str:
    """Contour's AltStatName: namespace, service and port, joined by underscores; no such name holds one itself."""
    return f"{namespace}_{backend.name}_{backend.port}"


_ENVOY_BOUNDS: Final = (
    *(0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0),
    *(30000.0, 60000.0, 300000.0, 600000.0, 1800000.0, 3600000.0),
)


def _envoy(name: str) -> Preset:
    """Envoy's own statistics of a cluster.

    A connection that fails, a time-out and "no healthy host" are counted by Envoy as the 503 or 504 that it answers
    with, so the response classes hold the failures of the transport. ``upstream_rq_total`` is there from the cluster's
    start; the response classes and the histogram appear with the first response.
    """
    return Preset(
        name=name,
        isolation=(IsolatingLabel("envoy_cluster_name", _service_port),),
        requests="envoy_cluster_upstream_rq_xx",
        server_errors=(Where("envoy_response_code_class", re.compile("5")),),
        client_errors=(Where("envoy_response_code_class", re.compile("4")),),
        presence="envoy_cluster_upstream_rq_total",
        histogram=Histogram(
            "envoy_cluster_upstream_rq_time_bucket",
            per_second=1000.0,
            usual_bounds=_ENVOY_BOUNDS,
            advice="stats_config.histogram_bucket_settings in Envoy's bootstrap",
        ),
        needs_port=True,
    )


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({name: _envoy(name) for name in ("contour", "envoy")})
