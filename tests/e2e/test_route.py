"""The route is the team's: the operator writes its own weights in it, puts them right, and touches nothing else."""

import copy

from serinus.api.rollout_status import Phase, StageState
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import (
    FOREIGN_MANAGER,
    MODEL,
    RULE,
    backend_of,
    backend_ref,
    canary,
    endpoints,
    production,
    rule,
    service,
    staging,
    weights_in,
)
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place

HEADERS = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-team", "value": "payments"}]}}


async def test_weights_that_somebody_else_changes_are_put_right_within_seconds_and_the_event_says_who_it_was(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(), canary("60s"), production()), STABLE, GOOD)
    await place.want(GOOD)
    await place.until_stage("canary", StageState.ANALYZING)
    await place.until_stage("canary", StageState.ANALYZING)
    async with place.traffic(), place.watching("HTTPRoute") as routes:
        before = len(routes.states)
        await place.kubectl.run(
            [
                *("patch", "httproute", MODEL, "-n", place.namespace, "--type=json", "-p"),
                '[{"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 9999}]',
            ]
        )
        await routes.until(lambda raw: 9999 in weights_in(raw).values(), within=SOON, what="the drift", after=before)
        drifted = len(routes.states)
        await routes.until(
            lambda raw: weights_in(raw) == {backend_of(STABLE): 9500, backend_of(GOOD): 500},
            within=SOON,
            what="the planned weights",
            after=drifted - 1,
        )
    note = await place.until_event("WeightDriftCorrected")
    assert FOREIGN_MANAGER in note


async def test_rules_backends_and_filters_of_others_are_the_same_after_a_whole_run(
    operator: OperatorControl, place: Place
) -> None:
    await place.create(service(place.namespace, "shadow"))
    await place.create(endpoints(place.namespace, "shadow", place.servers[STABLE].address))
    foreign = backend_ref("shadow", 1000, filters=[copy.deepcopy(HEADERS)])
    rules = (
        rule("health", backend_ref(backend_of(STABLE), 7), path="/healthz"),
        rule(
            RULE,
            foreign,
            backend_ref(backend_of(STABLE), 9000),
            filters=[copy.deepcopy(HEADERS)],
            timeouts={"request": "5s"},
        ),
    )
    await place.stand((staging(), canary("2s"), production("2s")), STABLE, GOOD, rules=rules)
    before = (await place.get("HTTPRoute"))["spec"]

    async with place.traffic() as log:
        await place.want(GOOD)
        status = await place.until_ended(GOOD)

    after = (await place.get("HTTPRoute"))["spec"]
    assert status.phase is Phase.HEALTHY
    assert weights_in({"spec": after}) == {"shadow": 1000, backend_of(STABLE): 0, backend_of(GOOD): 9000}
    ours = after["rules"][1].pop("backendRefs")
    theirs = before["rules"][1].pop("backendRefs")
    assert ours[0] == theirs[0]
    assert after == before
    assert [record for record in log.read() if record.failed] == []
