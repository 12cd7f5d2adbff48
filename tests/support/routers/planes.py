"""The kinds of routes as a team writes them: what the contract suite of the routers needs to know of each."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from localcluster.parts import gateway
from localcluster.programs.catalogue import CONTOUR, ISTIO, KSERVE
from serinus.api.modelversion import BackendRef
from serinus.api.route import RouteKind, RuleId
from serinus.errors import SerinusError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.kinds import collection_path
from serinus.ports.cluster_state import RouteRecord
from serinus.routers import load_router

Raw = dict[str, Any]

ROUTE: Final = "fraud"
OLD, NEW, FOREIGN = "1.0.0", "2.0.0", "foreign"
MEMBERS: Final = (OLD, NEW, FOREIGN)


class Plane(ABC):
    """One kind of route, with one rule named ``predict``.

    Attributes:
        kind: the kind.
        tested_on: what carried the route in the tests: a program with its version, or a stand-in.
        rule: the name of the rule that carries the model's traffic; None where there is only one.
        has_others: whether the rule can have backends that are no versions of the model.
    """

    kind: ClassVar[RouteKind]
    tested_on: ClassVar[str]
    rule: ClassVar[str | None] = "predict"
    has_others: ClassVar[bool] = True

    @property
    def id(self) -> RuleId:
        """The rule as a Rollout names it."""
        return RuleId(self.kind, ROUTE, self.rule)

    @property
    def ref(self) -> Raw:
        """``spec.route`` of a Rollout."""
        field = "httpName" if self.kind is RouteKind.VIRTUAL_SERVICE else "ruleName"
        return {self.kind.field: {"name": ROUTE} | ({field: self.rule} if self.rule else {})}

    def service(self, member: str) -> str:
        """The Service of a version, or of the backend that is nobody's version."""
        return member if member == FOREIGN else f"fraud-v{member[0]}"

    def backend(self, member: str) -> BackendRef:
        """What the ModelVersion names."""
        return BackendRef(name=self.service(member), port=80)

    @abstractmethod
    def manifest(self, weights: Mapping[str, int]) -> Raw:
        """The route with these backends; what surrounds them must survive every write."""

    @abstractmethod
    def drift(self, raw: Raw, weights: Mapping[str, int]) -> Sequence[Raw]:
        """The JSON Patch by which somebody else writes these weights."""

    def collection(self, namespace: str) -> str:
        return collection_path(load_router(self.kind.field).source.kind, namespace)

    def record(self, raw: Raw) -> RouteRecord:
        record = load_router(self.kind.field).source.parse(raw)
        assert isinstance(record, RouteRecord)
        return record

    def shares(self, raw: Raw) -> dict[str, float]:
        """What each backend has of the rule, in percent, by member."""
        (rule,) = [one for one in self.record(raw).rules if self.rule is None or one.name == self.rule]
        total = sum(entry.weight for entry in rule.entries)
        names = {self.backend(member).name + f"[{self.backend(member).subset}]": member for member in MEMBERS}
        return {names[f"{entry.key.name}[{entry.key.subset}]"]: 100 * entry.weight / total for entry in rule.entries}

    @abstractmethod
    def without_weights(self, raw: Raw) -> Raw:
        """The spec without the list or the fields that the operator writes."""

    async def stand_in(self, _api: KubernetesClient, _namespace: str, ended: asyncio.Event) -> None:
        """Play the controller of the data plane until the event, where no real one runs."""
        await ended.wait()


class GatewayPlane(Plane):
    """A route of the Gateway API, carried by the Contour of the local cluster."""

    tested_on = f"Contour {CONTOUR}"
    matches: ClassVar[Raw]

    def manifest(self, weights: Mapping[str, int]) -> Raw:
        refs = [
            {"group": "", "kind": "Service", "name": self.service(member), "port": 80, "weight": weight}
            for member, weight in weights.items()
        ]
        other = {"group": "", "kind": "Service", "name": self.service(OLD), "port": 80, "weight": 7}
        parent = {"namespace": gateway.NAMESPACE, "name": gateway.NAME}
        return {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": self.kind.value,
            "metadata": {"name": ROUTE},
            "spec": {
                "parentRefs": [parent],
                "hostnames": ["routers.local"],
                "rules": [
                    {"name": "other", "matches": [self.matches], "backendRefs": [other]},
                    {"name": "predict", "backendRefs": refs},
                ],
            },
        }

    def drift(self, raw: Raw, weights: Mapping[str, int]) -> Sequence[Raw]:
        refs = raw["spec"]["rules"][1]["backendRefs"]
        names = {self.service(member): weight for member, weight in weights.items()}
        return [
            {"op": "add", "path": f"/spec/rules/1/backendRefs/{index}/weight", "value": names[ref["name"]]}
            for index, ref in enumerate(refs)
            if ref["name"] in names
        ]

    def without_weights(self, raw: Raw) -> Raw:
        first, second = raw["spec"]["rules"]
        return {**raw["spec"], "rules": [first, {key: second[key] for key in second if key != "backendRefs"}]}


