"""Typed objects with everything filled in, so that a test states only what matters to it."""

from datetime import UTC, datetime
from typing import Any

from serinus.api.modelversion import BackendRef
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.engine.rollout.observation import VersionFacts
from serinus.engine.rollout.traffic.facts import BackendKey, ParentFacts, RouteEntry, RouteFacts

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
LATENCY = "latency_p95 > 200ms"
ERRORS = "error_rate > 0.5%"


def a_stage(name: str, traffic: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "traffic": traffic, **({} if traffic == "0%" else {"abortOn": [ERRORS]}), **fields}


STAGING = a_stage("staging", "0%")
CANARY = a_stage("canary", "5%", duration="10m")
PRODUCTION = a_stage("production", "100%", bake="5m")


def a_spec(version: str = "2.0.0", *stages: dict[str, Any], **fields: Any) -> RolloutSpec:
    raw = {
        "model": "fraud",
        "version": version,
        "route": {"httpRoute": {"name": "fraud", "ruleName": "predict"}},
        "stages": list(stages) or [STAGING, CANARY, PRODUCTION],
        **fields,
    }
    return decode(RolloutSpec, raw, "spec")


def a_backend(version: str) -> BackendRef:
    return BackendRef(name="fraud-v" + version.replace(".", "-"), port=80)


def a_version(version: str, **fields: Any) -> VersionFacts:
    return VersionFacts(**{"version": version, "backend": a_backend(version), "ready": 1, **fields})


def a_key(version: str) -> BackendKey:
    return BackendKey("", "Service", a_backend(version).name, 80)


def a_route(weights: dict[str, int], *, generation: int = 1, accepted: bool = True, **fields: Any) -> RouteFacts:
    parent = ParentFacts("gateway", accepted=True, observed_generation=generation if accepted else generation - 1)
    entries = tuple(RouteEntry(a_key(version), weight) for version, weight in weights.items())
    return RouteFacts(**{"generation": generation, "entries": entries, "parents": (parent,), **fields})
