"""``serinus lint --cluster``: routes, versions and backends that are there, missing, or not to be asked."""

from typing import Final

import pytest

from support.cluster_world import Change, World, drop, put, refused, row, silent, unserved
from support.linted import Linted, No, assert_found, id_of
from support.manifests.builders import GONE, Manifest, changed, model_version, rollout
from support.manifests.stored import OLD, PLAN, POOL, config, endpoints, in_cluster, route, service, stored

REFUSED: Final = {
    "status.parents[0].conditions[1]": {
        "type": "ResolvedRefs",
        "status": "False",
        "reason": "RefNotPermitted",
        "message": "Service shared/x",
        "observedGeneration": 1,
    }
}
LATE: Final = {"metadata.generation": 2}
OWNER: Final = {
    "metadata.ownerReferences": [
        {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "name": "fraud", "controller": True}
    ]
}
AT_ROUTE: Final = "spec.route.httpRoute.name: "

NOS: Final[list[No]] = [
    (drop("HTTPRoute", "fraud-detector"), "", "missing-route", AT_ROUTE + "HTTPRoute fraud-detector is neither in the"),
    (unserved("HTTPRoute"), "", "not-served", "spec.route.httpRoute: this cluster has no kind httproutes.v1.gateway."),
    (
        put(changed(route(), {"spec.rules[0].name": "other"})),
        "",
        "missing-rule",
        "spec.route.httpRoute.ruleName: HTTPRoute fraud-detector has no rule predict; its rules: other: name one of",
    ),
    (put(changed(route(), OWNER)), "", "route-owned", AT_ROUTE + "HTTPRoute fraud-detector belongs to InferenceServ"),
    (
        put(changed(route(), REFUSED)),
        "",
        "route-refused",
        AT_ROUTE + "HTTPRoute fraud-detector: The route is not accepted by infra/gate/http: RefNotPermitted: Service "
        "shared/x: see its status: kubectl describe httproutes.gateway.networking.k8s.io fraud-detector -n ml",
    ),
    (
        put(changed(route(), LATE)),
        "warning: ",
        "route-refused",
        AT_ROUTE + "HTTPRoute fraud-detector: Waiting for infra/gate/http (at 1) to accept generation 2: see its stat",
    ),
    (
        put(changed(route(), {"spec.parentRefs": [], "status": GONE})),
        "",
        "route-refused",
        AT_ROUTE + "HTTPRoute fraud-detector: The route has no parentRefs: no Gateway carries it. Add one to spec.par",
    ),
    (
        drop("ModelVersion", "fraud-detector-v2.3.1"),
        "",
        "missing-version",
        "spec.version: ModelVersion fraud-detector-v2.3.1 is neither in the files nor in namespace ml of the cluster:",
    ),
    (
        drop("ModelVersion", "fraud-detector-v2.2.4"),
        "",
        "missing-version",
        "spec.rollbackTo: ModelVersion fraud-detector-v2.2.4 is neither in the files nor in namespace ml of the clus",
    ),
    (unserved("ModelVersion"), "", "not-served", "spec.version: this cluster has no kind modelversions.v1alpha1.ser"),
    (
        put(in_cluster(model_version({"spec.serving": GONE}))),
        "",
        "no-backend",
        "spec.version: ModelVersion fraud-detector-v2.3.1 does not say where it serves: give it spec.serving.backend",
    ),
    (
        put(in_cluster(model_version({"spec.serving.backendRef.name": "old"}))),
        "",
        "one-backend",
        "spec.rollbackTo: ModelVersion fraud-detector-v2.2.4 has the same backend as the version: give each version",
    ),
    (
        drop("Service", "old"),
        "",
        "missing-service",
        "spec.rollbackTo: ModelVersion fraud-detector-v2.2.4 of the cluster: Service old is neither in the files nor",
    ),
    (
        put(service("old", 8080)),
        "",
        "missing-service",
        "spec.rollbackTo: ModelVersion fraud-detector-v2.2.4 of the cluster: Service old has no port 80; it has 8080",
    ),
    (
        put(endpoints("fraud-detector-v2-3-1", ready=False)),
        "warning: ",
        "not-ready",
        (
            "spec.version: ModelVersion fraud-detector-v2.3.1 of the cluster: Service fraud-detector-v2-3-1 has no "
            "ready endpoints: no stage begins until it has one: see its pods: kubectl get endpointslices -n ml -l "
            "kubernetes.io/service-name=fraud-detector-v2-3-1"
        ),
    ),
    (
        drop("EndpointSlice", "old-x"),
        "warning: ",
        "not-ready",
        (
            "spec.rollbackTo: ModelVersion fraud-detector-v2.2.4 of the cluster: Service old has no ready endpoints: "
            "no version gets more traffic until it has one, because nothing could take the traffic back"
        ),
    ),
    (
        put(in_cluster(model_version({"spec.serving.backendRef": POOL}))),
        "",
        "missing-backend",
        "spec.version: ModelVersion fraud-detector-v2.3.1 of the cluster: InferencePool llm is neither in the files",
    ),
    (
        put({**rollout({"metadata.name": "again"}), "metadata": stored("again")}),
        "",
        "two-rollouts",
        "spec.model: Rollout again of the cluster is of model fraud-detector too: a model has one Rollout",
    ),
    (
        put({**rollout({"spec.model": "ranker"}), "metadata": stored("ranker")}),
        "",
        "shared-route",
        "spec.route.httpRoute: Rollout ranker of the cluster has the same rule of HTTPRoute fraud-detector: give each",
    ),
    (
        put(route(("legacy", 1))),
        "",
        "foreign-backend",
        AT_ROUTE
        + "The route's traffic goes to legacy:80, which no ModelVersion of fraud-detector names as its backend",
    ),
]