class HttpRoutePlane(GatewayPlane):
    kind = RouteKind.HTTP_ROUTE
    matches: ClassVar[Raw] = {"path": {"type": "PathPrefix", "value": "/other"}}


class GrpcRoutePlane(GatewayPlane):
    kind = RouteKind.GRPC_ROUTE
    matches: ClassVar[Raw] = {"method": {"type": "Exact", "service": "other.Service", "method": "Call"}}


class VirtualServicePlane(Plane):
    """A VirtualService by host."""

    kind = RouteKind.VIRTUAL_SERVICE
    tested_on = f"the CRD of Istio {ISTIO}; no control plane"

    def destination(self, member: str) -> Raw:
        return {"host": self.service(member), "port": {"number": 80}}

    def manifest(self, weights: Mapping[str, int]) -> Raw:
        headers = {"request": {"set": {"x-team": "payments"}}}
        destinations = [
            {"destination": self.destination(member), "weight": weight, "headers": headers}
            for member, weight in weights.items()
        ]
        other = {
            "name": "other",
            "match": [{"uri": {"prefix": "/other"}}],
            "route": [{"destination": {"host": self.service(OLD)}}],
        }
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": ROUTE},
            "spec": {"hosts": ["fraud"], "http": [other, {"name": "predict", "timeout": "5s", "route": destinations}]},
        }

    def drift(self, raw: Raw, weights: Mapping[str, int]) -> Sequence[Raw]:
        shares = list(self.shares(raw))
        return [
            {"op": "add", "path": f"/spec/http/1/route/{index}/weight", "value": weights[member]}
            for index, member in enumerate(shares)
            if member in weights
        ]

    def without_weights(self, raw: Raw) -> Raw:
        first, second = raw["spec"]["http"]
        return {**raw["spec"], "http": [first, {key: second[key] for key in second if key != "route"}]}


class SubsetPlane(VirtualServicePlane):
    """A VirtualService whose versions are subsets of one Service."""

    def service(self, _member: str) -> str:
        return "fraud"

    def backend(self, member: str) -> BackendRef:
        subset = member if member == FOREIGN else f"v{member[0]}"
        return BackendRef(name="fraud", port=80, subset=subset)

    def destination(self, member: str) -> Raw:
        return {"host": "fraud", "subset": self.backend(member).subset, "port": {"number": 80}}


class StandardPlane(Plane):
    """An InferenceService in Standard mode, with a stand-in for KServe's controller."""

    kind = RouteKind.INFERENCE_SERVICE
    tested_on = f"the CRD of KServe {KSERVE}, with a stand-in for its controller"
    rule = None

    def service(self, member: str) -> str:
        return f"{ROUTE}-{self._predictor(member)}-predictor"

    def _predictor(self, member: str) -> str:
        return member if member == FOREIGN else f"v{member[0]}"

    def manifest(self, weights: Mapping[str, int]) -> Raw:
        def predictor(member: str) -> Raw:
            # The CRD asks for the container's name in a canary.
            model = {"name": "kserve-container", "modelFormat": {"name": "sklearn"}, "storageUri": f"s3://m/{member}"}
            return {"name": self._predictor(member), "minReplicas": 1, "model": model}

        main, *others = weights
        canaries = [{"trafficPercent": weights[member], "predictor": predictor(member)} for member in others]
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": ROUTE, "annotations": {"serving.kserve.io/deploymentMode": "Standard"}},
            "spec": {"predictor": predictor(main), **({"canary": canaries} if canaries else {})},
        }

    def drift(self, raw: Raw, weights: Mapping[str, int]) -> Sequence[Raw]:
        canaries = [canary["predictor"]["name"] for canary in raw["spec"]["canary"]]
        names = {self._predictor(member): weight for member, weight in weights.items()}
        return [
            {"op": "replace", "path": f"/spec/canary/{index}/trafficPercent", "value": names[name]}
            for index, name in enumerate(canaries)
            if name in names
        ]

    def without_weights(self, raw: Raw) -> Raw:
        canaries = [
            {key: canary[key] for key in canary if key != "trafficPercent"} for canary in raw["spec"].get("canary", [])
        ]
        return {**raw["spec"], "canary": canaries}

    async def stand_in(self, api: KubernetesClient, namespace: str, ended: asyncio.Event) -> None:
        """As reconcileCanaryDeployments of pkg/controller/v1beta1/inferenceservice/components/predictor.go."""
        await follow(api, self.collection(namespace), _standard_status, ended)


