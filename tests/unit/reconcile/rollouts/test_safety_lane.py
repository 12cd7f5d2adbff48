"""Weights towards safety are written by workers that do nothing else: nothing that hangs elsewhere delays them.

All of it in virtual time: what is measured is what waits for what.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, RollbackReason, RunResult
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.facts import RouteEntry
from serinus.errors import AmbiguousError, ConflictError, RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import HttpRouteRecord, ModelVersionRecord
from serinus.reconcile.rollouts.safety_lane import WORKERS, SafetyLane
from support.builders import CANARY, PRODUCTION, STAGING
from support.examples import examples
from support.records import backend, endpoints, key, rollout, spec_for
from support.rig import Rig
from support.virtual_loop import START, in_virtual_time, until

ROUTER_LATENCY = 0.05


class Everything:
    """Every subject."""

    def __contains__(self, _: object) -> bool:
        return True


def slow(rig: Rig) -> None:
    rig.statuses.faults.latency = 1.0


def timing_out(rig: Rig) -> None:
    rig.statuses.faults.timing_out = Everything()


def last_tick(rig: Rig) -> float:
    """When the source was last asked, on the loop's clock."""
    return (rig.source.asks[-1].end - START).total_seconds()


def with_traffic(rig: Rig, names: list[str]) -> list[str]:
    return [name for name in names if rig.weight("2.0.0", name)]


@pytest.mark.parametrize("statuses", [slow, timing_out])
@in_virtual_time
async def test_a_thousand_versions_that_fail_at_once_have_no_traffic_five_seconds_after_the_tick(
    statuses: Callable[[Rig], None],
) -> None:
    rig, names = Rig(), [f"m{number:03}" for number in range(examples(1000))]
    await rig.canaries(*names)
    rig = Rig(rig.cluster, rig.source)
    rig.router.faults.latency = ROUTER_LATENCY
    async with rig.running():
        await until(lambda: len(rig.source.asks[-1].questions) > 2 * len(names), why="all to be watched", within=300)
        statuses(rig)
        rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: len(with_traffic(rig, names)) < len(names), why="the first", within=15)
        tick = last_tick(rig)
        await until(lambda: not with_traffic(rig, names), why="the last", within=5)
        assert rig.clock.monotonic() - tick <= 5
        assert rig.statuses.faults.latency or all(rig.status(name).phase is Phase.PROGRESSING for name in names)


