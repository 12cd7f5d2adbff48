"""What a preset says of a data plane: the labels that identify a backend, and its series."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Self

from serinus.api.abort_condition import (
    AbortRate,
    ClientErrorRate,
    ErrorRate,
    Latency,
    Metric,
    NamedQuery,
    PreemptionRate,
    Timing,
    TokensPerSecond,
    UnansweredRate,
)
from serinus.api.modelversion import BackendRef
from serinus.api.preset_metrics import family, missing
from serinus.metrics.presets.series import GrpcStatus, Histogram, LabelMatcher, Lifecycle, Share, Speed
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
        form: likewise for the value of any backend, as far as that tells the data plane from another.
    """

    name: str
    value: Callable[[str, BackendRef], str]
    before: str = ""
    after: str = ""
    form: str = ".+"

    def matcher(self, values: frozenset[str]) -> str:
        """Return the PromQL matcher for all these backends."""
        if len(values) == 1 and not self.before + self.after:
            return f"{self.name}={quoted(*values)}"
        alternatives = "|".join(literal(value) for value in sorted(values))
        pattern = f"{self.before}(?:{alternatives}){self.after}" if self.before + self.after else alternatives
        return f"{self.name}=~{quoted(pattern)}"

    def common_matcher(self, values: frozenset[str]) -> str:
        """Return the PromQL matcher for all backends whose values begin as all of these do."""
        # A pattern that also matches nothing would find the series without this label.
        beginning = _common_beginning(min(values), max(values))
        rest = ".*" if beginning else ".+"
        return f"{self.name}=~{quoted(f'{self.before}{literal(beginning)}{rest}{self.after}')}"

    def any_matcher(self) -> str:
        """Return the PromQL matcher for any backend."""
        return f"{self.name}=~{quoted(f'{self.before}{self.form}{self.after}')}"

    def read(self, text: str) -> str:
        """Return a label value without prefix and suffix; unchanged where it has none."""
        match = self._pattern.fullmatch(text) if self.before or self.after else None
        return match.group(1) if match else text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(f"{self.before}(.*?){self.after}", re.DOTALL)


