"""What stands around one case: a model of its own that serves 1.0.0 well, and a version 2.0.0 that could come next."""

import asyncio
import re
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

from localcluster.addresses import GATEWAY_LISTENER_PORT
from localcluster.api import Api, ApiError
from support.e2e import manifests as e2e
from support.hostile.cases import Case
from support.manifests.accepted import ACCEPTED
from support.manifests.builders import Manifest, changed

OLD, NEW = "1.0.0", "2.0.0"
T = TypeVar("T")

_HTTP: Final[Manifest] = {
    "path": "/healthz",
    "method": "GET",
    "headers": [{"name": "x-trace", "value": "a"}],
    "body": "",
    "expect": {"status": [200], "json": ["`true`"], "maxLatency": "5s"},
    "attempts": 3,
    "timeout": "5s",
}
_JOB: Final[Manifest] = {
    "timeout": "5m",
    "template": {
        "metadata": {"labels": {"team": "payments"}, "annotations": {"team": "payments"}},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "test", "image": "x"}]}},
        },
    },
}
_CANARY: Final[Manifest] = {
    "name": "canary",
    "traffic": "5%",
    "duration": "1h",
    "abortOn": ["latency_p95 > 500ms", "error_rate > 0.5%"],
    "approval": "NotRequired",
    "judgement": "Sequential",
    "for": "90s",
    "minRequests": 1000,
    "warmup": {"requests": 1},
    "sensitivity": "Careful",
    "blip": "500ms",
    "burst": 20,
    "promotion": "Certified",
    "maxDuration": "48h",
    "onTimeout": "Hold",
}
_MIRRORED: Final[Manifest] = {"mirror": "10%", "abortOn": ["error_rate > 0.5%"]}
MERGE: Final = "application/merge-patch+json"
_OF_MANAGED: Final = re.compile(r"httpRoute\.(managed|template)|\.mirror$")
_REFUSED: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
)


def rollout(namespace: str, model: str, version: str, *, job: bool = False, managed: bool = False) -> Manifest:
    """Return a good Rollout with every field; its canary gets no traffic from anybody, and so never passes.

    A managed route has another name than the team's.
    """
    test = {"name": "contract", "job": _JOB} if job else {"name": "answers", "http": _HTTP}
    full = e2e.rollout(
        namespace,
        version,
        (
            {"name": "staging", "traffic": "0%", **(_MIRRORED if managed else {})},
            {**_CANARY, "tests": [test]},
            {"name": "production", "traffic": "100%", "bake": "30m", "abortOn": ["error_rate > 0.5%"]},
        ),
        model=model,
    )
    metrics = {"source": "default", "preset": "contour", "interval": "10s", "window": "1m"}
    route = {"name": f"{model}-managed", "managed": True, "template": _template(namespace, model)}
    routes = {"spec.route": {"httpRoute": route}} if managed else {}
    return changed(full, {"spec.metrics": metrics, "spec.rollbackTo": OLD, "spec.guards": "On"} | routes)


def _template(namespace: str, model: str) -> Manifest:
    match = {
        "path": {"type": "Exact", "value": "/predict"},
        "headers": [{"type": "Exact", "name": "x-team", "value": "payments"}],
        "queryParams": [{"type": "Exact", "name": "team", "value": "payments"}],
        "method": "POST",
    }
    (parent,) = e2e.route(namespace, "", model=model)["spec"]["parentRefs"]
    return {
        "parentRefs": [{**parent, "sectionName": "http", "port": GATEWAY_LISTENER_PORT}],
        "hostnames": [f"managed.{model}.{namespace}.local"],
        "matches": [match],
        "labels": {"team": "payments"},
        "annotations": {"team": "payments"},
    }


def model_version(namespace: str, model: str) -> Manifest:
    """Return the good ModelVersion 2.0.0 with every field."""
    plain = e2e.model_version(namespace, NEW, model)
    full = changed(
        ACCEPTED["a ModelVersion with every field"]["spec"],
        {"model": model, "version": NEW, "artifact.uri": f"test://{model}/{NEW}"},
    )
    backend = {"group": "", "kind": "Service", **plain["spec"]["serving"]["backendRef"]}
    return {**plain, "spec": {**full, "serving": {"backendRef": backend}}}


