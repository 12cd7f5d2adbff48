"""kill -9 at every place of a run: whoever starts next goes on as if nothing had happened."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.behaviour import Behaviour
from demo.cluster import RolloutView
from demo.observe import wait_for
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RolloutStatus, RunResult, StageState, TestResult
from support.e2e.fixtures import BAD, GOOD, STABLE, program_environment
from support.e2e.manifests import backend_of, canary, healthy, job_until, production, staging, weights_in
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import LONG, SOON, Place, shares_seen, told_more_than_once
from support.e2e.watch import Seen

S = StageState


@pytest.fixture
async def contour(place: Place) -> AsyncIterator["HeldGateway"]:
    gateway = HeldGateway(place)
    yield gateway
    gateway.let_go()


class HeldGateway:
    """The gateway's controller, which a test holds so that no route is accepted meanwhile."""

    def __init__(self, place: Place) -> None:
        self._cluster = place.cluster

    def hold(self) -> None:
        self._cluster.pause("contour")

    def let_go(self) -> None:
        self._cluster.resume("contour")

    @contextmanager
    def held(self) -> Iterator[None]:
        self.hold()
        try:
            yield
        finally:
            self.let_go()


async def killed_in(operator: OperatorControl, place: Place, stage: str, state: StageState) -> None:
    """Wait until the run is there, kill the operator, see that it was killed there, and start it."""
    await place.until_stage(stage, state)
    await operator.kill()
    left = await place.status()
    assert left.stage is not None
    assert (left.run, left.stage.name, left.stage.state) == (1, stage, state)
    await operator.start()
    after = await place.status()
    assert after.run == left.run
    if after.stage is not None and after.stage.index == left.stage.index:
        assert after.stage.since == left.stage.since


def passed(test: str) -> Callable[[RolloutView], bool]:
    """Whether the current stage's test of this name has passed."""
    return lambda seen: any((one.name, one.result) == (test, TestResult.PASSED) for one in seen.status.tests)


async def test_a_run_whose_operator_is_killed_at_nine_places_ends_as_an_undisturbed_one(
    operator: OperatorControl, place: Place, contour: HeldGateway, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    plan = (staging(healthy(), job_until(gate)), canary(), production("3s", approval="Required"))
    await place.stand(plan, STABLE, GOOD)
    await place.set_ready(GOOD, ready=False)

    async with place.traffic() as log, place.watching("HTTPRoute") as routes, place.watching("Rollout") as rollouts:
        with contour.held():
            await place.want(GOOD)
            await killed_in(operator, place, "staging", S.PREPARING)
            await place.set_ready(GOOD, ready=True)
            await killed_in(operator, place, "staging", S.SHIFTING)
        await killed_in(operator, place, "staging", S.TESTING)
        # The restart sent the HTTP test again, for which an endpoint must be ready.
        await place.until(passed(healthy()["name"]), what="the HTTP test")
        await place.set_ready(GOOD, ready=False)
        gate.touch()
        await killed_in(operator, place, "canary", S.PREPARING)
        with contour.held():
            await place.set_ready(GOOD, ready=True)
            await killed_in(operator, place, "canary", S.SHIFTING)
        await killed_in(operator, place, "canary", S.ANALYZING)
        await killed_in(operator, place, "canary", S.AWAITING_APPROVAL)
        counted_at_5 = await place.counted(GOOD)
        with contour.held():
            await place.annotate(Command.PROMOTE, "the numbers are good")
            await killed_in(operator, place, "production", S.SHIFTING)
        await killed_in(operator, place, "production", S.ANALYZING)
        status = await place.until_ended(GOOD)
        await operator.kill()
        await operator.start()
        after = await place.until(lambda seen: seen.status.phase is Phase.HEALTHY, what="Healthy still")

    assert [(past.run, past.version, past.result) for past in status.history] == [(1, GOOD, RunResult.PROMOTED)]
    assert (after.history, after.run) == (status.history, 1)
    assert shares_seen(routes, backend_of(GOOD)) == [0, 5, 100]
    assert [record for record in log.read() if record.failed] == []
    assert stages_walked(rollouts) == ["staging", "canary", "production"]
    assert told_more_than_once(await place.events()) == []
    assert len(await place.all("Job")) == 1
    evidence_is_true(rollouts, {"canary": counted_at_5, "production": await place.counted(GOOD) - counted_at_5})


def stages_walked(rollouts: Seen) -> list[str]:
    """The stages in the order in which the status entered them; one that was entered twice would be there twice."""
    entered: list[tuple[str, str]] = []
    for _, raw in rollouts.states:
        stage = raw.get("status", {}).get("stage")
        if stage and (not entered or entered[-1] != (stage["name"], stage["since"])):
            entered.append((stage["name"], stage["since"]))
    return [name for name, _ in entered]


def evidence_is_true(rollouts: Seen, counted: dict[str, int]) -> None:
    """No status ever spoke of more requests than the gateway had counted in that stage by its end."""
    stage, told = "", dict.fromkeys(counted, 0)
    for _, raw in rollouts.states:
        status = raw.get("status", {})
        # The end of a run leaves the last stage's evidence in place and names no stage any more.
        stage = (status.get("stage") or {"name": stage})["name"]
        for one in status.get("evidence", []):
            told[stage] = max(told[stage], one.get("requests", 0))
    assert {name for name, requests in told.items() if 0 < requests <= counted[name]} == counted.keys(), (told, counted)


async def test_a_run_whose_operator_is_killed_the_moment_a_weight_is_written_ends_as_it_would_have(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(), canary("3s"), production("2s")), STABLE, GOOD)
    async with place.traffic(), place.watching("HTTPRoute") as routes, place.watching("Rollout") as rollouts:
        await place.want(GOOD)
        for weight in (0, 500, 10_000):
            await routes.until(partial(has_weight, weight=weight), within=LONG, what=f"weight {weight}")
            await operator.kill()
            await operator.start()
        status = await place.until_ended(GOOD)

    assert [(past.run, past.version, past.result) for past in status.history] == [(1, GOOD, RunResult.PROMOTED)]
    # A weight whose status was never written goes back to what the status says until the evidence is there again; it
    # never goes beyond the plan, and nobody is accused of it.
    shares = shares_seen(routes, backend_of(GOOD))
    assert set(shares) == {0, 5, 100}
    assert shares[-1] == 100
    assert stages_walked(rollouts) == ["staging", "canary", "production"]
    told = await place.events()
    assert told_more_than_once(told) == []
    assert "WeightDriftCorrected" not in {reason for reason, _ in told}