def _common_beginning(first: str, last: str) -> str:
    """Return how all texts begin that are between these two in their order."""
    differs = (index for index, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(differs, min(len(first), len(last)))]


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
        varying: the labels that the data plane gives to ``requests`` and ``histogram`` beside those above, such as the
            method: the series of one backend at one target differ by them. Empty where there are none. Where
            ``presence`` has such labels, it is one of these series.
        versions: the releases of the data plane whose metrics this describes.
        timings: the histograms of other times than that of ``histogram``.
        preempted: the starts of requests, and those that repeat one; None where the server does not tell.
        aborted: the requests, and those that ended early; likewise.
        speed: how fast tokens are generated; likewise.
        by_prefix: whether selectors match all backends whose names begin as those that are asked about, and not these
            alone: a list of a thousand names costs Prometheus as much as the series.
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
    varying: tuple[str, ...] = ()
    versions: str = ""
    timings: Mapping[Timing, Histogram] = field(default_factory=dict)
    preempted: Share | None = None
    aborted: Share | None = None
    speed: Speed | None = None
    by_prefix: bool = False

    def reading(self, metric: Metric) -> Self:
        """Return this preset with the series of a metric in the place of those of responses and their times.

        A metric that the preset does not have is read as any other; ``problem_with`` refuses it.
        """
        match metric:
            case Latency(timing=timing) if self.timings.get(timing, self.histogram) is not self.histogram:
                return replace(self, histogram=self.timings[timing])
            case PreemptionRate() if self.preempted is not None:
                return self._of_share(self.preempted)
            case AbortRate() if self.aborted is not None:
                return self._of_share(self.aborted)
            case _:
                return self

    def _of_share(self, share: Share) -> Self:
        return replace(
            self,
            requests=share.requests,
            server_errors=share.bad,
            client_errors=(),
            transport_failures=share.beside,
            fixed=share.fixed,
            histogram=None,
            lifecycle=None,
            grpc=None,
        )

    def has(self, metric: Metric) -> bool:
        """Return whether the data plane tells of a metric at all."""
        match metric:
            case Latency(timing=Timing.RESPONSE):
                return self.histogram is not None
            case Latency(timing=timing):
                return timing in self.timings
            case ErrorRate():
                return bool(self.server_errors) or self.transport_failures is not None
            case ClientErrorRate():
                return bool(self.client_errors)
            case UnansweredRate():
                return self.lifecycle is not None
            case PreemptionRate():
                return self.preempted is not None
            case AbortRate():
                return self.aborted is not None
            case TokensPerSecond():
                return self.speed is not None
            case NamedQuery():
                return True

    @property
    def by(self) -> str:
        """The isolating labels, as a PromQL list."""
        return ", ".join(label.name for label in self.isolation)

    @property
    def class_labels(self) -> tuple[str, ...]:
        """The labels that classify a response."""
        return tuple(dict.fromkeys(matcher.label for matcher in (*self.server_errors, *self.client_errors)))

    @property
    def own_labels(self) -> tuple[str, ...]:
        """The labels by which the series of one backend at one target differ; empty where only their class does."""
        return tuple(dict.fromkeys((*self.class_labels, *self.varying))) if self.varying else ()

    @property
    def surrounded(self) -> bool:
        """Whether several values of the isolating labels may belong to one backend."""
        return any(label.before or label.after for label in self.isolation)

    def key(self, namespace: str, backend: BackendRef) -> Key:
        """Return the backend's key in this data plane's series."""
        return tuple(label.value(namespace, backend) for label in self.isolation)

    def key_of(self, labels: Mapping[str, str]) -> Key:
        """Return the key of the backend that a series belongs to."""
        if len(self.isolation) == 1:
            # As most have it; a tick reads tens of thousands of rows.
            label = self.isolation[0]
            return (label.read(labels.get(label.name, "")),)
        return tuple([label.read(labels.get(label.name, "")) for label in self.isolation])

    def values_of(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Return the isolating labels of a series as they are, with the prefix and suffix of the data plane."""
        return tuple([labels.get(label.name, "") for label in self.isolation])

    def key_of_values(self, values: tuple[str, ...]) -> Key:
        """Return the key of the backend that these values of the isolating labels belong to."""
        return tuple(label.read(value) for label, value in zip(self.isolation, values, strict=True))

    def selector(self, series: str, keys: frozenset[Key], more: str = "") -> str:
        """Return the PromQL selector of a series for these backends."""
        matchers = _matchers(self.isolation, keys, by_prefix=self.by_prefix)
        return f"{series}{{{','.join([matchers, *filter(None, (self.fixed, more))])}}}"

    @property
    def sign(self) -> str:
        """The PromQL selector of series that only this data plane has, of any backend."""
        return self.of_any(self.presence)

    def of_any(self, series: str) -> str:
        """Return the PromQL selector of a series for all backends."""
        matchers = (label.any_matcher() for label in self.isolation)
        return f"{series}{{{','.join([*matchers, *filter(None, (self.fixed,))])}}}"

    def problem_with(self, backend: BackendRef, metric: Metric) -> str:
        """Return why this preset cannot measure the metric for the backend; empty where it can."""
        if backend.kind not in self.kinds:
            kinds = " or ".join(sorted(self.kinds))
            return f"preset {self.name} cannot tell a {backend.kind} apart: serve from a {kinds}, or use another preset"
        if backend.subset and not isinstance(metric, NamedQuery):
            remedy = "serve from a Service of its own, or use a named query of the source"
            return f"preset {self.name} cannot tell subset {backend.subset} of a Service apart: {remedy}"
        if self.needs_port and backend.port is None:
            return f"preset {self.name} names a backend by its port: give backendRef {backend.name} a port"
        return self.problem_of_metric(metric)

    def problem_of_metric(self, metric: Metric) -> str:
        """Return why this preset cannot measure the metric of any backend; empty where it can."""
        if self.has(metric):
            return ""
        match metric:
            case Latency(timing=Timing.RESPONSE):
                return f"preset {self.name} has no response times: use error_rate, or a named query of the source"
            case ErrorRate():
                return f"preset {self.name} does not tell which requests failed: use the preset of what carries them"
            case ClientErrorRate():
                return f"preset {self.name} does not tell which requests were the client's mistake: use error_rate"
            case UnansweredRate():
                return f"preset {self.name} does not tell which requests had no answer: use error_rate"
            case Latency() | PreemptionRate() | AbortRate() | TokensPerSecond() | NamedQuery():
                return missing(self.name, metric) or f"preset {self.name} has no {family(metric)}"


@lru_cache(maxsize=16)
def _matchers(isolation: tuple[IsolatingLabel, ...], keys: frozenset[Key], *, by_prefix: bool) -> str:
    """Return the matchers for these backends; remembered, as each of a tick's queries has them many times."""
    values = ((label, frozenset(key[index] for key in keys)) for index, label in enumerate(isolation))
    return ",".join(label.common_matcher(some) if by_prefix else label.matcher(some) for label, some in values)
