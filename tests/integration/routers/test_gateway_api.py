"""The router against the real API server: exact, minimal writes that survive other writers."""

import asyncio
import copy
from typing import Any

import pytest

from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.traffic.facts import BackendKey, backend_key
from serinus.errors import ConflictError, RefusedError
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.cluster import ApiCluster
from serinus.routers.gateway_api import GatewayApiRouter
from support.kube.client import create
from support.kube.objects import ROUTES, backend_ref, http_route, without_identity
from support.routers.edits import EditedInBetween

STABLE = BackendRef(name="fraud-v1", port=80)
CANDIDATE = BackendRef(name="fraud-v2", port=80)
OLD = BackendKey("", "Service", "fraud-v0", 80)

RULES = (
    {
        "name": "health",
        "matches": [{"path": {"type": "Exact", "value": "/healthz"}}],
        "backendRefs": [backend_ref("fraud-v1", 7)],
    },
    {
        "name": "predict",
        "matches": [{"path": {"type": "PathPrefix", "value": "/predict"}}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]}}],
        "timeouts": {"request": "3s"},
        "backendRefs": [
            backend_ref("fraud-v0", 0),
            {
                **backend_ref("foreign", 5000, port=8080),
                "filters": [
                    {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "a", "value": "b"}]}}
                ],
            },
            backend_ref("fraud-v1", 5000),
        ],
    },
)


def weights(candidate: int, *, safety: bool = False, rule: str = "predict") -> SetWeights:
    return SetWeights(
        route=RuleId(RouteKind.HTTP_ROUTE, "fraud-detector", rule),
        shares=(BackendShare(STABLE, 10_000 - candidate), BackendShare(CANDIDATE, candidate)),
        ours=frozenset({backend_key(STABLE), backend_key(CANDIDATE), OLD}),
        towards_safety=safety,
    )


@pytest.fixture
async def route(api: KubernetesClient, namespace: str) -> dict[str, Any]:
    return await create(api, without_identity(http_route(*RULES)), "httproutes", namespace)


async def stored(api: KubernetesClient, namespace: str) -> dict[str, Any]:
    return await api.request("GET", f"{ROUTES}/{namespace}/httproutes/fraud-detector")


async def test_all_that_is_not_ours_is_byte_for_byte_as_it_was(
    api: KubernetesClient, namespace: str, route: dict[str, Any]
) -> None:
    record = await GatewayApiRouter(api).set_weights(namespace, weights(500))

    after = await stored(api, namespace)
    expected = copy.deepcopy(route["spec"])
    refs = expected["rules"][1]["backendRefs"]
    del refs[0]
    refs[1]["weight"] = 4500
    refs.append({"group": "", "kind": "Service", "name": "fraud-v2", "port": 80, "weight": 500})
    assert after["spec"] == expected
    assert record == await ApiCluster(api).read_route(RouteKind.HTTP_ROUTE, ObjectKey(namespace, "fraud-detector"))
    assert record.written_by == "serinus"


async def test_weights_that_hold_already_are_not_written_again(
    api: KubernetesClient, namespace: str, route: dict[str, Any]
) -> None:
    router = GatewayApiRouter(api)
    first = await router.set_weights(namespace, weights(500))
    again = await router.set_weights(namespace, weights(500))
    assert again == first


async def test_two_routers_and_a_person_who_write_at_once_all_succeed(
    api: KubernetesClient, namespace: str, route: dict[str, Any]
) -> None:
    path = f"{ROUTES}/{namespace}/httproutes/fraud-detector"

    async def person() -> None:
        for number in range(20):
            change = {"metadata": {"annotations": {"edit": str(number)}}}
            await api.request("PATCH", path, body=change, content_type=MERGE_PATCH)

    async def operator(candidate: int) -> None:
        for _ in range(5):
            await GatewayApiRouter(api).set_weights(namespace, weights(candidate, safety=True))

    async with asyncio.TaskGroup() as all_at_once:
        all_at_once.create_task(person())
        all_at_once.create_task(operator(0))
        all_at_once.create_task(operator(500))

    await GatewayApiRouter(api).set_weights(namespace, weights(0, safety=True))
    refs = (await stored(api, namespace))["spec"]["rules"][1]["backendRefs"]
    assert [(ref["name"], ref["weight"]) for ref in refs] == [("foreign", 5000), ("fraud-v1", 5000), ("fraud-v2", 0)]


async def test_an_abort_outlasts_nineteen_edits_in_a_row(
    api: KubernetesClient, namespace: str, route: dict[str, Any]
) -> None:
    busy = EditedInBetween(api, 19)
    record = await GatewayApiRouter(busy).set_weights(namespace, weights(0, safety=True))
    assert busy.left == 0
    assert [entry.weight for entry in record.rules[1].entries] == [5000, 5000, 0]


async def test_a_promotion_gives_up_after_five_edits_and_says_so(
    api: KubernetesClient, namespace: str, route: dict[str, Any]
) -> None:
    busy = EditedInBetween(api, 100)
    with pytest.raises(ConflictError, match="changed by others 5 times"):
        await GatewayApiRouter(busy).set_weights(namespace, weights(500))
    assert busy.left == 95


async def test_what_the_api_server_refuses_is_told_with_its_own_words(
    api: KubernetesClient, namespace: str, route: dict[str, Any]
) -> None:
    wrong = SetWeights(
        route=RuleId(RouteKind.HTTP_ROUTE, "fraud-detector", "predict"),
        shares=(BackendShare(BackendRef(name="fraud-v3", kind="no kind", port=80), 10_000),),
        ours=frozenset({backend_key(STABLE)}),
    )
    with pytest.raises(RefusedError, match="should match"):
        await GatewayApiRouter(api).set_weights(namespace, wrong)
    assert (await stored(api, namespace))["spec"] == route["spec"]


async def test_a_route_that_is_not_there_is_refused_with_what_to_do(api: KubernetesClient, namespace: str) -> None:
    with pytest.raises(RefusedError, match="is not there: create it"):
        await GatewayApiRouter(api).set_weights(namespace, weights(500))