def has_weight(route: dict[str, Any], weight: int) -> bool:
    return weights_in(route).get(backend_of(GOOD)) == weight


async def test_a_rollback_whose_operator_is_killed_before_the_gateway_accepts_it_is_finished_by_the_next(
    operator: OperatorControl, place: Place, contour: HeldGateway
) -> None:
    await place.stand((staging(), canary("60s"), production()), STABLE, BAD)
    async with place.traffic(), place.watching("HTTPRoute") as routes, place.watching("Rollout") as rollouts:
        await place.want(BAD)
        await place.until_stage("canary", S.ANALYZING)
        with contour.held():
            await place.servers[BAD].behave(Behaviour(failing_share=1.0))
            begun = await place.until(lambda seen: seen.status.phase is Phase.ROLLING_BACK, what="RollingBack")
            await operator.kill()
            await operator.start()
            still = await place.status()
            assert (still.phase, still.rollback) == (Phase.ROLLING_BACK, begun.rollback)
        status = await place.until_ended(BAD, within=SOON)
        await operator.kill()
        await operator.start()
        await stays(place, status)

    assert shares_seen(routes, backend_of(BAD)) == [0, 5, 0]
    assert [(past.run, past.version, past.result) for past in status.history] == [(1, BAD, RunResult.ROLLED_BACK)]
    assert stages_walked(rollouts) == ["staging", "canary"]
    assert told_more_than_once(await place.events()) == []


async def stays(place: Place, status: RolloutStatus) -> None:
    """The operator that has just started looks at the Rollout: it answers a command, and says nothing else anew."""
    await place.annotate(Command.ABORT, "are you there?")
    after = await place.until(lambda seen: "abort" in seen.status.last_handled, what="an answer to the command")
    assert (after.phase, after.run, after.history, after.rollback) == (
        status.phase,
        status.run,
        status.history,
        status.rollback,
    )


async def test_a_breach_that_happens_while_no_operator_runs_is_found_by_the_next_one(
    operator: OperatorControl, place: Place
) -> None:
    await place.stand((staging(), canary("60s"), production()), STABLE, BAD)
    async with place.traffic():
        await place.want(BAD)
        await place.until_stage("canary", S.ANALYZING)
        await operator.kill()
        before = await place.counted(BAD)
        await place.servers[BAD].behave(Behaviour(failing_share=1.0))
        await wait_for(
            lambda: place.counted(BAD), lambda now: now >= before + 20, within=SOON, what="20 requests that fail"
        )
        await place.servers[BAD].behave(Behaviour())
        await operator.start()
        status = await place.until_ended(BAD, within=LONG)

    # It is good again, but what it did is in the counters: nothing is forgotten because nobody was there.
    assert status.phase is Phase.ROLLED_BACK
    assert status.rollback is not None
    assert status.rollback.condition == "error_rate > 0.5%"


async def test_a_standby_takes_over_from_a_leader_that_was_killed_and_the_term_never_falls(
    place: Place, lease_namespace: None, tmp_path: Path
) -> None:
    setup = replace(setup_in(place.cluster), leader_election=True, identity="first")
    first = OperatorControl(program_environment(place.cluster), setup, tmp_path)
    second = first.beside("second", 9412)
    try:
        await first.start()
        await first.until_leading(within=LONG)
        await second.start()
        assert await second.counter("serinus_leader") == 0
        await place.stand((staging(), canary("2s"), production("2s")), STABLE, GOOD)
        async with place.traffic(), place.watching("Rollout") as rollouts:
            await place.want(GOOD)
            await place.until_stage("canary", S.ANALYZING)
            await first.kill()
            await second.until_leading(within=LONG)
            status = await place.until_ended(GOOD)
    finally:
        await first.stop()
        await second.stop()

    assert [(past.run, past.result) for past in status.history] == [(1, RunResult.PROMOTED)]
    epochs = [raw["status"]["epoch"] for _, raw in rollouts.states if "epoch" in raw.get("status", {})]
    assert epochs == sorted(epochs)
    assert epochs[-1] > epochs[0]