def policy(namespace: str, model: str) -> Manifest:
    """Return the good Model with every field."""
    full = ACCEPTED["a Model with every field"]["spec"]
    lenient = {
        "require": dict.fromkeys(full["require"], False),
        "approvals": {"fourEyes": False},
        "verification": "Off",
        "versioning": {"enforcement": "Warn", "retraining": "Warn", "allowMajorInPlace": True},
        "metrics": {**full["metrics"], "enforcement": "Off"},
    }
    return {**e2e.model(namespace, model), "spec": {**full, **lenient}}


def full_objects() -> dict[str, Manifest]:
    """Return the good objects in which no field is left out, by kind, for the making of cases."""
    bare = {"metadata": {"name": "x"}, "kind": "Namespace", "apiVersion": "v1"}
    test = {"name": "answers", "http": _HTTP, "job": _JOB}
    canary = {"tests": [test], "bake": "1h", "warmup": {"requests": 1, "readyFor": "1m"}, "mirror": "10%"}
    routes = {
        "httpRoute": {"name": "x", "ruleName": "x", "managed": True, "template": _template("x", "x")},
        "grpcRoute": {"name": "x", "ruleName": "x"},
        "virtualService": {"name": "x", "httpName": "x"},
        "inferenceService": {"name": "x"},
    }
    stages = {f"spec.stages[1].{field}": value for field, value in canary.items()}
    every = changed(rollout("x", "x", NEW), stages | {f"spec.route.{field}": value for field, value in routes.items()})
    return {
        "Rollout": every,
        "ModelVersion": changed(model_version("x", "x"), {"spec.serving.backendRef.subset": "x"}),
        "Model": policy("x", "x"),
        "Namespace": bare,
    }


