"""The objects of one model; all others are copies of it with another name of the same length."""

from typing import Final

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.engine.versions.catalogue import spec_hash
from support.e2e.manifests import (
    RULE,
    Manifest,
    backend_of,
    backend_ref,
    endpoints,
    healthy,
    model,
    model_version,
    rollout,
    route,
    rule,
    service,
)

NAMESPACE: Final = "scale"
OLD: Final = "1.0.0"
NEW: Final = "2.0.0"
HEALTH_ADDRESS: Final = "198.18.0.9"
"""Where the backends of all versions are: one server that answers the test of the staging stage."""

ERRORS: Final = "error_rate > 5%"


def name_of(number: int) -> str:
    """Return the name of a model; all names have the same length (see etcd.py)."""
    return f"m{number:05}"


def candidate_of(name: str) -> str:
    """Return the Service of a model's new version."""
    return backend_of(NEW, name)


def stages(canary: str, bake: str, conditions: tuple[str, ...], burst: int | None = None) -> list[Manifest]:
    """Return the plan of the README, with other limits and durations."""
    watched: Manifest = {"abortOn": list(conditions)} | ({"burst": burst} if burst else {})
    return [
        {"name": "staging", "traffic": "0%", "tests": [healthy()]},
        {"name": "canary", "traffic": "5%", "duration": canary, **watched},
        {"name": "production", "traffic": "100%", "bake": bake, **watched},
    ]


def manifests(name: str, plan: list[Manifest]) -> list[Manifest]:
    """Return all objects of a model, in the order in which they are created."""
    versions = [one for version in (OLD, NEW) for one in _version(name, version)]
    return [model(NAMESPACE, name), *versions, _route(name), rollout(NAMESPACE, OLD, plan, model=name)]


def _version(name: str, version: str) -> list[Manifest]:
    backend = backend_of(version, name)
    plain = service(NAMESPACE, backend)
    # Without a cluster IP: the API server would have to give each copy an address of its own.
    headless = {**plain, "spec": {**plain["spec"], "clusterIP": "None"}}
    return [headless, endpoints(NAMESPACE, backend, HEALTH_ADDRESS), model_version(NAMESPACE, version, name)]


def spec_hashes(name: str) -> list[str]:
    """Return the hashes by which the registry knows the specs of both versions: the name is a part of them."""
    specs = [model_version(NAMESPACE, version, name)["spec"] for version in (OLD, NEW)]
    return [spec_hash(decode(ModelVersionSpec, spec, "spec")) for spec in specs]


def _route(name: str) -> Manifest:
    only = rule(RULE, backend_ref(backend_of(OLD, name), 100), path=f"/v2/models/{name}")
    return route(NAMESPACE, f"{name}.scale.local", only, model=name)