@pytest.mark.parametrize("case", NOS, ids=id_of)
def test_what_is_not_so_in_the_cluster_is_found(world: World, lint: Linted, case: No) -> None:
    assert_found(world, lint, case)


NOT_ASKED: Final[list[tuple[Change, str]]] = [
    (
        refused("HTTPRoute"),
        AT_ROUTE + "not checked whether HTTPRoute fraud-detector exists: you may not get "
        "httproutes.v1.gateway.networking.k8s.io in namespace ml: ask an administrator for this right",
    ),
    (
        silent("HTTPRoute"),
        AT_ROUTE + "not checked whether HTTPRoute fraud-detector exists: the API server did not answer: Unable to con",
    ),
    (
        refused("ModelVersion"),
        "spec.version: not checked whether ModelVersion fraud-detector-v2.3.1 exists: you may not get modelversions",
    ),
    (
        refused("Service"),
        "spec.version: ModelVersion fraud-detector-v2.3.1 of the cluster: not checked whether Service fraud-detector",
    ),
    (
        refused("EndpointSlice"),
        (
            "spec.version: ModelVersion fraud-detector-v2.3.1 of the cluster: not checked whether Service "
            "fraud-detector-v2-3-1 has ready endpoints: you may not list endpointslices"
        ),
    ),
]


@pytest.mark.parametrize(("change", "words"), NOT_ASKED, ids=[words[:70] for _, words in NOT_ASKED])
def test_what_could_not_be_asked_is_a_note_and_never_told_as_missing(
    world: World, lint: Linted, change: Change, words: str
) -> None:
    change(world)
    lines = lint.of(PLAN)
    assert lint.status == 0
    assert any(f": note: Rollout fraud-detector: {words}" in line for line in lines), lines
    assert all(line.endswith("[not-asked]") and "neither in" not in line for line in lines)


ROUTES: Final = {
    "grpcRoute": ("GRPCRoute", {"name": "fraud-detector", "ruleName": "predict"}),
    "virtualService": ("VirtualService", {"name": "fraud-detector", "httpName": "predict"}),
    "inferenceService": ("InferenceService", {"name": "fraud-detector"}),
}
BODIES: Final[dict[str, Manifest]] = {
    "GRPCRoute": route(kind="GRPCRoute"),
    "VirtualService": {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": stored("fraud-detector"),
        "spec": {"http": [{"name": "predict", "route": [{"destination": {"host": "old", "port": {"number": 80}}}]}]},
    },
    "InferenceService": {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": stored("fraud-detector"),
        "spec": {"predictor": {"name": "old"}},
        "status": {"observedGeneration": 1},
    },
}


def test_an_inference_pool_of_the_cluster_is_there(world: World, lint: Linted) -> None:
    world.drop("ModelVersion", "fraud-detector-v2.3.1")
    world.add({"kind": "InferencePool", "metadata": stored("llm")})
    world.add(in_cluster(model_version({"spec.serving.backendRef": POOL})))
    assert not [one for one in lint.of(PLAN) if "[condition]" not in one]
    assert any(asked.startswith("get InferencePool.inference.networking.k8s.io llm") for asked in world.asked)


