"""Records as the cluster's adapter yields them, with everything filled in that a test does not care about."""

from datetime import datetime
from typing import Any

from serinus.api.model import ModelSpec, VersioningPolicy
from serinus.api.modelversion import BackendRef, ModelVersionSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.observation import Actors, InvalidSpec, TestOutcome
from serinus.engine.rollout.traffic.facts import BackendKey, ParentFacts, RouteEntry
from serinus.engine.versions.catalogue import spec_hash
from serinus.ports.cluster_state import (
    EndpointsRecord,
    HttpRouteRecord,
    JobRecord,
    Meta,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    RolloutRecord,
    RouteRule,
)
from support.builders import a_spec
from support.virtual_loop import START

NAMESPACE = "ml"
ADA = Actors(
    requested_by="ada@example.org",
    spec_by="ada@example.org",
    version_by="ada@example.org",
    approved_by="ada@example.org",
)
MISSPELT = InvalidSpec("spec.stages", "must rise in traffic")


def meta(name: str, *, uid: str = "", version: int = 1, namespace: str = NAMESPACE) -> Meta:
    return Meta(key=ObjectKey(namespace, name), uid=uid or f"uid-{namespace}-{name}", version=version)


def key(name: str = "fraud", namespace: str = NAMESPACE) -> ObjectKey:
    return ObjectKey(namespace, name)


def spec_for(name: str, version: str = "2.0.0", *stages: dict[str, Any], **fields: Any) -> RolloutSpec:
    """A plan for a model and a route that bear the Rollout's name; without guards, which have tests of their own."""
    route = {"httpRoute": {"name": name, "ruleName": "predict"}}
    return a_spec(version, *stages, **{"model": name, "route": route, "guards": "Off", **fields})


def rollout(  # noqa: PLR0913 - a builder: each field that some test changes
    name: str = "fraud",
    spec: RolloutSpec | InvalidSpec | None = None,
    status: RolloutStatus | None = None,
    *,
    uid: str = "",
    version: int = 1,
    namespace: str = NAMESPACE,
    created_at: datetime = START,
    commands: dict[str, str] | None = None,
    deleting: bool = False,
) -> RolloutRecord:
    return RolloutRecord(
        meta=meta(name, uid=uid, version=version, namespace=namespace),
        generation=1,
        created_at=created_at,
        spec=spec if spec is not None else spec_for(name),
        status=status if status is not None else RolloutStatus(),
        status_problem="",
        commands=commands or {},
        rollback_to="",
        actors=ADA,
        deleting=deleting,
    )


def backend(model: str, version: str) -> BackendRef:
    return BackendRef(name=f"{model}-v{version.replace('.', '-')}", port=80)


def model_record(name: str = "fraud", policy: ModelSpec | None = None, *, generation: int = 1) -> ModelRecord:
    """A Model whose policy, unless given, lets a new major take over the route: most stories are not of that."""
    lax = ModelSpec(versioning=VersioningPolicy(allow_major_in_place=True))
    return ModelRecord(
        meta=meta(name, uid=f"uid-model-{name}"),
        generation=generation,
        policy=policy if policy is not None else lax,
        problem="",
        observed_generation=generation,
        actors=ADA,
    )


def model_version(version_text: str = "2.0.0", model: str = "fraud", **fields: Any) -> ModelVersionRecord:
    version = fields.pop("version", 1)
    where = {"backendRef": {"name": backend(model, version_text).name, "port": 80}}
    raw = {"model": model, "version": version_text, "serving": where, **fields.pop("spec", {})}
    spec = decode(ModelVersionSpec, raw, "spec")
    return ModelVersionRecord(
        **{
            "spec": spec,
            "spec_hash": spec_hash(spec),
            "actors": ADA,
            "meta": meta(f"{model}-v{version_text}", version=version, namespace=fields.pop("namespace", NAMESPACE)),
            "model": model,
            "version": version_text,
            "backend": backend(model, version_text),
            "problem": "",
            **fields,
        }
    )


def route(
    name: str = "fraud", weights: dict[str, int] | None = None, *, version: int = 1, **fields: Any
) -> HttpRouteRecord:
    """A route whose rule gives the versions of the model of its name these weights, accepted by its Gateway."""
    entries = tuple(
        RouteEntry(BackendKey("", "Service", backend(name, one).name, 80), weight)
        for one, weight in (weights if weights is not None else {"1.0.0": 1}).items()
    )
    return HttpRouteRecord(
        **{
            "meta": meta(name, version=version, namespace=fields.pop("namespace", NAMESPACE)),
            "generation": 1,
            "rules": (RouteRule("predict", entries),),
            "parents": (ParentFacts("gateway", accepted=True, observed_generation=1),),
            "owner": "",
            "written_by": "",
            **fields,
        }
    )


def endpoints(model: str = "fraud", version_text: str = "2.0.0", ready: int = 1, **of_meta: Any) -> EndpointsRecord:
    service = backend(model, version_text).name
    return EndpointsRecord(meta=meta(of_meta.pop("name", f"{service}-abc"), **of_meta), service=service, ready=ready)


def namespace_record(freeze: str | None = None, *, name: str = NAMESPACE, version: int = 1) -> NamespaceRecord:
    return NamespaceRecord(meta=meta(name, version=version, namespace=""), freeze=freeze)


def job(outcome: TestOutcome | None = None, **fields: Any) -> JobRecord:
    name = fields.pop("name", "contract-1")
    return JobRecord(
        **{
            "meta": meta(name, version=fields.pop("version", 1)),
            "rollout": "fraud",
            "owner": "uid-ml-fraud",
            "run": 1,
            "stage": "staging",
            "test": "contract",
            "outcome": outcome,
            **fields,
        }
    )
