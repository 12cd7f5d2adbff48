"""The stories that are disturbed: what a team does, and the state in which it has to end."""

from dataclasses import dataclass
from typing import Any, Final

from serinus.api.names import YANKED_ANNOTATION, Command

Raw = dict[str, Any]

MODEL: Final = "fraud"
RULE: Final = "predict"
PORT: Final = 8080
STABLE, CANDIDATE, NEWER = "1.0.0", "1.1.0", "1.2.0"
SHARES: Final = {"staging": 0.0, "canary": 0.2, "production": 1.0}
ORDER: Final = tuple(SHARES)
CANARY_SECONDS: Final = 1.0
NEEDED: Final = 10
"""Requests that a stage needs at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens to one Rollout.

    Attributes:
        name: in the names of points.
        act: what happens once the candidate is judged with its first weight: what a person does, or ``fail``: half of
            its requests fail from then on.
        length: of the canary stage; long where somebody ends it.
        versions: the candidates, in order.
        falls: the versions that must lose their weight.
    """

    name: str
    act: str = ""
    length: str = "1s"
    versions: tuple[str, ...] = (CANDIDATE,)
    falls: tuple[str, ...] = ()


STORIES: Final = {
    story.name: story
    for story in (
        Story(name="promote"),
        Story(name="breach", act="fail", length="60s", falls=(CANDIDATE,)),
        Story(name="rollback", act="rollback", length="60s", falls=(CANDIDATE,)),
        Story(name="supersede", act="supersede", length="60s", versions=(CANDIDATE, NEWER), falls=(CANDIDATE,)),
        Story(name="delete", act="delete", length="60s", falls=(CANDIDATE,)),
        Story(name="yank", act="yank", length="60s", falls=(CANDIDATE,)),
    )
}


def backend_of(version: str) -> str:
    """Return the name of a version's backend."""
    return f"{MODEL}-v{version.replace('.', '-')}"


def series_of(namespace: str, version: str) -> str:
    """Return the name of that backend in Envoy's metrics."""
    return f"{namespace}_{backend_of(version)}_{PORT}"


def stages(length: str) -> list[Raw]:
    """Return the plan with a canary stage of this length."""
    watched = {"abortOn": ["error_rate > 5%"], "minRequests": NEEDED, "burst": 1, "maxDuration": "10m"}
    return [
        {"name": "staging", "traffic": "0%"},
        {"name": "canary", "traffic": "20%", "duration": length, **watched},
        {"name": "production", "traffic": "100%", "bake": "1s", **watched},
    ]


def manifests(story: Story, namespace: str) -> list[tuple[str, Raw]]:
    """Return what there is before the operator starts, each with the path of its collection."""
    versions = (STABLE, *story.versions)
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    ours = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}"
    routes = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"
    return [
        *((slices, _endpoints(version)) for version in versions),
        *((f"{ours}/modelversions", _model_version(version)) for version in versions),
        (routes, _route()),
        (f"{ours}/rollouts", _rollout(story)),
    ]


def action(story: Story, namespace: str) -> tuple[str, str, Raw | None]:
    """Return the request by which the person acts: method, path and body."""
    ours = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}"
    rollout = f"{ours}/rollouts/{MODEL}"
    match story.act:
        case "rollback":
            return "PATCH", rollout, {"metadata": {"annotations": {Command.ROLLBACK.annotation: "we do not trust it"}}}
        case "supersede":
            return "PATCH", rollout, {"spec": {"version": NEWER, "stages": stages("1s")}}
        case "delete":
            return "DELETE", rollout, None
        case "yank":
            body = {"metadata": {"annotations": {YANKED_ANNOTATION: "it leaks"}}}
            return "PATCH", f"{ours}/modelversions/{MODEL}-v{CANDIDATE}", body
        case other:
            raise AssertionError(f"{other!r} is not an action")


def _endpoints(version: str) -> Raw:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": backend_of(version), "labels": {"kubernetes.io/service-name": backend_of(version)}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["198.18.200.1"], "conditions": {"ready": True}}],
    }


def _model_version(version: str) -> Raw:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"{MODEL}-v{version}"},
        "spec": {
            "model": MODEL,
            "version": version,
            "artifact": {"uri": f"test://{MODEL}/{version}"},
            "serving": {"backendRef": {"name": backend_of(version), "port": PORT}},
        },
    }


def _route() -> Raw:
    backend = {"group": "", "kind": "Service", "name": backend_of(STABLE), "port": PORT, "weight": 1}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": MODEL},
        "spec": {
            "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "stand-in"}],
            "hostnames": ["fraud.test"],
            "rules": [{"name": RULE, "backendRefs": [backend]}],
        },
    }


def _rollout(story: Story) -> Raw:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": MODEL},
        "spec": {
            "model": MODEL,
            "version": CANDIDATE,
            "guards": "Off",
            "route": {"httpRoute": {"name": MODEL, "ruleName": RULE}},
            "metrics": {"source": "default", "preset": "contour"},
            "stages": stages(story.length),
        },
    }
