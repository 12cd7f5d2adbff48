"""The operator's configuration, and the metric sources in it, as far as the user can ask them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

from serinus.cli.check import operation
from serinus.cli.check.cluster import Cluster
from serinus.cli.check.line import Line, State
from serinus.cli.check.prometheus import Prometheus, ProxiedPrometheus, Row, proxy_path
from serinus.cli.lint.cluster.objects import NotAsked
from serinus.errors import RefusedError, SerinusError, TransientError
from serinus.metrics.transport import Sample, Transport
from serinus.ports.services import Clock
from serinus.settings import Settings
from serinus.source_settings import SourceSettings

_SECONDS: Final = 10.0
"""For one query."""

_REMEDY: Final = "give an address of Prometheus that you can reach, with --prometheus"


@dataclass(frozen=True, slots=True)
class NoOperator:
    """The cluster has no operator with a configuration that can be read as one."""

    line: Line


Configuration: TypeAlias = Settings | NoOperator | NotAsked


def configuration_of(cluster: Cluster, clock: Clock) -> Configuration:
    """Return the operator's configuration, or why it is not known."""
    try:
        lines, settings = operation.operator(cluster, clock.now())
    except SerinusError as problem:
        return NotAsked(f"the operator's configuration is not known: {problem}", "try again")
    if settings is not None:
        return settings
    line = lines[-1]
    return NotAsked(line.said, line.remedy) if line.state is State.UNKNOWN else NoOperator(line)


class DirectPrometheus:
    """A Prometheus at an address that the user has given."""

    def __init__(self, url: str, clock: Clock) -> None:
        """Prepare; nothing is sent. ConfigurationError: it is no such address."""
        self._transport, self._clock = Transport(url, _SECONDS), clock

    @property
    def place(self) -> str:
        """Its address, without user and password."""
        return self._transport.place

    def query(self, promql: str) -> Sequence[Row]:
        """Return the rows of a query; see :class:`serinus.cli.check.prometheus.Prometheus`."""
        found = self._transport.instant(promql, f"{self._clock.now().timestamp():.3f}")
        if found.partial:
            raise TransientError(f"Prometheus at {self.place} warns that its answer may be incomplete")
        return [Row(dict(sample.metric), _number(sample)) for sample in found.samples]

    def close(self) -> None:
        """Close its connections."""
        self._transport.close()


def _number(sample: Sample) -> float:
    number = float(sample.value[1]) if sample.value is not None else 0.0
    return 0.0 if isinf(number) else number


class Source:
    """A metric source that answers; each query is asked once."""

    def __init__(self, name: str, settings: SourceSettings | None, prometheus: Prometheus) -> None:
        """Take how it is asked; ``settings`` are None where the operator's configuration is not known."""
        self.name, self.settings = name, settings
        self._prometheus = prometheus
        self._rows: dict[str, Sequence[Row] | SerinusError] = {}

    def query(self, promql: str) -> Sequence[Row]:
        """Return the rows of a query; raises as that of a Prometheus."""
        if promql not in self._rows:
            try:
                self._rows[promql] = self._prometheus.query(promql)
            except SerinusError as problem:
                self._rows[promql] = problem
        found = self._rows[promql]
        if isinstance(found, SerinusError):
            raise found
        return found


class Sources:
    """The metric sources by name, as Rollouts name them."""

    def __init__(self, configuration: Configuration, cluster: Cluster, direct: DirectPrometheus | None) -> None:
        """Take the configuration, and what is asked in the place of each source if the user has given an address."""
        self.configuration = configuration
        self._cluster, self._direct = cluster, direct
        self._reached: dict[str, Source | NotAsked] = {}

    @classmethod
    def open(cls, cluster: Cluster, url: str | None, clock: Clock) -> Self:
        """Read the configuration; ConfigurationError where the address is none of a Prometheus."""
        direct = DirectPrometheus(url, clock) if url is not None else None
        return cls(configuration_of(cluster, clock), cluster, direct)

    def close(self) -> None:
        """Close what was opened."""
        if self._direct is not None:
            self._direct.close()

    def settings_of(self, name: str) -> SourceSettings | None:
        """Return the settings of a source; None where there are none, or they are not known."""
        return self.configuration.sources.get(name) if isinstance(self.configuration, Settings) else None

    def reach(self, name: str) -> Source | NotAsked:
        """Return a source that answers, or why it could not be asked."""
        if name not in self._reached:
            self._reached[name] = self._reach(name)
        return self._reached[name]

    def _reach(self, name: str) -> Source | NotAsked:
        settings = self.settings_of(name)
        if self._direct is not None:
            return _answering(name, settings, self._direct, self._direct.place)
        if settings is None:
            why = f"the address of metric source {name} is not known, as the operator's configuration is not"
            return NotAsked(why, _REMEDY)
        place = _without_user(settings.url)
        path = proxy_path(settings.url)
        if path is None:
            why = f"metric source {name} has the address {place}, which is not that of a Service of the cluster"
            return NotAsked(why, _REMEDY)
        return _answering(name, settings, ProxiedPrometheus(self._cluster, path), place)


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _answering(name: str, settings: SourceSettings | None, prometheus: Prometheus, place: str) -> Source | NotAsked:
    source = Source(name, settings, prometheus)
    try:
        up = source.query("vector(1)")
    except RefusedError:
        why = f"you may not ask Prometheus at {place} through the API server (get services/proxy)"
        return NotAsked(why, f"ask an administrator for this right, or {_REMEDY}")
    except SerinusError as problem:
        return NotAsked(f"Prometheus at {place} did not answer: {problem}", f"try again, or {_REMEDY}")
    if not up:
        return NotAsked(f"what is at {place} does not answer as Prometheus does", _REMEDY)
    return source
