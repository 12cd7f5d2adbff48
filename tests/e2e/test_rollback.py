"""A bad version on real parts: it loses its traffic, stays out, and the status tells the whole story."""

import sys
from pathlib import Path

import pytest

from demo.behaviour import Behaviour
from demo.observe import wait_for
from demo.process import running
from demo.traffic.requestlog import between
from serinus.api.rollout_status import Phase, RollbackReason, RunResult, StageState
from support.e2e.fixtures import BAD, STABLE
from support.e2e.manifests import ERRORS, LATENCY, backend_of, canary, production, staging, weights_in
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place, accepted_without, condition, shares_seen

PLAN = (staging(), canary(), production())
FAILING = Behaviour(failing_share=1.0, after_requests=5)
SLOW = Behaviour(latency_seconds=0.9, after_requests=5)


@pytest.mark.parametrize(
    ("fault", "broken"), [(FAILING, ERRORS), (SLOW, LATENCY)], ids=["it answers 500", "it turns slow"]
)
async def test_a_version_that_breaks_a_condition_loses_its_traffic_and_nobody_is_served_badly_afterwards(
    operator: OperatorControl, place: Place, fault: Behaviour, broken: str
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    await place.servers[BAD].behave(fault)

    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await place.want(BAD)
        status = await place.until_ended(BAD)
        exposed = next(
            number for number, (_, raw) in enumerate(routes.states) if weights_in(raw).get(backend_of(BAD), 0)
        )
        safe_at, _ = await routes.until(accepted_without(backend_of(BAD)), within=SOON, what="weight 0", after=exposed)
        await _some_more_traffic(place)
        afterwards = between(log.read(), safe_at + 1.0)

    assert shares_seen(routes, backend_of(BAD)) == [0, 5, 0]
    assert len(afterwards) > 100
    assert [record for record in afterwards if record.failed or record.version != STABLE] == []
    rollback = status.rollback
    assert rollback is not None
    assert (rollback.condition, rollback.reason, rollback.to) == (broken, RollbackReason.METRIC_BREACHED, STABLE)
    assert (rollback.at_weight, rollback.version) == (5, BAD)
    assert rollback.requests >= 3
    assert rollback.traffic_safe_at is not None
    assert rollback.traffic_safe_at >= rollback.decided_at
    assert condition(status, "Ready") == ("False", "MetricBreached")
    assert condition(status, "Stalled")[0] == "True"
    assert [(past.version, past.result) for past in status.history] == [(BAD, RunResult.ROLLED_BACK)]
    await _the_engineer_on_call_reads_it_all(place, broken)


async def _some_more_traffic(place: Place) -> None:
    before = await place.counted(STABLE)

    async def look() -> int:
        return await place.counted(STABLE) - before

    await wait_for(look, lambda more: more >= 250, within=SOON, what="250 more requests")


async def _the_engineer_on_call_reads_it_all(place: Place, broken: str) -> None:
    await place.until_event("RollbackCompleted")
    told = await place.kubectl.run(["describe", "mro", "fraud-detector", "-n", place.namespace])
    metric = broken.split(" ", maxsplit=1)[0]
    summary = told.split("  Summary:")[1].strip().splitlines()[0]
    assert summary.startswith(f"Serving {STABLE} at 100%. {BAD} was rolled back at"), summary
    assert metric in summary
    for words in ("Decided At:", "Traffic Safe At:", "At Weight:", "RollbackStarted", "RollbackCompleted"):
        assert words in told, told
    # It is written a second after the status that it follows from.
    await wait_for(
        lambda: place.all("ModelVersion"),
        lambda raws: {raw["spec"]["version"]: raw["status"]["stage"] for raw in raws}[BAD] == "RolledBack",
        within=SOON,
        what="the stage of the version",
    )


async def test_a_version_that_was_rolled_back_starts_again_only_when_a_person_says_so(
    operator: OperatorControl, place: Place, tmp_path: Path
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    await place.servers[BAD].behave(FAILING)
    async with place.traffic():
        await place.want(BAD)
        await place.until_ended(BAD)
        await place.servers[BAD].behave(Behaviour())
        # Neither a restart of the operator nor the wish, said anew, is a retry.
        await operator.kill()
        await operator.start()
        await place.want(STABLE)
        await place.until(lambda seen: seen.status.phase is Phase.HEALTHY, what="the way back")
        await place.want(BAD)
        held = await place.until(lambda seen: seen.status.reason == "Quarantined", what="a quarantine")
        assert (held.run, held.quarantined, await place.weights()) == (1, (BAD,), {backend_of(STABLE): 10_000})

        await _retry(place, tmp_path)
        await place.until_stage("canary", StageState.ANALYZING)
        status = await place.until_ended(BAD)

    assert (status.phase, status.run, status.quarantined) == (Phase.HEALTHY, 2, ())
    assert [past.result for past in status.history] == [RunResult.PROMOTED, RunResult.ROLLED_BACK]


async def _retry(place: Place, folder: Path) -> None:
    program = Path(sys.executable).with_name("serinus")
    command = [str(program), "retry", "fraud-detector", "-n", place.namespace, "--reason", "the cache was mended"]
    async with running("serinus retry", command, place.environment, folder / "retry.log") as retry:
        assert await retry.process.wait() == 0, retry.tail()
