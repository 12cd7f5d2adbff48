"""Objects as a cluster stores them around one Rollout: route, Gateway, Services, endpoints, operator."""

from typing import Any, Final

from support.cluster_world import CONFIG, NAMESPACE, Change, put
from support.manifests.builders import Manifest, changed, rollout

OLD: Final = {"metadata.name": "fraud-detector-v2.2.4", "spec.version": "2.2.4", "spec.serving.backendRef.name": "old"}
"""The changes that make the fraud detector's version the one before."""

PLAN: Final = rollout({"spec.rollbackTo": "2.2.4"})
BOUNDS: Final = ("50", "100", "200", "500", "+Inf")
"""Of the buckets of response times, in milliseconds."""

POOL: Final = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "llm"}

_GATEWAY_API: Final = "gateway.networking.k8s.io/v1"


def route(*backends: tuple[str, int], kind: str = "HTTPRoute", **changes: Any) -> Manifest:
    """A route that the gateway has accepted, by default with all traffic to the old version."""
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in backends or [("old", 1)]]
    parent = {"name": "gate", "namespace": "infra", "sectionName": "http"}
    conditions = [{"type": name, "status": "True", "observedGeneration": 1} for name in ("Accepted", "ResolvedRefs")]
    manifest: Manifest = {
        "apiVersion": _GATEWAY_API,
        "kind": kind,
        "metadata": stored("fraud-detector"),
        "spec": {"parentRefs": [parent], "rules": [{"name": "predict", "backendRefs": refs}]},
        "status": {"parents": [{"parentRef": parent, "controllerName": "c", "conditions": conditions}]},
    }
    return changed(manifest, {path.replace("__", "."): value for path, value in changes.items()})


def stored(name: str, namespace: str = NAMESPACE, **more: Any) -> Manifest:
    never = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-01T00:00:00Z", "generation": 1}
    return {"name": name, "namespace": namespace, **never, **more}


def service(name: str, port: int = 80) -> Manifest:
    return {"apiVersion": "v1", "kind": "Service", "metadata": stored(name), "spec": {"ports": [{"port": port}]}}


def endpoints(name: str, *, ready: bool = True) -> Manifest:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": stored(f"{name}-x", labels={"kubernetes.io/service-name": name}),
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
    }


def gateway(programmed: str = "True") -> Manifest:
    return {
        "apiVersion": _GATEWAY_API,
        "kind": "Gateway",
        "metadata": stored("gate", "infra"),
        "spec": {"listeners": [{"name": "http"}]},
        "status": {"conditions": [{"type": "Programmed", "status": programmed}]},
    }


def grant(namespace: str = "shared", **to: str) -> Manifest:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": stored("routes", namespace),
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": NAMESPACE}],
            "to": [{"group": "", "kind": "Service", **to}],
        },
    }


def operator(config: str = CONFIG) -> list[Manifest]:
    deployment = {"kind": "Deployment", "metadata": stored("serinus", "system"), "status": {"readyReplicas": 1}}
    return [
        deployment,
        {"kind": "ConfigMap", "metadata": stored("serinus", "system"), "data": {"config.yaml": config}},
    ]


def in_cluster(manifest: Manifest) -> Manifest:
    return {**manifest, "metadata": stored(manifest["metadata"]["name"])}


def config(old: str, new: str) -> Change:
    """Change the operator's configuration."""
    return put(*operator(CONFIG.replace(old, new)))
