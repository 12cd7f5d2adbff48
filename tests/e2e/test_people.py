"""What people may ask of a run, with nothing but kubectl."""

from demo.observe import wait_for
from serinus.api.names import FREEZE_ANNOTATION, Command
from serinus.api.rollout_status import Phase, RollbackReason, RunResult, StageState
from support.e2e.fixtures import GOOD, STABLE
from support.e2e.manifests import backend_of, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place


async def test_a_frozen_namespace_lets_no_run_begin_and_thaws(operator: OperatorControl, place: Place) -> None:
    await place.stand((staging(), canary("2s"), production("2s")), STABLE, GOOD)
    await place.kubectl.run(["annotate", "ns", place.namespace, f"{FREEZE_ANNOTATION}=audit until Friday"])
    await place.want(GOOD)
    frozen = await place.until(lambda seen: seen.status.reason == "Frozen", within=SOON, what="a freeze")
    assert "audit until Friday" in frozen.next_action
    assert await place.weights() == {backend_of(STABLE): 10_000}

    await place.kubectl.run(["annotate", "ns", place.namespace, f"{FREEZE_ANNOTATION}-"])
    async with place.traffic():
        status = await place.until_ended(GOOD)
    assert status.phase is Phase.HEALTHY


async def test_a_paused_run_stays_where_it_is_until_it_is_resumed(operator: OperatorControl, place: Place) -> None:
    await place.stand((staging(), canary("3s"), production("2s")), STABLE, GOOD)
    async with place.traffic():
        await place.want(GOOD)
        await place.until_stage("canary", StageState.ANALYZING)
        await place.annotate(Command.PAUSE, "lunch")
        paused = await place.until(lambda seen: seen.status.phase is Phase.PAUSED, within=SOON, what="a pause")
        assert paused.paused is not None
        assert paused.paused.reason == "lunch"
        await _enough_for_a_pass(place)
        still = await place.status()
        assert (still.phase, await place.weights()) == (
            Phase.PAUSED,
            {backend_of(STABLE): 9500, backend_of(GOOD): 500},
        )

        await place.annotate(Command.RESUME, "back")
        status = await place.until_ended(GOOD)
    assert (status.phase, status.last_handled) == (Phase.HEALTHY, {"pause": "lunch", "resume": "back"})
    assert [reason for reason, _ in await place.events() if reason in {"RolloutPaused", "RolloutResumed"}] == [
        "RolloutPaused",
        "RolloutResumed",
    ]


async def _enough_for_a_pass(place: Place) -> None:
    """Wait until an unpaused run would have had its evidence: 20 requests in 3 s, and as many again."""
    await wait_for(lambda: place.counted(GOOD), lambda requests: requests >= 40, within=SOON, what="40 requests")


async def test_a_stage_that_needs_approval_waits_for_it_and_the_status_keeps_who_gave_it(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(), canary("2s"), production("2s", approval="Required")), STABLE, GOOD)
    async with place.traffic():
        await place.want(GOOD)
        waiting = await place.until_stage("canary", StageState.AWAITING_APPROVAL)
        assert waiting.phase is Phase.PAUSED
        assert "serinus.dev/promote" in waiting.next_action
        assert await place.weights() == {backend_of(STABLE): 9500, backend_of(GOOD): 500}
        await place.annotate(Command.PROMOTE, "CAB-4711")
        status = await place.until_ended(GOOD)
    assert status.phase is Phase.HEALTHY
    assert [(one.stage, one.token) for one in status.approvals] == [("canary", "CAB-4711")]


async def test_an_aborted_run_gives_the_traffic_back_at_once_even_while_it_is_paused_and_frozen(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(), canary("60s"), production()), STABLE, GOOD)
    async with place.traffic() as log:
        await place.want(GOOD)
        await place.until_stage("canary", StageState.ANALYZING)
        await place.annotate(Command.PAUSE, "let me see")
        await place.until(lambda seen: seen.status.phase is Phase.PAUSED, within=SOON, what="a pause")
        await place.kubectl.run(["annotate", "ns", place.namespace, f"{FREEZE_ANNOTATION}=audit"])
        await place.annotate(Command.ABORT, "customers call")
        status = await place.until_ended(GOOD, within=SOON)
    assert status.rollback is not None
    assert (status.rollback.reason, status.rollback.at_weight) == (RollbackReason.ABORTED, 5)
    assert "customers call" in status.summary
    assert [past.result for past in status.history] == [RunResult.ROLLED_BACK]
    assert (await place.weights()).get(backend_of(GOOD), 0) == 0
    assert [record for record in log.read() if record.failed] == []