@pytest.mark.parametrize("kind", ["--raw=/openapi", "Secret name", "pods,secrets"])
def test_a_kind_that_is_no_kind_does_not_reach_kubectl(world: World, lint: Linted, kind: str) -> None:
    bad = in_cluster(model_version({"spec.serving.backendRef": {**POOL, "kind": kind}}))
    world.drop("ModelVersion", "fraud-detector-v2.3.1")
    world.add(bad)
    assert any("[not-served]" in line for line in lint.of(PLAN))
    assert not any(kind in asked for asked in world.asked)


@pytest.mark.parametrize("field", ROUTES)
def test_each_kind_of_route_is_looked_for(world: World, lint: Linted, field: str) -> None:
    kind, ref = ROUTES[field]
    plan = changed(PLAN, {"spec.route": {field: ref}})
    config("namespaces", f"routers: [{field}]\nnamespaces")(world)
    (missing,) = lint.of(plan)
    assert f"spec.route.{field}.name: {kind} fraud-detector is neither in the files" in missing
    world.unserved.add(kind)
    (unserved,) = lint.of(plan)
    assert f"spec.route.{field}: this cluster has no kind " in unserved
    world.unserved.clear()
    world.add(BODIES[kind])
    if field == "inferenceService":
        predictor = "fraud-detector-old-predictor"
        put(in_cluster(changed(model_version(OLD), {"spec.serving.backendRef.name": predictor})))(world)
        world.add(service(predictor), endpoints(predictor))
        world.series["count by (envoy_cluster_name)"] = [row(1, envoy_cluster_name=f"ml_{predictor}_80")]
    assert lint.of(plan) == []


def test_a_kind_of_route_whose_crd_is_in_the_files_will_be_served(world: World, lint: Linted) -> None:
    world.unserved.add("VirtualService")
    config("namespaces", "routers: [virtualService]\nnamespaces")(world)
    names = {"kind": "VirtualService", "plural": "virtualservices"}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "virtualservices.networking.istio.io"},
        "spec": {"group": "networking.istio.io", "names": names},
    }
    lint.write(crd, name="crd.yaml")
    plan = changed(PLAN, {"spec.route": {"virtualService": {"name": "fraud-detector"}}})
    assert lint.of(plan, {**BODIES["VirtualService"], "metadata": {"name": "fraud-detector"}}) == []


@pytest.mark.parametrize(
    ("rule", "kind", "words"),
    [("x", "VirtualService", "spec.route.virtualService.httpName: VirtualService fraud-detector has no rule x")],
)
def test_the_entry_of_a_virtual_service_must_be_there(
    world: World, lint: Linted, rule: str, kind: str, words: str
) -> None:
    world.add(BODIES[kind])
    plan = changed(PLAN, {"spec.route": {"virtualService": {"name": "fraud-detector", "httpName": rule}}})
    assert any(words in line for line in lint.of(plan))


def test_a_rollout_that_the_cluster_has_keeps_its_route_so_that_another_one_is_a_warning(
    world: World, lint: Linted
) -> None:
    world.add(in_cluster(PLAN), {**rollout(), "metadata": stored("again")})
    (line,) = lint.of(PLAN)
    assert ": warning: Rollout fraud-detector: spec.model: Rollout again of the cluster is of model" in line


def test_what_a_rollout_serves_already_needs_no_version_to_take_it_over(world: World, lint: Linted) -> None:
    put(route(("legacy", 1)))(world)
    world.series["count by (envoy_cluster_name)"] = [row(1, envoy_cluster_name="ml_legacy_80")]
    stable = {"version": "2.2.4", "weight": 100, "since": "2026-11-01T00:00:00Z"}
    world.add({**in_cluster(PLAN), "status": {"stable": stable}})
    assert lint.of(PLAN) == []


def test_a_version_of_the_files_may_name_what_the_route_serves(world: World, lint: Linted) -> None:
    put(route(("legacy", 1)))(world)
    world.series["count by (envoy_cluster_name)"] = [row(1, envoy_cluster_name="ml_legacy_80")]
    first = {
        "metadata.name": "fraud-detector-v1.0.0",
        "spec.version": "1.0.0",
        "spec.serving.backendRef.name": "legacy",
    }
    assert lint.of(PLAN, model_version(first), {**service("legacy"), "metadata": {"name": "legacy"}}) == []


@pytest.mark.parametrize("kind", ["Rollout", "ModelVersion"])
def test_rights_on_the_neighbours_may_be_missing(world: World, lint: Linted, kind: str) -> None:
    put(route(("legacy", 1)))(world)
    world.refused.add(kind)
    lines = lint.of(PLAN)
    assert any("not checked whether a" in line and f"you may not list {kind.lower()}s" in line for line in lines), lines
    assert lint.status == 0
