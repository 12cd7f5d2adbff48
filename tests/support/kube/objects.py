"""Builders of raw objects as the API server sends them, with overrides."""

from typing import Any

Raw = dict[str, Any]

ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces"


def metadata(name: str = "fraud-detector", **more: object) -> Raw:
    return {
        "name": name,
        "namespace": "ml",
        "uid": f"uid-of-{name}",
        "resourceVersion": "41",
        "generation": 3,
        "creationTimestamp": "2026-11-01T10:00:00Z",
        **more,
    }


def backend_ref(name: str, weight: int | None = None, **more: object) -> Raw:
    return {"name": name, "port": 80, **({} if weight is None else {"weight": weight}), **more}


def http_route(*rules: Raw, name: str = "fraud-detector", **parts: object) -> Raw:
    """Return a route with these rules and one Gateway as parent; ``parts`` replace top-level fields."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata(name),
        "spec": {"parentRefs": [{"name": "gateway"}], "rules": list(rules)},
        **parts,
    }


def parent_status(*conditions: Raw, **parent: object) -> Raw:
    return {"parentRef": {"name": "gateway", **parent}, "controllerName": "x/y", "conditions": list(conditions)}


def condition(kind: str, status: str = "True", generation: int = 3, reason: str = "Said", message: str = "") -> Raw:
    return {
        "type": kind,
        "status": status,
        "observedGeneration": generation,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-01T10:00:00Z",
    }


def endpoint_slice(*ready: bool | None, service: str = "fraud-v1", name: str = "fraud-v1-abc") -> Raw:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(name, labels={"kubernetes.io/service-name": service}),
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [f"198.18.9.{number}"], "conditions": {} if state is None else {"ready": state}}
            for number, state in enumerate(ready, 1)
        ],
    }


def without_identity(raw: Raw, name: str | None = None) -> Raw:
    """Return the object without server-set metadata, as a user would create it."""
    own = {field: value for field, value in raw["metadata"].items() if field in {"name", "labels", "annotations"}}
    return {**raw, "metadata": own | ({"name": name} if name else {})}
