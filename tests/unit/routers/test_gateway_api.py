"""The JSON Patch of the router: minimal, and guarded by everything that it depends on."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.modelversion import BackendRef
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.traffic.facts import BackendKey, backend_key
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries
from serinus.errors import AmbiguousError, ConfigurationError, ConflictError, RefusedError
from serinus.kube.routes import http_route_record
from serinus.routers import load_router
from serinus.routers.gateway_api import GatewayApiRouter
from support.kube.memory import MemoryApi, json_patch
from support.kube.objects import ROUTES, backend_ref, http_route, metadata

STABLE = BackendRef(name="stable", port=80)
CANDIDATE = BackendRef(name="candidate", port=8080)
OURS = frozenset({backend_key(STABLE), backend_key(CANDIDATE), BackendKey("", "Service", "old", 80)})
PATH = f"{ROUTES}/ml/httproutes/fraud-detector"


def weights(candidate: int = 500, *, rule: str | None = None, safety: bool = False) -> SetWeights:
    return SetWeights(
        route=RuleId(RouteKind.HTTP_ROUTE, "fraud-detector", rule),
        shares=(BackendShare(STABLE, 10_000 - candidate), BackendShare(CANDIDATE, candidate)),
        ours=OURS,
        towards_safety=safety,
    )


def patch_of(raw: dict[str, Any], action: SetWeights) -> list[dict[str, Any]]:
    return GatewayApiRouter.patch(http_route_record(raw), action)


def test_a_patch_tests_its_preconditions_and_changes_only_what_differs() -> None:
    raw = http_route(
        {"name": "health", "backendRefs": []},
        {"name": "predict", "backendRefs": [backend_ref("stable", 10_000), backend_ref("old", 0)]},
    )
    assert patch_of(raw, weights(rule="predict")) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "test", "path": "/spec/rules/1/name", "value": "predict"},
        {"op": "add", "path": "/spec/rules/1/backendRefs/0/weight", "value": 9500},
        {"op": "remove", "path": "/spec/rules/1/backendRefs/1"},
        {
            "op": "add",
            "path": "/spec/rules/1/backendRefs/-",
            "value": {"group": "", "kind": "Service", "name": "candidate", "port": 8080, "weight": 500},
        },
    ]


def test_a_weight_that_is_not_set_is_added() -> None:
    patch = patch_of(http_route({"backendRefs": [backend_ref("stable")]}), weights(0))
    assert {"op": "add", "path": "/spec/rules/0/backendRefs/0/weight", "value": 10_000} in patch


def test_a_rule_without_backends_gets_the_whole_list() -> None:
    patch = patch_of(http_route({"name": "predict"}), weights(0))
    assert [operation["path"] for operation in patch if operation["op"] == "add"] == ["/spec/rules/0/backendRefs"]


def test_a_rule_with_the_right_weights_needs_no_patch() -> None:
    refs = [backend_ref("stable", 9500), backend_ref("candidate", 500, port=8080)]
    assert patch_of(http_route({"backendRefs": refs}), weights()) == []


def test_a_backend_with_a_versions_name_in_another_namespace_is_left_alone() -> None:
    refs = [backend_ref("old", 0, namespace="theirs"), backend_ref("stable", 10_000)]
    patch = patch_of(http_route({"backendRefs": refs}), weights(0))
    assert [operation for operation in patch if operation["op"] == "remove"] == []
    assert {"op": "add", "path": "/spec/rules/0/backendRefs/1/weight", "value": 10_000} not in patch


def test_a_new_entry_gets_the_filters_of_the_one_that_serves() -> None:
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-key", "value": "1"}]}}]
    route = http_route({"backendRefs": [backend_ref("stable", 10_000, filters=filters)]})
    action = replace(weights(), filters_of=backend_key(STABLE))
    added = [operation["value"] for operation in patch_of(route, action) if operation["path"].endswith("/-")]
    assert [one["filters"] for one in added] == [filters]


def test_two_ports_of_one_service_are_two_backends() -> None:
    first, second = BackendRef(name="fraud", port=8080), BackendRef(name="fraud", port=8081)
    action = replace(weights(), shares=(BackendShare(first, 9500), BackendShare(second, 500)), ours=frozenset())
    route = http_route({"backendRefs": [backend_ref("fraud", 10_000, port=8080)]})
    patched = json_patch(route, patch_of(route, action))
    refs = [(ref["name"], ref["port"], ref["weight"]) for ref in patched["spec"]["rules"][0]["backendRefs"]]
    assert refs == [("fraud", 8080, 9500), ("fraud", 8081, 500)]


_names = st.sampled_from(["stable", "candidate", "old", "foreign", "stranger"])
_refs = st.lists(st.builds(backend_ref, _names, st.none() | st.integers(0, 50_000)), max_size=6)


@given(_refs, st.integers(0, 10_000))
def test_the_patched_rule_is_the_plan_and_the_rest_of_the_route_is_untouched(
    refs: list[dict[str, Any]], candidate: int
) -> None:
    raw = http_route({"backendRefs": [backend_ref("x", 3)], "name": "other"}, {"backendRefs": refs, "name": "predict"})
    plan = plan_entries(http_route_record(raw).rules[1].entries, weights(candidate).shares, OURS)
    if isinstance(plan, Unplannable):
        with pytest.raises(RefusedError, match=r"weight|more than once"):
            patch_of(raw, weights(candidate, rule="predict"))
        return
    patched = json_patch(raw, patch_of(raw, weights(candidate, rule="predict")))
    assert http_route_record(patched).rules[1].entries == plan
    assert patched["spec"]["rules"][0] == raw["spec"]["rules"][0]
    assert patched["metadata"] == raw["metadata"]
    foreign = [ref for ref in refs if ref["name"] in {"foreign", "stranger"}]
    assert [ref for ref in patched["spec"]["rules"][1]["backendRefs"] if ref in foreign] == foreign


@pytest.mark.parametrize(
    ("route", "rule", "sentence"),
    [
        (http_route({}, {}), None, "has 2 rules"),
        (http_route({"name": "a"}), "b", "has no rule b; its rules: a"),
        (
            http_route(
                {},
                metadata=metadata(
                    ownerReferences=[{"apiVersion": "x/v1", "kind": "Inference", "name": "f", "controller": True}]
                ),
            ),
            None,
            "belongs to Inference/f",
        ),
        (http_route({"backendRefs": [backend_ref("a", 1), backend_ref("stable", 1)]}), None, "multiply all weights"),
    ],
)
def test_a_route_that_cannot_be_written_is_refused_with_a_reason(
    route: dict[str, Any], rule: str | None, sentence: str
) -> None:
    with pytest.raises(RefusedError, match=sentence):
        patch_of(route, weights(rule=rule))


def test_a_route_owned_by_a_rollout_may_be_written() -> None:
    owner = {"apiVersion": "serinus.dev/v1alpha1", "kind": "Rollout", "name": "f", "controller": True}
    route = http_route({"backendRefs": []}, metadata=metadata(ownerReferences=[owner]))
    assert patch_of(route, weights())


async def test_a_retry_after_a_lost_answer_writes_nothing_more() -> None:
    api = MemoryApi()
    api.put(PATH, http_route({"backendRefs": [backend_ref("stable", 10_000)]}))
    api.after.append(AmbiguousError("504"))
    router = GatewayApiRouter(api)
    with pytest.raises(AmbiguousError):
        await router.set_weights("ml", weights(safety=True))
    record = await router.set_weights("ml", weights(safety=True))
    assert [entry.weight for entry in record.rules[0].entries] == [9500, 500]
    assert api.writes() == [f"PATCH {PATH}"]


async def test_a_route_that_the_watch_has_shown_is_not_read_again() -> None:
    api = MemoryApi()
    known = http_route_record(api.put(PATH, http_route({"backendRefs": [backend_ref("stable", 10_000)]})))
    record = await GatewayApiRouter(api).set_weights("ml", weights(), known=known)
    assert [entry.weight for entry in record.rules[0].entries] == [9500, 500]
    assert api.calls == [f"PATCH {PATH}"]


@pytest.mark.parametrize(
    "shown",
    [
        http_route({"backendRefs": [backend_ref("stable", 7_000), backend_ref("candidate", 3_000, port=8080)]}),
        http_route({"backendRefs": [backend_ref("stable", 9_500), backend_ref("candidate", 500, port=8080)]}),
        http_route({}, {}),
    ],
    ids=["other weights", "the right weights", "no such rule"],
)
async def test_what_the_watch_has_shown_decides_nothing_once_the_route_has_changed(shown: dict[str, Any]) -> None:
    api = MemoryApi()
    known = http_route_record(api.put(PATH, shown))
    api.put(PATH, http_route({"backendRefs": [backend_ref("stable", 10_000), backend_ref("foreign", 0)]}))
    record = await GatewayApiRouter(api).set_weights("ml", weights(), known=known)
    assert [(entry.key.name, entry.weight) for entry in record.rules[0].entries] == [
        ("stable", 9500),
        ("foreign", 0),
        ("candidate", 500),
    ]


@pytest.mark.parametrize(("safety", "tries"), [(False, 5), (True, 20)])
async def test_conflicts_are_retried_longer_towards_safety(tries: int, *, safety: bool) -> None:
    api = MemoryApi()
    api.put(PATH, http_route({"backendRefs": [backend_ref("stable", 10_000)]}))
    for _ in range(tries):
        api.before.extend([None, ConflictError("stale")])
    with pytest.raises(ConflictError, match=f"changed by others {tries} times"):
        await GatewayApiRouter(api).set_weights("ml", weights(safety=safety))
    assert len(api.writes()) == tries


async def test_a_missing_route_is_refused() -> None:
    with pytest.raises(RefusedError, match="HTTPRoute ml/fraud-detector is not there"):
        await GatewayApiRouter(MemoryApi()).set_weights("ml", weights())


def test_an_unknown_router_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="no package has a router named 'gateway-apo'"):
        load_router("gateway-apo")
