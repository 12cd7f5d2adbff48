"""Copies of requests with a real gateway: judged although no user gets an answer, and gone when the stage ends."""

from typing import Any

import pytest

from demo.behaviour import Behaviour
from demo.observe import serves, wait_for
from demo.traffic.requestlog import count_by_version
from localcluster.api import ApiError
from localcluster.parts import gateway
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RollbackReason, StageState
from support.e2e.fixtures import BAD, GOOD, STABLE
from support.e2e.manifests import (
    FOREIGN_MANAGER,
    MODEL,
    PORT,
    Manifest,
    backend_of,
    model,
    production,
    rollout,
    watched,
)
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place

FAILING = Behaviour(failing_share=1.0)


def shadow(mirror: str, duration: str) -> Manifest:
    return {
        "name": "shadow",
        "traffic": "0%",
        "mirror": mirror,
        "duration": duration,
        **watched(50),
        "maxDuration": "2h",
    }


async def stand(place: Place, *versions: str, mirror: str = "100%", duration: str = "30s") -> None:
    """Create model, versions and a Rollout whose first stage gives copies; wait until the first version serves."""
    await place.create(model(place.namespace))
    for version in versions:
        await place.serve(version)
    template = {
        "parentRefs": [{"namespace": gateway.NAMESPACE, "name": gateway.NAME}],
        "hostnames": [place.hostname],
    }
    plan = rollout(place.namespace, versions[0], (shadow(mirror, duration), production()))
    plan["spec"]["route"] = {"httpRoute": {"name": MODEL, "managed": True, "template": template}}
    await place.create(plan)


async def until_first_serves(place: Place) -> None:
    """The first version has nothing to be copied: it gets through the stage at 0 % all the same."""
    await place.until(serves(STABLE), what="the first version in production")


def filters(raw: Manifest) -> list[Manifest]:
    (only,) = raw["spec"]["rules"]
    return list(only.get("filters", []))


def copies_to(version: str, **part: Any) -> list[Manifest]:
    reference = {"group": "", "kind": "Service", "name": backend_of(version), "port": PORT}
    return [{"type": "RequestMirror", "requestMirror": {"backendRef": reference, **part}}]


async def until_filters(place: Place, wanted: list[Manifest]) -> None:
    async def probe() -> list[Manifest]:
        return filters(await place.get("HTTPRoute"))

    await wait_for(probe, lambda found: found == wanted, within=SOON, what=f"the filters {wanted}")


async def counted_since(place: Place, before: dict[str, int]) -> dict[str, int]:
    return {version: await place.counted(version) - number for version, number in before.items()}


async def test_a_version_gets_copies_for_one_stage_and_no_user_sees_its_answers(
    operator: OperatorControl, place: Place
) -> None:
    await stand(place, STABLE, GOOD)
    await place.until_stage("production", StageState.ANALYZING)
    async with place.traffic() as log:
        await until_first_serves(place)
        await place.want(GOOD)
        status = await place.until_stage("shadow", StageState.ANALYZING)
        assert status.candidate is not None
        assert (status.candidate.weight, status.candidate.mirror) == (0, 100)
        assert filters(await place.get("HTTPRoute")) == copies_to(GOOD)
        before = {version: await place.counted(version) for version in (STABLE, GOOD)}

        async def counted() -> dict[str, int]:
            return await counted_since(place, before)

        counts = await wait_for(counted, lambda seen: seen[STABLE] >= 300, within=SOON, what="300 requests")
        # Envoy sends a copy with the request; a few of either may be under way.
        assert counts[GOOD] == pytest.approx(counts[STABLE], rel=0.1)
        assert any("gets copies of 100% of the requests" in note for _, note in await place.events())
        # As long as the stage lasts: then the version gets all the traffic at once.
        assert count_by_version(log.read()).keys() <= {STABLE, ""}

        await place.until_ended(GOOD)
        assert filters(await place.get("HTTPRoute")) == []
        await place.until(serves(GOOD), what="the new version in production")


async def test_a_version_that_fails_on_copies_is_rolled_back_and_no_user_has_noticed(
    operator: OperatorControl, place: Place
) -> None:
    await stand(place, STABLE, BAD, duration="5m")
    await place.until_stage("production", StageState.ANALYZING)
    async with place.traffic() as log:
        await until_first_serves(place)
        await place.servers[BAD].behave(FAILING)
        await place.want(BAD)
        status = await place.until_ended(BAD)
        answered = count_by_version(log.read())
    assert status.phase is Phase.ROLLED_BACK
    assert status.rollback is not None
    assert (status.rollback.reason, status.rollback.at_weight) == (RollbackReason.METRIC_BREACHED, 0)
    assert BAD not in answered
    assert not [record for record in log.read() if record.failed and record.version == BAD]
    assert filters(await place.get("HTTPRoute")) == []


async def test_what_somebody_does_to_the_mirror_is_put_right_and_an_abort_ends_it(
    operator: OperatorControl, place: Place
) -> None:
    await stand(place, STABLE, GOOD, duration="30m")
    await place.until_stage("production", StageState.ANALYZING)
    async with place.traffic():
        await until_first_serves(place)
        await place.want(GOOD)
        await place.until_stage("shadow", StageState.ANALYZING)

        change = '[{"op": "remove", "path": "/spec/rules/0/filters"}]'
        await place.kubectl.run(["patch", "httproute", MODEL, "-n", place.namespace, "--type=json", "-p", change])
        assert FOREIGN_MANAGER in await place.until_event("RouteCorrected")
        await until_filters(place, copies_to(GOOD))

        await place.annotate(Command.ABORT, "enough")
        await place.until_ended(GOOD)
        assert filters(await place.get("HTTPRoute")) == []


async def test_a_gateway_that_copies_all_requests_passes_no_stage_that_says_less(
    operator: OperatorControl, place: Place
) -> None:
    """Contour 1.33 does not read the percentage (internal/dag/gatewayapi_processor.go): it copies every request."""
    await stand(place, STABLE, GOOD, mirror="10%", duration="5s")
    await place.until_stage("production", StageState.ANALYZING)
    async with place.traffic():
        await until_first_serves(place)
        await place.want(GOOD)
        status = await place.until(
            lambda seen: seen.status.reason == "TrafficShareMismatch", what="the reason TrafficShareMismatch"
        )
        assert "should get copies of 10% of the requests" in status.next_action
        assert "needs mirror: 100%" in status.next_action
        assert filters(await place.get("HTTPRoute")) == copies_to(GOOD, percent=10)

        # Without its Rollout nobody would end the copies.
        await place.kubectl.run(["delete", "mro", MODEL, "-n", place.namespace, "--cascade=orphan", "--timeout=60s"])
        assert filters(await place.get("HTTPRoute")) == []
        with pytest.raises(ApiError, match="404"):
            await place.get("Rollout")