class KnativePlane(Plane):
    """An InferenceService in Knative mode, with a stand-in for KServe's controller and Knative."""

    kind = RouteKind.INFERENCE_SERVICE
    tested_on = f"the CRD of KServe {KSERVE}, with a stand-in for its controller and Knative"
    rule = None
    has_others = False

    def service(self, member: str) -> str:
        return f"{ROUTE}-predictor-0000{member[0]}"

    def manifest(self, weights: Mapping[str, int]) -> Raw:
        model = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/2.0.0"}
        share = {"canaryTrafficPercent": weights.get(NEW, 0)}
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": ROUTE, "annotations": {"serving.kserve.io/deploymentMode": "Knative"}},
            "spec": {"predictor": {"model": model, **share}},
        }

    def drift(self, _raw: Raw, weights: Mapping[str, int]) -> Sequence[Raw]:
        return [{"op": "replace", "path": "/spec/predictor/canaryTrafficPercent", "value": weights[NEW]}]

    def without_weights(self, raw: Raw) -> Raw:
        predictor = raw["spec"]["predictor"]
        return {"predictor": {key: predictor[key] for key in predictor if key != "canaryTrafficPercent"}}

    async def stand_in(self, api: KubernetesClient, namespace: str, ended: asyncio.Event) -> None:
        """As the Knative reconciler of ksvc_reconciler.go, and PropagateStatus of inference_service_status.go."""
        await follow(api, self.collection(namespace), _knative_status, ended)


async def follow(api: KubernetesClient, collection: str, status_of: Callable[[Raw], Raw], ended: asyncio.Event) -> None:
    """Write the status of each object of a collection whenever it is not the one that its spec asks for.

    It ends between two requests: one that is cancelled leaves a connection open, for which the next test fails.
    """
    while not ended.is_set():
        with suppress(SerinusError):
            for raw in (await api.request("GET", collection))["items"]:
                status = status_of(raw)
                if {key: raw.get("status", {}).get(key) for key in status} != status:
                    path = f"{collection}/{raw['metadata']['name']}/status"
                    await api.request("PATCH", path, body={"status": status}, content_type=MERGE_PATCH)
        await asyncio.sleep(0.1)  # the pace of the stand-in


def _standard_status(raw: Raw) -> Raw:
    shown = [
        {"name": canary["predictor"]["name"], "ready": True, "trafficPercent": canary["trafficPercent"]}
        for canary in raw["spec"].get("canary", [])
    ]
    return {"deploymentMode": "Standard", "canaryStatuses": shown}


def _knative_status(raw: Raw) -> Raw:
    share = raw["spec"]["predictor"].get("canaryTrafficPercent", 100)
    newest, before = f"{ROUTE}-predictor-00002", f"{ROUTE}-predictor-00001"
    traffic = [
        {"revisionName": newest, "latestRevision": True, "percent": share},
        {"revisionName": before, "latestRevision": False, "percent": 100 - share},
    ]
    component = {
        "latestCreatedRevision": newest,
        "latestReadyRevision": newest,
        "latestRolledoutRevision": newest if share == 100 else before,
        "previousRolledoutRevision": before if share == 100 else "",
        "traffic": [target for target in traffic if share < 100 or target["latestRevision"]],
    }
    # PropagateStatus: the generation of the Knative Service, not of the InferenceService.
    return {"deploymentMode": "Knative", "observedGeneration": 1, "components": {"predictor": component}}


PLANES: Final[Mapping[str, Plane]] = {
    "httpRoute": HttpRoutePlane(),
    "grpcRoute": GrpcRoutePlane(),
    "virtualService": VirtualServicePlane(),
    "virtualService, subsets": SubsetPlane(),
    "inferenceService, Standard": StandardPlane(),
    "inferenceService, Knative": KnativePlane(),
}
