"""Data planes whose metrics Serinus reads: one declarative entry each; no other module knows about them.

To add a data plane, add an entry to a module of its family and to ``PRESETS``, a row to
docs/reference/metrics-presets.md, and series in the form of the program to tests/support/prometheus/data_planes.py.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from serinus.api.abort_condition import Metric
from serinus.api.modelversion import BackendRef
from serinus.metrics.presets.envoy import ENVOY
from serinus.metrics.presets.istio import ISTIO
from serinus.metrics.presets.linkerd import LINKERD
from serinus.metrics.presets.model_servers import MODEL_SERVERS
from serinus.metrics.presets.preset import IsolatingLabel, Key, Preset
from serinus.metrics.presets.series import GrpcStatus, Histogram, LabelMatcher, Lifecycle, Share, Speed
from serinus.metrics.presets.traefik import TRAEFIK

__all__ = [
    "PRESETS",
    "GrpcStatus",
    "Histogram",
    "IsolatingLabel",
    "Key",
    "LabelMatcher",
    "Lifecycle",
    "Preset",
    "Share",
    "Speed",
    "preset_problem",
]

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {preset.name: preset for preset in (*ENVOY, ISTIO, LINKERD, *TRAEFIK, *MODEL_SERVERS)}
)


def preset_problem(name: str, backend: BackendRef | None, metric: Metric) -> str:
    """Return why the preset of this name can never measure a metric; empty where it can.

    ``backend`` is None where it is not known: then only what is true of every backend is said.
    """
    preset = PRESETS.get(name)
    if preset is None:
        return f"unknown preset {name}: set metrics.preset to one of {', '.join(sorted(PRESETS))}"
    return preset.problem_of_metric(metric) if backend is None else preset.problem_with(backend, metric)
