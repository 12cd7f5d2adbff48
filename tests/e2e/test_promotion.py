"""A good version on real parts: from 0 % to 100 %, and what everybody sees on the way."""

from demo.observe import wait_for
from demo.traffic.requestlog import count_by_version
from serinus.api.names import FINALIZER
from serinus.api.rollout_status import RunResult
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import backend_of, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place, condition, shares_seen, told_more_than_once

PLAN = (staging(), canary(), production())


async def test_a_good_version_takes_the_traffic_in_the_planned_steps_and_no_request_is_lost(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand(PLAN, STABLE, GOOD)

    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await place.want(GOOD)
        status = await place.until_ended(GOOD)
        await place.kubectl.run(
            ["wait", "mro", "fraud-detector", "-n", place.namespace, "--for=condition=Ready", "--timeout=60s"]
        )

    assert shares_seen(routes, backend_of(GOOD)) == [0, 5, 100]
    assert [record for record in log.read() if record.failed] == []
    assert count_by_version(log.read())[GOOD] > 0
    assert (status.stable.version if status.stable else None, status.candidate, status.run) == (GOOD, None, 1)
    assert [(past.version, past.result) for past in status.history] == [
        (GOOD, RunResult.PROMOTED),
    ]
    assert condition(status, "Ready") == ("True", "Promoted")
    assert condition(status, "Reconciling")[0] == condition(status, "Stalled")[0] == "False"
    await _everybody_was_told(place)
    await _nothing_of_kopf_stays(place)


async def _everybody_was_told(place: Place) -> None:
    await place.until_event("RolloutPromoted")
    told = await place.events()
    assert [reason for reason, _ in told] == [
        "StableAdopted",
        "RolloutStarted",
        "AnalysisPassed",
        "TrafficShifted",
        "AnalysisPassed",
        "TrafficShifted",
        "RolloutPromoted",
    ]
    assert told_more_than_once(told) == []
    # They are written a second after the status that they follow from.
    await wait_for(
        lambda: place.all("ModelVersion"),
        lambda raws: (
            {raw["spec"]["version"]: raw["status"]["stage"] for raw in raws}
            == {STABLE: "Superseded", GOOD: "Production"}
        ),
        within=SOON,
        what="the stages of the versions",
    )


async def _nothing_of_kopf_stays(place: Place) -> None:
    for kind in ("Rollout", "ModelVersion", "HTTPRoute", "Service", "EndpointSlice"):
        for raw in await place.all(kind):
            annotations = raw["metadata"].get("annotations", {})
            assert [key for key in annotations if "kopf" in key or "serinus" in key] == [], raw
            # Our own goes once the last records are delivered.
            assert set(raw["metadata"].get("finalizers", [])) <= {FINALIZER}, raw
