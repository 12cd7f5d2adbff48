"""What a bad version rests on is taken away in mid-canary: it loses its traffic, and the status says what is so."""

import time
from collections.abc import Awaitable, Callable

import pytest

from demo.behaviour import Behaviour
from serinus.api.rollout_status import Phase, RollbackReason, StageState
from support.e2e.exposure import after_the_last_exposure, agrees, now_sent, reached
from support.e2e.fixtures import BAD, STABLE
from support.e2e.manifests import MODEL, backend_of, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import LONG, SOON, Place, condition

FAILING = Behaviour(failing_share=1.0)


async def without_its_model_version(place: Place) -> None:
    await place.kubectl.run(["delete", "mv", f"{MODEL}-v{BAD}", "-n", place.namespace])


async def without_the_model_version_of_the_stable_one(place: Place) -> None:
    await place.kubectl.run(["delete", "mv", f"{MODEL}-v{STABLE}", "-n", place.namespace])


async def without_both_model_versions(place: Place) -> None:
    await without_its_model_version(place)
    await without_the_model_version_of_the_stable_one(place)


async def without_its_service(place: Place) -> None:
    for kind in ("service", "endpointslice"):
        await place.kubectl.run(["delete", kind, backend_of(BAD), "-n", place.namespace])


async def in_canary(place: Place) -> None:
    await place.stand((staging(), canary("10m"), production()), STABLE, BAD)
    await place.want(BAD)
    await place.until_stage("canary", StageState.ANALYZING)


@pytest.mark.parametrize(
    "loss",
    [without_its_model_version, without_the_model_version_of_the_stable_one, without_both_model_versions],
)
async def test_a_bad_version_loses_its_traffic_whatever_model_version_is_deleted(
    operator: OperatorControl, place: Place, loss: Callable[[Place], Awaitable[None]]
) -> None:
    await in_canary(place)
    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await loss(place)
        await place.servers[BAD].behave(FAILING)
        status = await place.until_ended(BAD, within=SOON)
        afterwards = await after_the_last_exposure(place, log, routes, BAD)

    assert reached(afterwards, BAD) == []
    assert [record for record in afterwards if record.failed] == []
    assert status.rollback is not None
    assert (status.phase, status.rollback.reason) == (Phase.ROLLED_BACK, RollbackReason.METRIC_BREACHED)
    assert status.summary.startswith(f"Serving {STABLE} at 100%. {BAD} was rolled back at"), status.summary
    assert condition(status, "TrafficConfirmed") == ("True", "RouteAccepted")
    agrees(status, afterwards)


async def test_a_bad_version_whose_service_is_deleted_ends_with_its_entry_at_0(
    operator: OperatorControl, place: Place
) -> None:
    """Its requests fail, then the gateway answers in its place: only the route can end that."""
    await in_canary(place)
    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await place.servers[BAD].behave(FAILING)
        await without_its_service(place)
        # Either the failures were counted in time, or it has no ready endpoint for 30 s.
        status = await place.until_ended(BAD, within=LONG)
        afterwards = await after_the_last_exposure(place, log, routes, BAD)

    assert reached(afterwards, BAD) == []
    assert [record for record in afterwards if record.failed] == []
    assert status.rollback is not None
    assert status.phase is Phase.ROLLED_BACK
    assert status.rollback.reason in {RollbackReason.METRIC_BREACHED, RollbackReason.NO_READY_ENDPOINTS}
    assert status.summary.startswith(f"Serving {STABLE} at 100%. {BAD} was rolled back at"), status.summary
    # The entry without a Service is taken out of the rule as well: it would spoil the route's ResolvedRefs.
    status = await place.until(
        lambda seen: condition(seen.status, "TrafficConfirmed")[0] == "True", within=SOON, what="TrafficConfirmed"
    )
    assert backend_of(BAD) not in await place.weights()
    agrees(status, afterwards)


async def test_a_bad_version_loses_its_traffic_although_the_stable_one_is_scaled_to_0_and_that_is_said_aloud(
    operator: OperatorControl, place: Place
) -> None:
    await in_canary(place)
    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await place.set_ready(STABLE, ready=False)
        alarm = await place.until(
            lambda seen: condition(seen.status, "BackendsReady")[0] == "False", within=SOON, what="the alarm"
        )
        assert f"{STABLE} HAS NO READY ENDPOINTS" in alarm.summary
        await place.servers[BAD].behave(FAILING)
        down = await place.until(lambda seen: seen.status.phase is Phase.ROLLED_BACK, within=SOON, what="RolledBack")
        afterwards = await after_the_last_exposure(place, log, routes, BAD)
        assert reached(afterwards, BAD) == []
        # Nobody is served now, and the status does not say that anybody is.
        assert [record for record in afterwards if not record.failed] == []
        assert f"{STABLE} HAS NO READY ENDPOINTS" in down.summary, down.summary
        assert down.next_action.startswith("ACT NOW"), down.next_action
        assert condition(down, "BackendsReady") == ("False", "NoReadyEndpoints")
        assert condition(down, "Ready")[0] == "False"
        assert condition(down, "TrafficConfirmed") == ("True", "RouteAccepted")

        await place.set_ready(STABLE, ready=True)
        back = await place.until(
            lambda seen: condition(seen.status, "BackendsReady")[0] == "True", within=SOON, what="the pods' return"
        )
        restored = time.time() + 1
        served = await now_sent(log)

    assert [record for record in served if record.started > restored and record.failed] == []
    assert reached(served, BAD) == []
    assert "HAS NO READY ENDPOINTS" not in back.summary
    assert (back.phase, condition(back, "TrafficConfirmed")) == (Phase.ROLLED_BACK, ("True", "RouteAccepted"))
