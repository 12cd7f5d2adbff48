"""Which presets have the metrics of large language models: ``kubectl apply`` refuses a condition that has no series.

A preset that is not listed here at all is refused by the operator, not by the API server: a later release may have it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, assert_never

from serinus.api.abort_condition import (
    TOKENS_PER_SECOND,
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
from serinus.api.route import RouteKind
from serinus.api.schema import cel_text, matches, rule

PRESET_NAMES: Final = (
    *("bentoml", "contour", "envoy", "envoy-gateway", "istio", "kserve", "linkerd", "mlserver", "sglang", "tgi"),
    *("traefik", "traefik-3-2", "triton", "vllm"),
)

PRESETS_WITH: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ttft": ("sglang", "triton", "vllm"),
        "tpot": ("tgi", "vllm"),
        "e2e_latency": ("sglang", "tgi", "vllm"),
        "queue_time": ("sglang", "tgi", "vllm"),
        "preemption_rate": ("vllm",),
        "abort_rate": ("tgi", "triton", "vllm"),
        TOKENS_PER_SECOND: ("tgi", "vllm"),
    }
)
"""The presets that have a metric, by the metric's name without its quantile; a test compares them with the presets."""

SEE_GRPC: Final = ("contour", "envoy", "envoy-gateway", "istio", "traefik", "traefik-3-2", "triton")
"""The presets whose error rates see how a gRPC call ended: one that failed is a response of HTTP status 200."""


def family(metric: Metric) -> str:
    """Return the name of a metric of language models without its quantile; empty for every other metric."""
    match metric:
        case Latency(timing=timing):
            return "" if timing is Timing.RESPONSE else timing.value
        case PreemptionRate():
            return "preemption_rate"
        case AbortRate():
            return "abort_rate"
        case TokensPerSecond():
            return TOKENS_PER_SECOND
        case ErrorRate() | ClientErrorRate() | UnansweredRate() | NamedQuery():
            return ""
        case _:
            assert_never(metric)


def missing(preset: str, metric: Metric) -> str:
    """Return that a preset has no series of a metric of language models; empty where it has, or is not known."""
    name = family(metric)
    if not name or preset not in PRESET_NAMES or preset in PRESETS_WITH[name]:
        return ""
    return f"preset {preset} has no {name}; presets that have it: {', '.join(PRESETS_WITH[name])}"


def blind_to_grpc(route: RouteKind, preset: str, metric: Metric) -> str:
    """Return that a preset does not see which calls of a gRPC route fail; empty where it does, or is not known."""
    if route is not RouteKind.GRPC_ROUTE or preset in SEE_GRPC or preset not in PRESET_NAMES:
        return ""
    if not isinstance(metric, ErrorRate | ClientErrorRate):
        return ""
    return f"preset {preset} does not see which gRPC calls fail; presets that do: {', '.join(SEE_GRPC)}"


def _no_line(name: str) -> str:
    quantile = "" if name.endswith(("_rate", "_second")) else "_p[0-9]+"
    line = matches("line", rf"^\s*{name}{quantile}\s*[<>]")
    return f"self.stages.all(s, !has(s.abortOn) || s.abortOn.all(line, !{line}))"


_PRESET: Final = "(has(self.metrics) && has(self.metrics.preset) ? self.metrics.preset : 'contour')"


def _rule(name: str, presets: tuple[str, ...]) -> dict[str, Any]:
    without = "|".join(one for one in PRESET_NAMES if one not in presets)
    have = f"has no {name}; presets that have it: {', '.join(presets)}"
    return rule(
        f"!{matches(_PRESET, f'^({without})$')} || {_no_line(name)}",
        have,
        computed=f"'preset ' + {_PRESET} + {cel_text(f' {have}')}",
        field=".stages",
    )


PRESET_RULES: Final = tuple(_rule(name, presets) for name, presets in PRESETS_WITH.items())
"""Of a Rollout's spec."""