@dataclass(frozen=True, slots=True)
class CaseWorld:
    """The objects of one case, all named after its model.

    Attributes:
        addresses: of the processes that serve 1.0.0 and 2.0.0.
        passengers: cases of further ModelVersions of this model, which nothing serves.
    """

    api: Api
    case: Case
    namespace: str
    model: str
    addresses: tuple[str, str]
    passengers: tuple[Case, ...] = ()

    def path(self, kind: str, name: str = "") -> str:
        """Return the API path of a collection, or of an object in it."""
        collection = e2e.collection_of(kind, self.namespace)
        return f"{collection}/{name}" if name else collection

    @property
    def hostname(self) -> str:
        return f"{self.model}.{self.namespace}.local"

    @property
    def managed(self) -> bool:
        """Whether the case is about a managed route: its Rollout begins with the hostile value, as none becomes so."""
        return self.case.kind == "Rollout" and re.search(_OF_MANAGED, self.case.path) is not None

    def good(self) -> Manifest:
        """Return the object of the case as it should be."""
        match self.case.kind:
            case "Rollout":
                job = ".job" in self.case.path
                return rollout(self.namespace, self.model, NEW, job=job, managed=self.managed)
            case "ModelVersion":
                return model_version(self.namespace, self.model)
            case "Model":
                return policy(self.namespace, self.model)
            case _:
                return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}

    def hostile(self) -> Manifest:
        """Return the object of the case with the hostile value."""
        return self.case.applied(self.good())

    def passenger(self, case: Case) -> Manifest:
        """Return the ModelVersion of a passenger, under a number of its own."""
        number = f"3.0.{self.passengers.index(case)}"
        good = model_version(self.namespace, self.model)
        spec = {"version": number, "serving.backendRef.name": e2e.backend_of(number, self.model)}
        numbered = {**good, "spec": changed(good["spec"], spec)}
        return case.applied(changed(numbered, {"metadata.name": f"{self.model}-v{number}"}))

    def versions(self) -> list[tuple[Case, str]]:
        """Return the cases of ModelVersions with the names of these."""
        own = [(self.case, self.hostile())] if self.case.kind == "ModelVersion" else []
        others = [(case, self.passenger(case)) for case in self.passengers]
        return [(case, manifest["metadata"]["name"]) for case, manifest in (*own, *others)]

    async def board(self) -> None:
        """Create the passengers' ModelVersions."""
        for case in self.passengers:
            await self._create(self.passenger(case))

    async def refusal(self) -> str:
        """Return why the API server refuses the hostile object; empty where it would store it.

        Raises:
            ApiError: it neither took nor refused the object.
        """
        if self.case.kind == "Namespace":
            return await self._tried("PATCH", f"/api/v1/namespaces/{self.namespace}", self.hostile(), MERGE)
        return await self._tried("POST", self.path(self.case.kind), self.hostile())

    async def _tried(self, method: str, path: str, body: Manifest, content: str = "application/json") -> str:
        try:
            await self.api.request(method, path, body, content_type=content, dryRun="All")
        except ApiError as problem:
            if problem.status not in _REFUSED:
                raise
            return str(problem)
        return ""

    async def stand(self) -> None:
        """Create everything but what is hostile."""
        create = self._create
        await create(self._model())
        for version, address in zip((OLD, NEW), self.addresses, strict=True):
            name = e2e.backend_of(version, self.model)
            await create(e2e.service(self.namespace, name))
            await create(e2e.endpoints(self.namespace, name, address))
        await create(e2e.model_version(self.namespace, OLD, self.model))
        if self.case.kind != "ModelVersion":
            await create(model_version(self.namespace, self.model))
        if self.managed:
            return
        await create(e2e.route(self.namespace, self.hostname, model=self.model, stable=OLD))
        await create(self._rollout(OLD))

    def _model(self) -> Manifest:
        return policy(self.namespace, self.model)

    def _rollout(self, version: str) -> Manifest:
        return rollout(self.namespace, self.model, version, job=".job" in self.case.path)

    async def strike(self) -> str:
        """Apply the hostile value and have the Rollout go on; return why the API server refuses it after all."""
        try:
            match self.case.kind:
                case "Rollout" if self.managed:
                    await self._create(self.hostile())
                case "ModelVersion":
                    await self._create(self.hostile())
                case "Namespace":
                    await self.api.merge(f"/api/v1/namespaces/{self.namespace}", self.hostile())
                case kind:
                    await self._replace(kind, self.hostile())
        except ApiError as problem:
            if problem.status not in _REFUSED:
                raise
            return str(problem)
        if self.case.kind != "Rollout":
            await self.api.merge(self.path("Rollout", self.model), {"spec": {"version": self.wanted}})
        return ""

    @property
    def wanted(self) -> str:
        """The version that the Rollout goes on to: that of the case's ModelVersion, or 2.0.0."""
        if self.case.kind == "ModelVersion" and not self.case.annotation and self.case.path == "spec.version":
            return str(self.hostile()["spec"]["version"])
        return NEW

    async def restore(self) -> None:
        """Take the hostile value back and want 1.0.0 again; a Rollout with a managed route ends."""
        if self.managed:
            await self.api.request("DELETE", self.path("Rollout", self.model))
            return
        if self.case.annotation:
            await self._unannotate()
        await self._replace("Rollout", self._rollout(OLD))
        if self.case.kind == "Model":
            await self._replace("Model", self._model())

    async def _replace(self, kind: str, wanted: Manifest) -> None:
        """Give the stored object this spec and these annotations; anew where somebody else wrote in between."""
        path = self.path(kind, self.model)
        while True:
            stored = await self.api.request("GET", path)
            kept = {name: value for name, value in stored.items() if name != "spec"}
            metadata = {**stored["metadata"], "annotations": wanted["metadata"].get("annotations", {})}
            spec = {"spec": wanted["spec"]} if "spec" in wanted else {}
            try:
                await self.api.request("PUT", path, {**kept, "metadata": metadata, **spec})
            except ApiError as problem:
                if problem.status != HTTPStatus.CONFLICT:
                    raise
            else:
                return

    async def _unannotate(self) -> None:
        path = {
            "Rollout": self.path("Rollout", self.model),
            "ModelVersion": self.path("ModelVersion", f"{self.model}-v{NEW}"),
            "Namespace": f"/api/v1/namespaces/{self.namespace}",
        }[self.case.kind]
        await self.api.merge(path, {"metadata": {"annotations": {self.case.path: None}}})

    async def _create(self, manifest: Manifest) -> None:
        await self.api.request("POST", self.path(manifest["kind"]), manifest)


async def each(works: Iterable[Coroutine[Any, Any, T]], at_a_time: int = 16) -> list[T]:
    """Await all, so many at a time, and return their results in order."""
    gate = asyncio.Semaphore(at_a_time)

    async def one(work: Coroutine[Any, Any, T]) -> T:
        async with gate:
            return await work

    return list(await asyncio.gather(*(one(work) for work in works)))
