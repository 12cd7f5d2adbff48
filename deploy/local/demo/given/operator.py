"""The operator that is installed: its settings of the metric source, and its own count of queries."""

import json
from dataclasses import dataclass
from typing import Final, Protocol

from demo.cluster import Kubectl
from serinus.api.parsing import decode
from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.cli.check.cluster import OPERATORS
from serinus.cli.check.line import Line, failed, ok
from serinus.errors import InvalidObjectError
from serinus.settings import RegistryKind, Settings
from serinus.source_settings import SourceSettings
from serinus.yaml_text import YamlTextError, read_yaml

_MIN_TICK_SECONDS: Final = 1.0
_QUERIES: Final = "sum(serinus_prometheus_request_duration_seconds_count)"
_TICKS: Final = "sum(serinus_metric_ticks_total)"


async def source_of(kubectl: Kubectl, name: str) -> tuple[SourceSettings | None, Line]:
    """Return the operator's settings of a metric source, and what was found of them.

    Raises:
        DemoError: the API server did not answer.
    """
    found = json.loads(await kubectl.run(["get", "deployments", OPERATORS, "-A", "-o", "json"]))["items"]
    if not found:
        return None, failed("source", "no operator is installed by the chart", "install the chart")
    place, release = found[0]["metadata"]["namespace"], found[0]["metadata"]["name"]
    text = await kubectl.run(["get", "configmap", release, "-n", place, "-o", r"jsonpath={.data.config\.yaml}"])
    try:
        (raw,) = read_yaml(text)
        settings = decode(Settings, raw, "config.yaml")
    except (YamlTextError, InvalidObjectError, ValueError) as problem:
        return None, failed("source", f"ConfigMap {place}/{release}: {problem}", "correct the chart's values")
    source, unfit = settings.sources.get(name), _unfit(settings)
    if unfit:
        return None, failed("source", unfit, "change the chart's values")
    if source is None:
        known = ", ".join(sorted(settings.sources))
        return None, failed("source", f"the operator has no metric source {name}", f"give --source, one of: {known}")
    return source, ok("source", f"{name}: {source.url}, scraped every {source.scrape_interval}")


def _unfit(settings: Settings) -> str:
    """Return why the demo cannot be played with these settings; empty where it can."""
    if not settings.job_tests:
        return "the operator creates no Jobs (rbac.jobs), and the demo's plan has a test that is one"
    if settings.registry.kind is not RegistryKind.KUBERNETES:
        return "the registry is not in the Kubernetes API (config.registry.kind), where the demo reads the audit trail"
    if "httpRoute" not in settings.routers:
        return "the operator does not write HTTPRoutes (config.routers)"
    return ""


class ReadsValues(Protocol):
    """Asks Prometheus for single values, such as :class:`demo.metrics.prometheus.Probe`."""

    async def value(self, query: str) -> float | None:
        """Return the value of the only series of an answer; None where there is none."""
        ...


@dataclass(slots=True)
class OperatorMeter:
    """Counts the operator's queries during analysis, by the operator's own metrics as Prometheus has them.

    Attributes:
        probe: reads them.
        tick: seconds between two readings.
        alone: whether the operator has no other Rollout; otherwise nothing is measured.
    """

    probe: ReadsValues
    tick: float
    alone: bool
    _first: tuple[float, float] | None = None
    _last: tuple[float, float] | None = None

    @property
    def per_tick(self) -> float | None:
        """The queries per tick so far; None where Prometheus does not scrape the operator, or others have it work."""
        if self._first is None or self._last is None or self._last[1] <= self._first[1]:
            return None
        return (self._last[0] - self._first[0]) / (self._last[1] - self._first[1])

    async def record(self, status: RolloutStatus) -> None:
        """Take a reading during analysis.

        Raises:
            CouldNotAskError: Prometheus did not answer.
        """
        if not self.alone or status.stage is None or status.stage.state is not StageState.ANALYZING:
            return
        queries, ticks = await self.probe.value(_QUERIES), await self.probe.value(_TICKS)
        if queries is not None and ticks is not None:
            self._first = self._first or (queries, ticks)
            self._last = (queries, ticks)


def meter_of(probe: ReadsValues, scrape: float, *, alone: bool) -> OperatorMeter:
    """Return a meter for an operator whose source is scraped at this interval; it ticks at a third of it."""
    return OperatorMeter(probe, max(_MIN_TICK_SECONDS, scrape / 3), alone)