@pytest.mark.parametrize("latency", [ROUTER_LATENCY, 12.0], ids=["within a tick", "longer than a tick"])
@in_virtual_time
async def test_the_lane_attempts_each_of_many_bad_versions_once_and_leaves_the_rest_to_others(
    latency: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All attempts share one core: those about versions without traffic would be before those with it."""
    rig, names = Rig(), ["fraud", *(f"m{number:02}" for number in range(40))]
    await rig.canaries(*names[1:])
    rig = Rig(rig.cluster, rig.source)
    rig.router.faults.latency, rig.statuses.faults.latency = latency, 0.2
    attempted: Counter[ObjectKey] = Counter()
    secure = SafetyLane._secure

    async def counted(lane: SafetyLane, one: ObjectKey) -> None:
        # From the breach on: what is tried before has nothing to take.
        if one in attempted or rig.reconciler.tracker.breached(rig.cluster.rollout(one)):
            attempted[one] += 1
        await secure(lane, one)

    monkeypatch.setattr(SafetyLane, "_secure", counted)
    async with rig.running():
        await until(lambda: len(rig.source.asks[-1].questions) >= 2 * len(names), why="all to be watched", within=300)
        rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: all(rig.status(name).phase is Phase.ROLLED_BACK for name in names), why="all statuses")
        await asyncio.sleep(60)
    assert attempted == Counter(map(key, names))


# ---- what hangs elsewhere ------------------------------------------------------------------------


async def fails_within(rig: Rig, seconds: float, name: str = "fraud") -> None:
    """Let the candidate fail, and see that its weight is gone so many seconds after the tick that shows it."""
    rig.source.bad = {"2.0.0": 1.0}
    await until(lambda: not rig.weight("2.0.0", name), why="the weight to go", within=15)
    assert rig.clock.monotonic() - last_tick(rig) <= seconds


@in_virtual_time
async def test_a_modelversions_status_that_hangs_holds_up_neither_its_rollouts_weights_nor_its_status() -> None:
    rig = Rig()
    rig.statuses.faults.timing_out = {"fraud-v1.0.0", "fraud-v2.0.0"}
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        assert rig.clock.monotonic() < 1
        await fails_within(rig, 0.1)
        await rig.reaches(Phase.ROLLED_BACK, within=0.1)


@in_virtual_time
async def test_a_status_of_the_same_rollout_that_hangs_does_not_hold_up_its_weights() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: not rig.status().records, why="the records to be delivered")
        rig.statuses.faults.timing_out = {"fraud"}
        sent = len(rig.statuses.sent)
        await until(lambda: len(rig.statuses.sent) > sent, why="a status to be under way", within=100)
        await fails_within(rig, 0.1)
        rig.statuses.faults.timing_out = set()
        await rig.reaches(Phase.ROLLED_BACK, within=20)


@in_virtual_time
async def test_statuses_of_others_that_hang_take_no_worker_from_a_persons_abort() -> None:
    rig, names = Rig(), [f"m{number}" for number in range(60)]
    await rig.canaries(*names)
    rig = Rig(rig.cluster, rig.source)
    rig.statuses.faults.timing_out = set(names)
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 200, why="evidence to be refreshed", within=300)
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={"abort": "now"}))
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=0.1)


@in_virtual_time
async def test_routes_that_hang_hold_up_no_other_route_for_more_than_one_timeout_of_theirs() -> None:
    rig, names = Rig(), [f"m{number}" for number in range(2 * WORKERS)]
    await rig.canaries(*names)
    rig = Rig(rig.cluster, rig.source)
    rig.router.faults.timing_out = set(names)
    async with rig.running():
        for name in names:
            rig.cluster.put(replace(rig.cluster.rollout(key(name)), commands={"abort": "now"}))
        await until(lambda: len(rig.router.sent) >= 3 * WORKERS, why="every worker to have hung once", within=30)
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={"abort": "now"}))
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=10.1)


# ---- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [TransientError("no"), AmbiguousError("perhaps"), RefusedError("never")])
@in_virtual_time
async def test_as_long_as_a_bad_version_has_traffic_no_pause_is_longer_than_two_seconds(problem: Exception) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.always["fraud"] = problem  # type: ignore[assignment]
        rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: rig.clock.monotonic() > 300, why="five minutes of failures", within=400)
        rig.router.faults.always.clear()
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=2.1)


@pytest.mark.parametrize("problem", [AmbiguousError("500 failed calling webhook"), RefusedError("403 forbidden")])
@in_virtual_time
async def test_weights_that_cannot_be_taken_for_long_are_said_in_the_status(problem: SerinusError) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.always["fraud"] = problem
        aborted(rig)
        await until(lambda: str(problem) in rig.status().next_action, why="it to be said", within=10)
        confirmed = find_condition(rig.status().conditions, ConditionType.TRAFFIC_CONFIRMED)
        assert confirmed is not None
        assert (confirmed.status, confirmed.reason) == (ConditionStatus.FALSE, "WriteRefused")
        written = rig.statuses.sent.count("fraud")
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 60, why="a minute", within=61)
        assert rig.statuses.sent.count("fraud") <= written + 1
        del rig.router.faults.always["fraud"]
        await rig.reaches(Phase.ROLLED_BACK, within=10)
        assert str(problem) not in rig.status().next_action


@in_virtual_time
async def test_conflicts_with_other_writers_of_the_route_are_tried_again_until_the_weight_is_gone() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.before.extend([ConflictError("changed by others 20 times")] * 5)
        rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: not rig.router.faults.before, why="the conflicts", within=20)
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=2.1)


@pytest.mark.parametrize("wanted", ["1.0.0", "2.0.0"])
@in_virtual_time
async def test_a_rival_rollout_of_the_same_model_and_route_holds_up_no_rollback(wanted: str) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.put(rollout("rival", spec_for("fraud", wanted), created_at=START - timedelta(days=1)))
        await until(lambda: rig.status("rival").phase is not Phase.PROGRESSING, why="the rival to be seen")
        rig.statuses.faults.timing_out = {"rival"}
        await fails_within(rig, 0.1)
        await rig.reaches(Phase.ROLLED_BACK, within=1)
        assert rig.status("rival").run == 0


@in_virtual_time
async def test_a_write_that_something_changes_on_its_way_is_not_repeated_without_a_pause() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        stuck, writes = rig.cluster.route(key()), []

        async def mutated(_namespace: str, action: SetWeights, **_: object) -> HttpRouteRecord:
            """As with a mutating webhook that lets no entry have less than what it has."""
            writes.append(action)
            return stuck

        rig.router.set_weights = mutated  # type: ignore[assignment, method-assign]
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLING_BACK, within=20)
        began = rig.clock.monotonic()
        writes.clear()
        await until(lambda: rig.clock.monotonic() > began + 60, why="a minute", within=100)
        assert 20 <= len(writes) <= 31
        assert rig.status().phase is Phase.ROLLING_BACK


@in_virtual_time
async def test_a_bug_with_one_rollout_does_not_end_the_lane(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    await rig.canaries("churn")
    rig = Rig(rig.cluster, rig.source)
    rig.router.faults.always["churn"] = ZeroDivisionError("a bug")  # type: ignore[assignment]
    async with rig.running():
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=30)
    assert "ml/churn: the safety lane failed" in caplog.text


# ---- every cause is urgent -----------------------------------------------------------------------


def corrections(rig: Rig) -> int:
    route = rig.status().route
    return route.corrections if route is not None else 0


def recorded(rig: Rig) -> list[object]:
    data = rig.cluster.registry._data.get(key())
    return [record["event"] for record in data.records.values()] if data is not None else []


def raised_by_somebody(rig: Rig) -> None:
    route = rig.cluster.route(key())
    entries = tuple(RouteEntry(entry.key, 5000, entry.filters) for entry in route.rules[0].entries)
    rules = (replace(route.rules[0], entries=entries),)
    rig.cluster.put(replace(route, rules=rules, generation=route.generation + 1, written_by="kubectl"))


@in_virtual_time
async def test_weight_that_somebody_gives_the_candidate_is_taken_back_at_once_although_its_status_hangs() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: not rig.status().records, why="the records to be delivered")
        rig.statuses.faults.timing_out = {"fraud"}
        sent = len(rig.statuses.sent)
        await until(lambda: len(rig.statuses.sent) > sent, why="a status to be under way", within=100)
        raised_by_somebody(rig)
        await until(lambda: rig.weight("2.0.0") == 500, why="the weight to be as it was", within=0.1)
        rig.statuses.faults.timing_out = set()
        await until(lambda: corrections(rig) == 1, why="the status to count it", within=20)
        said = [event.message for _, event in rig.events.published if event.reason.value == "WeightDriftCorrected"]
        assert len(said) == 1
        assert "kubectl" in said[0]
        await until(lambda: "TrafficDriftCorrected" in recorded(rig), why="the record", within=20)


@in_virtual_time
async def test_somebody_who_insists_is_put_right_at_once_each_time_and_reported_after_the_third() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: rig.clock.monotonic() > 10, why="the evidence to be there")
        for _ in range(6):
            raised_by_somebody(rig)
            await until(lambda: rig.weight("2.0.0") == 500, why="the weight to be as it was", within=0.1)
            await asyncio.sleep(2)
        said = [event.reason.value for _, event in rig.events.published]
        assert said.count("WeightDriftCorrected") == 3
        assert said.count("RouteContested") == 1
        assert recorded(rig).count("TrafficDriftCorrected") == 3
        assert rig.status().run == 1


def yanked(rig: Rig) -> None:
    version = rig.cluster.objects[ModelVersionRecord, key("fraud-v2.0.0")]
    assert isinstance(version, ModelVersionRecord)
    rig.cluster.put(replace(version, yanked="it leaks"))


def aborted(rig: Rig) -> None:
    rig.cluster.put(replace(rig.cluster.rollout(key()), commands={"abort": "now"}))


def replaced(rig: Rig) -> None:
    version = rig.cluster.objects[ModelVersionRecord, key("fraud-v2.0.0")]
    assert isinstance(version, ModelVersionRecord)
    rig.cluster.put(replace(version, backend=backend("fraud", "9.9.9")))


@pytest.mark.parametrize("cause", [yanked, aborted, replaced])
@in_virtual_time
async def test_every_cause_takes_the_weight_at_once_although_the_status_hangs(cause: Callable[[Rig], None]) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: not rig.status().records, why="the records to be delivered")
        rig.statuses.faults.timing_out = {"fraud"}
        sent = len(rig.statuses.sent)
        await until(lambda: len(rig.statuses.sent) > sent, why="a status to be under way", within=100)
        cause(rig)
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=0.1)


@in_virtual_time
async def test_a_candidate_without_endpoints_loses_its_weight_after_thirty_seconds_to_the_second() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        began = rig.clock.monotonic()
        rig.cluster.put(endpoints(ready=0))
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=40)
        assert 29.9 <= rig.clock.monotonic() - began <= 30.2
        await rig.reaches(Phase.ROLLED_BACK, within=1)


# ---- a verdict stays in force --------------------------------------------------------------------


def edits_the_conditions(rig: Rig) -> None:
    """The stage's terms change, so that its analysis begins anew."""
    lax = {**CANARY, "abortOn": ["error_rate > 99%"]}
    rig.cluster.put(replace(rig.cluster.rollout(key()), spec=spec_for("fraud", "2.0.0", STAGING, lax, PRODUCTION)))


def becomes_good(rig: Rig) -> None:
    rig.source.bad = {}


def loses_the_source(rig: Rig) -> None:
    rig.source.down = lambda _: True


@pytest.mark.parametrize("event", [edits_the_conditions, becomes_good, loses_the_source])
@in_virtual_time
async def test_what_has_cost_a_version_its_traffic_is_in_the_status_in_the_end_whatever_happens_before(
    event: Callable[[Rig], None],
) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.statuses.faults.always["fraud"] = TransientError("no status is written now")
        await fails_within(rig, 0.1)
        event(rig)
        await until(lambda: rig.clock.monotonic() > 120, why="the source to say otherwise", within=200)
        rig.statuses.faults.always.clear()
        await rig.reaches(Phase.ROLLED_BACK, within=20)
        rollback = rig.status().rollback
        assert rollback is not None
        assert (rollback.reason, rollback.version) == (RollbackReason.METRIC_BREACHED, "2.0.0")
        assert rollback.condition == "error_rate > 0.5%"
        assert rig.status().quarantined == ("2.0.0",)
        assert not rig.weight("2.0.0")


@in_virtual_time
async def test_an_abort_that_was_withdrawn_before_any_status_was_written_is_a_rollback_all_the_same() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.statuses.faults.always["fraud"] = TransientError("no status is written now")
        aborted(rig)
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=0.1)
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={}))
        rig.statuses.faults.always.clear()
        await rig.reaches(Phase.ROLLED_BACK, within=20)
        rollback = rig.status().rollback
        assert rollback is not None
        assert rollback.reason is RollbackReason.ABORTED


