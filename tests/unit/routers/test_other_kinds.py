"""The patches of the other kinds of routes: what they read as a backend, and that a patch leaves the rest alone."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.modelversion import BackendRef
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, backend_key
from serinus.engine.rollout.traffic.route_plan import AcceptanceState, Unplannable, accepted, carried, plan_entries
from serinus.errors import ConfigurationError, RefusedError
from serinus.routers import Routers, load_router
from serinus.routers.gateway_api import GatewayApiRouter
from serinus.routers.inference_service import InferenceServiceRouter, inference_service_record
from serinus.routers.virtual_service import VirtualServiceRouter, virtual_service_record
from support.kube.memory import MemoryApi, json_patch
from support.kube.objects import metadata
from support.routers.planes import FOREIGN, NEW, OLD, PLANES, ROUTE, Plane, StandardPlane

Raw = dict[str, Any]

ROUTERS = {
    RouteKind.HTTP_ROUTE: GatewayApiRouter,
    RouteKind.VIRTUAL_SERVICE: VirtualServiceRouter,
    RouteKind.INFERENCE_SERVICE: InferenceServiceRouter,
}


def stored(raw: Raw, **status: Any) -> Raw:
    return {**raw, "metadata": {**metadata(ROUTE), **raw["metadata"]}, "status": status}


def virtual_service(*destinations: Raw) -> Raw:
    spec = {"hosts": ["fraud"], "http": [{"name": "predict", "route": list(destinations)}]}
    return stored({"kind": "VirtualService", "metadata": {}, "spec": spec})


def destination(host: str, weight: int | None = None, **more: Any) -> Raw:
    return {"destination": {"host": host, **more}, **({} if weight is None else {"weight": weight})}


def shares(plane: Plane, new: int) -> SetWeights:
    old, candidate = plane.backend(OLD), plane.backend(NEW)
    return SetWeights(
        route=plane.id,
        shares=(BackendShare(old, 10_000 - new), BackendShare(candidate, new)),
        ours=frozenset({backend_key(old), backend_key(candidate)}),
    )


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("fraud-v1", "fraud-v1"),
        ("fraud-v1.ml.svc.cluster.local", "fraud-v1"),
        ("fraud-v1.ml.svc.mesh.example", "fraud-v1"),
        ("fraud-v1.other.svc.cluster.local", "/fraud-v1.other.svc.cluster.local"),
        ("fraud-v1.ml", "/fraud-v1.ml"),
        ("models.example.com", "/models.example.com"),
    ],
)
def test_a_host_is_a_service_of_the_namespace_or_nobodys_backend(host: str, name: str) -> None:
    record = virtual_service_record(virtual_service(destination(host, 1, port={"number": 80})))
    assert [entry.key for entry in record.rules[0].entries] == [BackendKey("", "Service", name, 80)]


def test_the_rule_of_a_version_on_trial_is_written_where_somebody_has_renamed_it() -> None:
    plane = PLANES["httpRoute"]
    raw = stored(plane.manifest({OLD: 9500, NEW: 500}))
    raw["spec"]["rules"][-1]["name"] = "renamed"
    action = shares(plane, 0)
    with pytest.raises(RefusedError, match="has no rule"):
        GatewayApiRouter.patch(plane.record(raw), action)
    found = replace(action, on_trial=backend_key(plane.backend(NEW)))
    patched = plane.record(json_patch(raw, GatewayApiRouter.patch(plane.record(raw), found)))
    assert [entry.weight for entry in patched.rules[-1].entries] == [10_000, 0]


def test_the_only_destination_of_an_http_route_has_all_of_it() -> None:
    record = virtual_service_record(virtual_service(destination("fraud-v1", port={"number": 80})))
    assert [entry.weight for entry in record.rules[0].entries] == [100]


def test_a_destination_without_a_port_is_the_version_on_this_service() -> None:
    plane = PLANES["virtualService"]
    raw = virtual_service(destination("fraud-v1"))
    patched = json_patch(raw, VirtualServiceRouter.patch(virtual_service_record(raw), shares(plane, 500)))
    assert patched["spec"]["http"][0]["route"] == [
        destination("fraud-v1", 9500),
        destination("fraud-v2", 500, port={"number": 80}),
    ]


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (BackendRef(group="inference.networking.k8s.io", kind="InferencePool", name="fraud-v2"), "is no Service"),
        (BackendRef(name="fraud-v2", port=80, subset="v2"), "has a subset"),
    ],
)
def test_a_backend_that_the_kind_of_route_cannot_name_is_refused_and_never_written(
    version: BackendRef, why: str
) -> None:
    title = "httpRoute" if version.subset else "virtualService"
    plane = PLANES[title]
    raw = stored(plane.manifest({OLD: 100}))
    old, refused = plane.backend(OLD), f"{why}.*: give the version another backend"
    both = frozenset({backend_key(old), backend_key(version)})

    def write(new: int) -> Raw:
        of_both = (BackendShare(old, 10_000 - new), BackendShare(version, new))
        action = SetWeights(route=plane.id, shares=of_both, ours=both)
        return json_patch(raw, ROUTERS[plane.kind].patch(plane.record(raw), action))

    with pytest.raises(RefusedError, match=refused):
        write(500)
    assert len(plane.record(write(0)).rules[-1].entries) == 1


def test_istio_reports_only_where_its_status_is_switched_on() -> None:
    quiet = virtual_service(destination("fraud-v1", 1))
    assert virtual_service_record(quiet).parents == ()
    reconciled = {"observedGeneration": "3", "conditions": [{"type": "Reconciled", "status": "True"}]}
    (parent,) = virtual_service_record({**quiet, "status": reconciled}).parents
    assert (parent.accepted, parent.observed_generation) == (True, 3)
    error = {"observedGeneration": 3, "validationMessages": [{"level": "ERROR", "documentationUrl": "istio.io/x"}]}
    (parent,) = virtual_service_record({**quiet, "status": error}).parents
    assert (parent.accepted, parent.message) == (False, "istio.io/x")


def test_the_main_predictor_has_what_the_canaries_leave() -> None:
    raw = stored(StandardPlane().manifest({OLD: 0, NEW: 10, FOREIGN: 20}))
    (rule,) = inference_service_record(raw).rules
    assert [(entry.key.name, entry.weight) for entry in rule.entries] == [
        ("fraud-v1-predictor", 7000),
        ("fraud-v2-predictor", 1000),
        ("fraud-foreign-predictor", 2000),
    ]


def test_a_predictor_that_is_not_listed_cannot_get_traffic() -> None:
    record = inference_service_record(stored(StandardPlane().manifest({OLD: 100})))
    with pytest.raises(RefusedError, match="does not list fraud-v2-predictor:80: add it there"):
        InferenceServiceRouter.patch(record, shares(StandardPlane(), 500))
    assert InferenceServiceRouter.patch(record, shares(StandardPlane(), 0)) == []


@pytest.mark.parametrize(
    ("share", "shown", "current"),
    [(10, [10, 90], True), (10, [20, 80], False), (100, [100, 0], True), (0, [0, 100], True)],
)
def test_knative_has_accepted_what_its_traffic_shows(share: int, shown: list[int], *, current: bool) -> None:
    raw = stored(PLANES["inferenceService, Knative"].manifest({NEW: share}))
    component = {
        "latestCreatedRevision": "fraud-predictor-00002",
        "latestRolledoutRevision": "fraud-predictor-00001",
        "traffic": [
            {"revisionName": f"fraud-predictor-0000{number}", "percent": percent}
            for number, percent in zip((2, 1), shown, strict=True)
        ],
    }
    status = {"deploymentMode": "Knative", "observedGeneration": 3, "components": {"predictor": component}}
    (parent,) = inference_service_record({**raw, "status": status}).parents
    assert (parent.accepted, parent.observed_generation) == (current, 3 if current else 0)
    # KServe writes the generation of the Knative Service there, which is another object's.
    (parent,) = inference_service_record({**raw, "status": {**status, "observedGeneration": 1}}).parents
    assert parent.accepted is current


@pytest.mark.parametrize(
    ("shown", "ready", "state"),
    [
        ({NEW: 10}, True, AcceptanceState.YES),
        ({NEW: 10}, False, AcceptanceState.REFUSED),
        ({NEW: 0}, False, AcceptanceState.YES),
        ({NEW: 100}, False, AcceptanceState.REFUSED),
    ],
)
def test_a_canary_that_is_not_ready_has_no_share_of_kserves_route(
    shown: dict[str, int], state: AcceptanceState, *, ready: bool
) -> None:
    raw = StandardPlane().manifest({OLD: 0, **shown})
    (percent,) = shown.values()
    seen = [{"name": "v2", "ready": ready, "trafficPercent": percent}]
    record = inference_service_record(stored(raw, deploymentMode="Standard", canaryStatuses=seen))
    route = RouteFacts(generation=record.generation, entries=record.rules[0].entries, parents=record.parents)
    assert accepted(route).state is state
    assert carried(route).state is state
    if state is AcceptanceState.REFUSED:
        assert "the main predictor gets the share of v2, which is not ready" in accepted(route).message


def test_a_revision_that_has_everything_can_be_left_for_the_one_before() -> None:
    component = {
        "latestCreatedRevision": "fraud-predictor-00002",
        "latestRolledoutRevision": "fraud-predictor-00002",
        "previousRolledoutRevision": "fraud-predictor-00001",
        "traffic": [{"revisionName": "fraud-predictor-00002", "percent": 100, "latestRevision": True}],
    }
    plane = PLANES["inferenceService, Knative"]
    raw = stored(plane.manifest({NEW: 100}), deploymentMode="Knative", components={"predictor": component})
    patched = json_patch(raw, InferenceServiceRouter.patch(inference_service_record(raw), shares(plane, 0)))
    assert patched["spec"]["predictor"]["canaryTrafficPercent"] == 0


_members = st.dictionaries(st.sampled_from([OLD, NEW, FOREIGN]), st.integers(0, 50), min_size=1)


@pytest.mark.parametrize("title", ["virtualService", "virtualService, subsets", "inferenceService, Standard"])
@given(members=_members, new=st.integers(0, 100))
def test_a_patched_route_has_the_planned_weights_and_all_the_rest(
    title: str, members: dict[str, int], new: int
) -> None:
    plane = PLANES[title]
    factory = load_router(plane.kind.field)
    raw = stored(plane.manifest(members))
    record, action = plane.record(raw), shares(plane, new * factory.can.unit)
    plan = plan_entries(record.rules[-1].entries, action.shares, action.ours, None, factory.can)
    if isinstance(plan, Unplannable):
        with pytest.raises(RefusedError):
            ROUTERS[plane.kind].patch(record, action)
        return
    patched = json_patch(raw, ROUTERS[plane.kind].patch(record, action))
    found = plane.record(patched).rules[-1].entries
    assert [entry.key for entry in found] == [entry.key for entry in plan]
    if len(found) > 1:
        assert [entry.weight for entry in found] == [entry.weight for entry in plan]
    assert plane.without_weights(patched) == plane.without_weights(raw)


async def test_a_kind_that_is_not_switched_on_is_refused_by_its_field() -> None:
    routers = Routers(MemoryApi(), [load_router("httpRoute")])
    action = SetWeights(route=RuleId(RouteKind.GRPC_ROUTE, "fraud"), shares=(), ours=frozenset())
    with pytest.raises(RefusedError, match=r"spec\.route\.grpcRoute: the router grpcRoute is not switched on"):
        await routers.set_weights("ml", action)


def test_every_kind_has_a_router_under_the_name_of_its_field() -> None:
    assert [load_router(kind.field).kind for kind in RouteKind] == list(RouteKind)
    with pytest.raises(ConfigurationError, match="no package has a router named 'traefik'"):
        load_router("traefik")
