"""Nothing gains traffic without evidence, and nothing loses it for want of evidence."""

from datetime import UTC, datetime, timedelta

from demo.observe import wait_for
from serinus.api.rollout_status import Phase, RolloutStatus, StageState
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import backend_of, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import LONG, SOON, Place, condition, shares_seen

# Long enough for ten ticks and for the figures to become stale. Measured once by hand with 60 s, with the same outcome:
# the time changes nothing, for no step of the engine counts an outage.
OUTAGE = timedelta(seconds=30)


async def test_an_outage_of_prometheus_in_mid_canary_changes_no_weight_and_the_run_goes_on_by_itself_afterwards(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(), canary("10s"), production("3s")), STABLE, GOOD)
    async with place.traffic(), place.watching("HTTPRoute") as routes:
        await place.want(GOOD)
        await place.until_stage("canary", StageState.ANALYZING)
        try:
            place.cluster.stop("prometheus")
            down = datetime.now(UTC)
            blind = await place.until(
                lambda seen: condition(seen.status, "MetricsAvailable") == ("False", "ProviderDown"),
                what="MetricsAvailable=False",
            )
            assert "Prometheus" in _message(blind, "MetricsAvailable") or "source" in _message(
                blind, "MetricsAvailable"
            )
            before = len(routes.states)
            held = await _after(place, down + OUTAGE)
        finally:
            place.cluster.start("prometheus")
        assert (held.phase, held.run, held.rollback) == (Phase.PROGRESSING, 1, None)
        assert held.stage is not None
        assert (held.stage.name, held.stage.state) == ("canary", StageState.ANALYZING)
        assert [raw["spec"] for _, raw in routes.states[before:]] == []
        status = await place.until_ended(GOOD, within=LONG)

    assert (status.phase, status.run) == (Phase.HEALTHY, 1)
    assert shares_seen(routes, backend_of(GOOD)) == [0, 5, 100]
    await place.until_event("RolloutPromoted")


def _message(status: RolloutStatus, kind: str) -> str:
    return next(one.message for one in status.conditions if one.type == kind)


async def _after(place: Place, moment: datetime) -> RolloutStatus:
    """The status at that moment, which itself is what is waited for."""

    async def look() -> tuple[datetime, RolloutStatus]:
        return datetime.now(UTC), await place.status()

    longest = (moment - datetime.now(UTC)).total_seconds() + SOON
    return (await wait_for(look, lambda seen: seen[0] >= moment, within=longest, what=f"{moment:%H:%M:%S}"))[1]


async def test_a_canary_without_traffic_holds_at_5_percent_and_says_how_many_requests_are_missing(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(), canary("2s", minRequests=40), production("2s")), STABLE, GOOD)
    await place.want(GOOD)
    await place.until_stage("canary", StageState.ANALYZING)
    told = await place.until(lambda seen: seen.status.reason == "NoTraffic", within=SOON, what="NoTraffic")
    held = await _after(place, datetime.now(UTC) + timedelta(seconds=6))

    assert (held.reason, held.stage) == ("NoTraffic", told.stage)
    assert held.stage is not None
    assert (held.stage.name, held.stage.state, held.phase) == ("canary", StageState.ANALYZING, Phase.PROGRESSING)
    assert await place.weights() == {backend_of(STABLE): 9500, backend_of(GOOD): 500}
    assert "40" in held.next_action, held.next_action
    assert [one.cause for one in held.evidence if one.cause is None] == []

    # It needs nothing but requests: then it goes on by itself.
    async with place.traffic():
        status = await place.until_ended(GOOD, within=LONG)
    assert status.phase is Phase.HEALTHY