@in_virtual_time
async def test_endpoints_that_come_back_before_the_status_is_written_change_nothing() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.put(endpoints(ready=0))
        await until(lambda: rig.clock.monotonic() > 20, why="the status to know", within=40)
        rig.statuses.faults.always["fraud"] = TransientError("no status is written now")
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=40)
        rig.cluster.put(endpoints(ready=1))
        await until(lambda: rig.clock.monotonic() > 60, why="it to be noticed", within=100)
        rig.statuses.faults.always.clear()
        await rig.reaches(Phase.ROLLED_BACK, within=20)


@pytest.mark.parametrize("stage", ["canary", "production"])
@in_virtual_time
async def test_a_status_that_was_on_its_way_when_the_verdict_was_reached_does_not_give_the_version_its_traffic_back(
    stage: str,
) -> None:
    """The stage has passed, and the status that says so takes ten seconds; meanwhile a person aborts."""
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        if stage == "production":
            await until(lambda: rig.weight("2.0.0") == 10_000, why="all the traffic", within=700)
            await rig.reaches_stage("production")
        ends = 600 if stage == "canary" else 900
        await until(lambda: rig.clock.monotonic() > ends - 3, why="the stage to be nearly over", within=1000)
        rig.statuses.faults.latency = 20.0  # it has its effect after ten seconds
        sent = len(rig.statuses.sent)
        await until(lambda: len(rig.statuses.sent) > sent, why="the status to be on its way", within=10)
        rig.statuses.faults.latency = 0.0
        sent_before = len(rig.router.sent)
        rig.cluster.deaf = True  # the abort alone would change the object, and the status be refused for that
        aborted_unseen(rig)
        rig.cluster.deaf = False
        await until(lambda: not rig.weight("2.0.0"), why="the weight to go", within=0.1)
        await rig.reaches(Phase.ROLLED_BACK, within=30)
        raised = [action for _, action in rig.router.sent[sent_before:] if not action.towards_safety]
        assert all(share.parts == 0 for action in raised for share in action.shares if "2-0-0" in share.backend.name)
        assert rig.status().quarantined == ("2.0.0",)
        stable = rig.status().stable
        assert stable is not None
        assert stable.version == "1.0.0"
        assert rig.status().history[0].result is RunResult.ROLLED_BACK


def aborted_unseen(rig: Rig) -> None:
    """An abort that the operator sees, while the object in the store stays at the version that its status is for."""
    stored = rig.cluster.rollout(key())
    seen = replace(stored, commands={"abort": "now"}, meta=replace(stored.meta, version=stored.meta.version + 1))
    rig.controller.on_change(seen)
