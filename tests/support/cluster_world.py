"""A cluster behind a kubectl: objects, kinds and series that a test has prepared, and what was asked."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest

Manifest = Mapping[str, Any]

NAMESPACE: Final = "ml"
CONFIG: Final = """\
sources:
  default:
    url: http://prometheus.monitoring.svc:9090
    scrapeInterval: 15s
    queries: {drift: {promql: 'max by (version) (drift{namespace="$namespace"})', groupBy: version}}
namespaces: []
"""
_PROXY: Final = "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/api/v1/query"
_PLURALS: Final = {
    "httproutes": "HTTPRoute", "grpcroutes": "GRPCRoute", "virtualservices": "VirtualService",
    "inferenceservices": "InferenceService", "gateways": "Gateway", "referencegrants": "ReferenceGrant",
    "modelversions": "ModelVersion", "rollouts": "Rollout", "services": "Service", "endpointslices": "EndpointSlice",
    "deployments": "Deployment", "configmap": "ConfigMap",
}  # fmt: skip


class Refusal(str):
    """What kubectl prints on standard error when it fails."""

    __slots__ = ()


def row(number: float, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [0, str(number)]}


@dataclass
class World:
    """What is in the cluster.

    Attributes:
        objects: everything that is stored; those without a namespace are in ``ml``.
        unserved: the kinds that the API server does not have.
        refused: the kinds that the user may not read, and ``Prometheus``.
        silent: the kinds for which the API server gives no answer.
        series: the rows of a query, by a part of it; the first that fits counts. A refusal is how kubectl fails.
        asked: the command lines of kubectl.
        reached: whether there is a cluster at all.
    """

    objects: list[Manifest] = field(default_factory=list)
    unserved: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    series: dict[str, list[Any] | Refusal] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    reached: bool = True

    def add(self, *objects: Manifest) -> None:
        self.objects += objects

    def drop(self, kind: str, name: str) -> None:
        self.objects = [one for one in self.objects if (one["kind"], one["metadata"]["name"]) != (kind, name)]

    def run(self, words: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        assert options["timeout"] <= 60
        self.asked.append(" ".join(words[1:]))
        found = self._answer(words[1:])
        if isinstance(found, Refusal):
            return subprocess.CompletedProcess([*words], 1, "", found)
        return subprocess.CompletedProcess([*words], 0, found if isinstance(found, str) else json.dumps(found), "")

    def _answer(self, words: Sequence[str]) -> Any:
        if not self.reached:
            return Refusal("The connection to the server localhost:8080 was refused")
        if words[0] == "config":
            return NAMESPACE
        assert words[0] == "get"
        assert "--request-timeout=30s" in words
        raw = words[1].removeprefix("--raw=")
        return self._raw(raw) if raw != words[1] else self._found(words[1], words[2:])

    def _raw(self, path: str) -> Any:
        if path == "/version":
            return {"gitVersion": "v1.37.2"}
        parts = urlsplit(path)
        assert parts.path == _PROXY
        (query,) = parse_qs(parts.query)["query"]
        if "Prometheus" in self.refused:
            return Refusal('Error from server (Forbidden): services "prometheus" is forbidden: User "ada" cannot get')
        rows = next((rows for part, rows in self.series.items() if part in query), [])
        return rows if isinstance(rows, Refusal) else {"data": {"result": rows}}

    def _found(self, resource: str, words: Sequence[str]) -> Any:
        plural, _, rest = resource.partition(".")
        kind = _PLURALS.get(plural, plural)
        if kind in self.unserved:
            return Refusal(f'error: the server doesn\'t have a resource type "{plural}"')
        if kind in self.refused:
            return Refusal(f'Error from server (Forbidden): {plural}.{rest} is forbidden: User "ada" cannot get them')
        if kind in self.silent:
            return Refusal("Unable to connect to the server: net/http: TLS handshake timeout")
        names = [word for word in words if not word.startswith("--")]
        options = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
        fitting = [one for one in self.objects if one["kind"] == kind and _fits(one, names, options)]
        return fitting[0] if len(names) == 1 and fitting else {"items": fitting} if len(names) != 1 else ""


def _fits(one: Manifest, names: Sequence[str], options: Mapping[str, str]) -> bool:
    metadata = one["metadata"]
    if "all-namespaces" not in options and metadata.get("namespace", NAMESPACE) != options.get("namespace", NAMESPACE):
        return False
    label, _, values = options.get("selector", "").partition(" in ")
    chosen = not values or metadata.get("labels", {}).get(label) in values.strip("()").split(",")
    return chosen and (not names or metadata["name"] in names)


def world_behind_kubectl(monkeypatch: pytest.MonkeyPatch) -> World:
    """Put a cluster behind kubectl that is empty."""
    world = World()
    monkeypatch.setattr("subprocess.run", world.run)
    return world


Change = Callable[[World], object]
"""Changes what is in the cluster."""


def drop(kind: str, name: str) -> Change:
    return lambda world: world.drop(kind, name)


def put(*objects: Manifest) -> Change:
    def change(world: World) -> None:
        for one in objects:
            world.drop(one["kind"], one["metadata"]["name"])
        world.add(*objects)

    return change


def unserved(kind: str) -> Change:
    return lambda world: world.unserved.add(kind)


def refused(kind: str) -> Change:
    return lambda world: world.refused.add(kind)


def silent(kind: str) -> Change:
    return lambda world: world.silent.add(kind)


def series(part: str, rows: list[Any] | Refusal) -> Change:
    return lambda world: world.series.update({part: rows})
