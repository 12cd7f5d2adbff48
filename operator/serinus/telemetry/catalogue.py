"""Every metric that the operator exports, for the reference page and for the tests of rules, panels and runbooks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from serinus.telemetry import Telemetry
from serinus.telemetry.rollout_series import FAMILIES

_SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@dataclass(frozen=True, slots=True)
class Exported:
    """A metric.

    Attributes:
        name: as PromQL names it; a histogram's without ``_bucket``, ``_sum`` and ``_count``.
        kind: gauge, counter or histogram.
        help: what it is.
        labels: the names of its labels, without ``le``.
        per_rollout: whether each Rollout has series of its own.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]
    per_rollout: bool = False

    @property
    def series(self) -> tuple[str, ...]:
        """The names that its series have in PromQL."""
        stem = self.name.removesuffix("_total") if self.kind == "counter" else self.name
        return tuple(f"{stem}{suffix}" for suffix in _SUFFIXES[self.kind])


def exported() -> tuple[Exported, ...]:
    """Return all metrics in the order of their names."""
    each = (Exported(one.name, "gauge", one.help, one.labels, per_rollout=True) for one in FAMILIES)
    return tuple(sorted((*_registered(), *each), key=lambda metric: metric.name))


def _registered() -> Iterator[Exported]:
    for metric in vars(Telemetry(CollectorRegistry())).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = tuple(metric._labelnames)  # noqa: SLF001 - nothing public tells them
            yield Exported(name, family.type, family.documentation, labels)
