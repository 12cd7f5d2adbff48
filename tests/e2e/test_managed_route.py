"""A route that the operator makes of a template: made with the Rollout, kept as the template says, never adopted."""

from typing import Any

from demo.behaviour import Behaviour
from demo.observe import serves, wait_for
from localcluster.api import ApiError
from localcluster.parts import gateway
from serinus.api.rollout_status import Phase, RollbackReason, StageState
from support.e2e.fixtures import BAD, GOOD, STABLE
from support.e2e.manifests import (
    FOREIGN_MANAGER,
    MODEL,
    Manifest,
    backend_of,
    canary,
    model,
    production,
    rollout,
    route,
    staging,
)
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place
from support.e2e.watch import Seen

FAILING = Behaviour(failing_share=1.0, after_requests=5)
PATH = f"/v2/models/{MODEL}"


def template(place: Place, *paths: str) -> Manifest:
    return {
        "parentRefs": [{"namespace": gateway.NAMESPACE, "name": gateway.NAME}],
        "hostnames": [place.hostname],
        "matches": [{"path": {"value": path}} for path in paths or (PATH,)],
        "labels": {"team": "payments"},
    }


async def stand(place: Place, *versions: str, canary_time: str = "5s") -> None:
    """Create model, versions and a Rollout with a managed route."""
    await place.create(model(place.namespace))
    for version in versions:
        await place.serve(version)
    plan = rollout(place.namespace, versions[0], (staging(), canary(canary_time), production()))
    plan["spec"]["route"] = {"httpRoute": {"name": MODEL, "managed": True, "template": template(place)}}
    await place.create(plan)


def weights_of(raw: Manifest) -> dict[str, int]:
    (only,) = raw["spec"]["rules"]
    return {ref["name"]: ref["weight"] for ref in only.get("backendRefs", [])}


def most_of(seen: Seen, version: str) -> float:
    """The greatest share that a version ever had in the route, in percent."""
    shares = [
        100 * weights.get(backend_of(version), 0) / (sum(weights.values()) or 1)
        for weights in (weights_of(raw) for _, raw in seen.states)
    ]
    return max(shares)


async def until_route(place: Place, fits: Any, what: str) -> Manifest:
    async def probe() -> Manifest:
        try:
            return await place.get("HTTPRoute")
        except ApiError:
            return {}

    return await wait_for(probe, lambda raw: bool(raw) and bool(fits(raw)), within=SOON, what=what)


async def patch_route(place: Place, change: str) -> None:
    await place.kubectl.run(["patch", "httproute", MODEL, "-n", place.namespace, "--type=json", "-p", change])


async def test_a_managed_route_serves_from_the_first_version_on_and_outlives_its_own_deletion(
    operator: OperatorControl, place: Place
) -> None:
    await stand(place, STABLE, GOOD, BAD, canary_time="30s")
    made = await until_route(place, lambda _: True, "the route")
    owner = made["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"], owner["blockOwnerDeletion"]) == (
        *("Rollout", MODEL, True, True),
    )
    assert made["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "serinus", "team": "payments"}
    assert "made of its template" in await place.until_event("RouteCreated")
    await place.until_stage("production", StageState.ANALYZING)

    async with place.traffic():
        await place.until(serves(STABLE), what="the first version in production")
        await place.want(GOOD)
        await place.until_stage("canary", StageState.ANALYZING)
        async with place.watching("HTTPRoute") as routes:
            before = len(routes.states)
            await place.kubectl.run(["delete", "httproute", MODEL, "-n", place.namespace])
            await routes.until(
                lambda raw: (
                    raw["metadata"]["uid"] != made["metadata"]["uid"]
                    and weights_of(raw) == {backend_of(STABLE): 9500, backend_of(GOOD): 500}
                ),
                within=SOON,
                what="the route with the planned weights",
                after=before,
            )
            assert most_of(routes, GOOD) == 5
        await place.until_ended(GOOD)

        quiet = await place.get("HTTPRoute")
        await operator.kill()
        await operator.start()
        await place.servers[BAD].behave(FAILING)
        # The new process has decided on this Rollout by the time that it starts the next run.
        async with place.watching("HTTPRoute") as routes:
            await place.want(BAD)
            status = await place.until_ended(BAD)
        unchanged = [raw for _, raw in routes.states if backend_of(BAD) not in weights_of(raw)]
        versions = {raw["metadata"]["resourceVersion"] for raw in unchanged}
        assert versions == {quiet["metadata"]["resourceVersion"]}
        assert most_of(routes, BAD) == 5
    assert status.phase is Phase.ROLLED_BACK
    assert status.rollback is not None
    assert (status.rollback.reason, status.rollback.to) == (RollbackReason.METRIC_BREACHED, GOOD)
    assert weights_of(await place.get("HTTPRoute"))[backend_of(BAD)] == 0

    await place.kubectl.run(["delete", "mro", MODEL, "-n", place.namespace])

    async def routes_left() -> list[Manifest]:
        return await place.all("HTTPRoute")

    await wait_for(routes_left, lambda raws: raws == [], within=SOON, what="the route is gone with its Rollout")


async def test_what_the_template_sets_is_put_right_and_no_weight_moves_with_it(
    operator: OperatorControl, place: Place
) -> None:
    await stand(place, STABLE)
    await place.until_stage("production", StageState.ANALYZING)
    async with place.traffic():
        await place.until(serves(STABLE), what="the first version in production")
    weights = weights_of(await place.get("HTTPRoute"))

    await patch_route(place, '[{"op": "replace", "path": "/spec/hostnames", "value": ["elsewhere.local"]}]')
    await until_route(place, lambda raw: raw["spec"]["hostnames"] == [place.hostname], "the template's hostnames")
    assert FOREIGN_MANAGER in await place.until_event("RouteCorrected")

    edited = template(place, PATH, f"{PATH}/v2")
    spec = {"route": {"httpRoute": {"template": edited}}}
    await place.api.merge(f"{place.path('Rollout')}/{MODEL}", {"spec": spec})
    changed = await until_route(
        place, lambda raw: len(raw["spec"]["rules"][0]["matches"]) == 2, "the template's new match"
    )
    assert weights_of(changed) == weights

    rule = '{"backendRefs": [], "matches": [{"path": {"type": "PathPrefix", "value": "/other"}}]}'
    await patch_route(place, f'[{{"op": "add", "path": "/spec/rules/0", "value": {rule}}}]')
    one_rule = await until_route(place, lambda raw: len(raw["spec"]["rules"]) == 1, "the one rule of the template")
    assert weights_of(one_rule) == weights
    assert [match["path"]["value"] for match in one_rule["spec"]["rules"][0]["matches"]] == [PATH, f"{PATH}/v2"]


async def test_a_route_that_the_operator_has_not_made_is_left_alone_until_somebody_deletes_it(
    operator: OperatorControl, place: Place
) -> None:
    await place.create(route(place.namespace, place.hostname))
    await stand(place, STABLE)
    status = await place.until(
        lambda seen: seen.status.reason == "RouteNotManaged", within=SOON, what="the reason RouteNotManaged"
    )
    assert "Delete it, so that it is made anew" in status.next_action
    theirs = await place.get("HTTPRoute")
    assert (theirs["metadata"]["generation"], theirs["metadata"].get("ownerReferences")) == (1, None)
    assert "labels" not in theirs["metadata"]

    await place.kubectl.run(["delete", "httproute", MODEL, "-n", place.namespace])
    await until_route(place, lambda raw: raw["metadata"].get("ownerReferences"), "the operator's own route")
