"""The Rollouts' controller: what is written, in which order, and what follows every failure."""

from datetime import timedelta

import pytest

from serinus.api.conditions import ConditionType, find_condition
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, TestResult
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import AmbiguousError, ConflictError, RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import EndpointsRecord, Record, RolloutRecord, RouteRecord
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource
from support.records import MISSPELT, endpoints, key, model_version, rollout, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

HTTP_STAGING = {**STAGING, "tests": [{"name": "contract", "http": {"path": "/healthz"}}]}
JOB_STAGING = {**STAGING, "tests": [{"name": "contract", "job": {"template": {"spec": {}}}}]}


async def in_canary(rig: Rig, name: str = "fraud") -> None:
    await rig.reaches_stage("canary", name)
    await until(lambda: (rig.weight("2.0.0", name) or 0) > 0, why="the canary's weight")


def nothing_else_to_do(rig: Rig) -> bool:
    return len(rig.queue) == 0


# ---- the order of writes -----------------------------------------------------------------------


@in_virtual_time
async def test_a_good_version_goes_through_all_stages_and_is_said_to_be_in_production() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(
            lambda: published(rig) == {"1.0.0": ("Superseded", "0%"), "2.0.0": ("Production", "100%")}, why="it"
        )
        assert rig.status().history[0].version == "2.0.0"
        assert rig.weight("1.0.0") in {0, None}


def published(rig: Rig) -> dict[str, tuple[str, str]]:
    return {version.version: (version.stage, version.traffic) for version in rig.cache.versions("ml", "fraud")}


@in_virtual_time
async def test_a_bad_version_loses_its_traffic_before_the_status_says_so_and_before_anybody_is_told() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        written = len(rig.cluster.journal)
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=30)
        assert rig.weight("2.0.0") == 0
        writes = [entry for entry in rig.cluster.journal[written:] if entry[0] != "modelversion"]
        weights, status = writes.index(("weights", "fraud")), writes.index(("status", "fraud"))
        assert weights < status < writes.index(("event", "RollbackStarted"))
        assert "2.0.0" in rig.status().quarantined
        assert b"serinus_rollbacks_total{" in rig.telemetry.render()


@pytest.mark.parametrize("resync", [300.0, 1.0])
@in_virtual_time
async def test_nothing_at_all_is_written_for_a_settled_rollout_however_often_it_is_reconciled(resync: float) -> None:
    rig = Rig()
    rig.model()
    async with rig.running(resync_every=resync):
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: published(rig)["1.0.0"][0] == "Superseded", why="all to be published")
        written = list(rig.cluster.journal)
        for version in range(100):
            rig.cluster.put(endpoints(ready=version % 3 + 1))
            await until(lambda: nothing_else_to_do(rig), why="the reconcile")
        assert rig.cluster.journal == written
        assert len(rig.queue._timers) <= 1


@in_virtual_time
async def test_a_running_stage_costs_one_status_a_minute_beside_what_happens_in_it() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        statuses = rig.cluster.journal.count(("status", "fraud"))
        others = sum(1 for what, _ in rig.cluster.journal if what in {"weights", "modelversion"})
        assert statuses <= 15 + 12, "10 minutes canary, 5 minutes bake, and what happened"
        assert others <= 12


# ---- failures ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_failing_action_leaves_the_status_as_it_was_and_the_same_decision_comes_again() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        before = rig.status()
        rig.router.faults.always["fraud"] = TransientError("no route to host")
        rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: b'errors_total{reason="TransientError"} 3.0' in rig.telemetry.render(), why="three tries")
        assert rig.status().rollback is None
        assert rig.status().stage == before.stage
        del rig.router.faults.always["fraud"]
        await rig.reaches(Phase.ROLLED_BACK, within=20)


@in_virtual_time
async def test_after_a_conflict_the_rollout_is_reread_and_retried_at_once() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await until(lambda: rig.status().stable is not None, why="the adoption")
        rig.cluster.deaf = True
        rig.cluster.put(rig.cluster.rollout(key()))  # somebody else's write that the watch does not show
        rig.cluster.deaf = False
        began = rig.clock.monotonic()
        rig.queue.enqueue(key())
        await in_canary(rig)
        assert rig.clock.monotonic() - began < 30


@in_virtual_time
async def test_conflicts_without_end_are_retried_ever_more_slowly() -> None:
    rig = Rig()
    rig.model()
    rig.statuses.faults.always["fraud"] = ConflictError("somebody writes all the time")
    async with rig.running():
        await until(lambda: rig.queue._retries.get(key(), 0) >= 15, why="the longest pause", within=120)
        failed = rig.telemetry.failures.labels("ConflictError")._value.get()
        assert failed < 20


@in_virtual_time
async def test_a_status_that_was_written_although_the_answer_was_lost_is_not_written_twice() -> None:
    rig = Rig()
    rig.model()
    rig.statuses.faults.after.append(AmbiguousError("timed out"))
    async with rig.running():
        await in_canary(rig)
        assert [event.reason.value for _, event in rig.events.published].count("RolloutStarted") <= 1
        assert rig.status().run == 1


@in_virtual_time
async def test_weights_that_were_written_although_the_answer_was_lost_are_not_written_twice() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        rig.router.faults.after.append(AmbiguousError("timed out"))
        before = rig.cluster.journal.count(("weights", "fraud"))
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=30)
        assert rig.cluster.journal.count(("weights", "fraud")) == before + 1


@in_virtual_time
async def test_a_refused_write_is_said_in_the_status_once_with_the_leaders_term() -> None:
    rig = Rig(epoch=9)
    rig.model()
    async with rig.running():
        await in_canary(rig)
        rig.leadership.epoch = 10
        rig.router.faults.always["fraud"] = RefusedError("HTTPRoute fraud: admission webhook says no")
        rig.source.bad = {"2.0.0": 1.0}

        def says_so() -> bool:
            found = find_condition(rig.status().conditions, ConditionType.TRAFFIC_CONFIRMED)
            return found is not None and found.reason == "WriteRefused"

        await until(says_so, why="the condition")
        assert "admission webhook says no" in rig.status().next_action
        assert rig.status().epoch == 10
        written = rig.cluster.journal.count(("status", "fraud"))
        await until(lambda: rig.queue._retries[key()] >= 15, why="many more tries", within=300)
        assert rig.cluster.journal.count(("status", "fraud")) == written
        rig.router.faults.always.clear()
        await rig.reaches(Phase.ROLLED_BACK, within=60)


@in_virtual_time
async def test_a_bug_with_one_rollout_does_not_hold_up_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    rig.model()
    rig.model("churn")
    rig.statuses.faults.always["fraud"] = ZeroDivisionError("a bug")  # type: ignore[assignment]
    async with rig.running():
        await in_canary(rig, "churn")
    assert "ml/fraud: the reconcile failed" in caplog.text


@in_virtual_time
async def test_a_bug_in_one_tick_does_not_end_the_ticks(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.model()

    def broken(_question: object) -> bool:
        raise ZeroDivisionError("a bug")

    async with rig.running():
        await in_canary(rig)
        healthy, rig.source.down = rig.source.down, broken
        await until(lambda: "source default: the tick failed" in caplog.text, why="the tick to fail")
        rig.source.down = healthy
        await rig.reaches(Phase.HEALTHY)


# ---- abort beats everything --------------------------------------------------------------------

OTHERS = [f"m{number}" for number in range(12)]


async def with_all_workers_hanging(rig: Rig) -> None:
    """Let the router hang for a dozen others, so that every ordinary worker waits for it."""
    await in_canary(rig)
    rig.router.faults.hanging.update(OTHERS)
    for name in OTHERS:
        rig.model(name)
    await until(lambda: len(rig.queue) >= len(OTHERS) - 4, why="the workers to hang and the queue to grow")


@in_virtual_time
async def test_a_breach_is_rolled_back_although_every_ordinary_worker_hangs() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=15)


@pytest.mark.parametrize("verb", ["abort", "rollback"])
@in_virtual_time
async def test_a_persons_abort_is_done_at_once_although_every_ordinary_worker_hangs(verb: str) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        stored = rig.cluster.rollout(key())
        rig.cluster.put(rollout(spec=stored.spec, status=stored.status, commands={verb: "now"}))
        await rig.reaches(Phase.ROLLED_BACK, within=1)
        assert rig.status().last_handled[verb] == "now"


@in_virtual_time
async def test_a_failed_test_is_acted_on_at_once_although_every_ordinary_worker_hangs() -> None:
    rig = Rig()
    tested = {**CANARY, "tests": [{"name": "contract", "http": {"path": "/healthz"}}]}
    rig.checks.open.clear()
    rig.checks.outcome = TestOutcome(TestResult.FAILED, "500 instead of 200")
    rig.model("fraud", STAGING, tested, PRODUCTION)
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.checks.open.set()
        await rig.reaches(Phase.ROLLED_BACK, within=1)


@in_virtual_time
async def test_a_failed_abort_is_retried_although_every_ordinary_worker_hangs() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.router.faults.before.extend([TransientError("reset by peer")] * 3)
        stored = rig.cluster.rollout(key())
        rig.cluster.put(rollout(spec=stored.spec, status=stored.status, commands={"abort": "now"}))
        await rig.reaches(Phase.ROLLED_BACK, within=3)


@in_virtual_time
async def test_a_failed_rollback_of_a_breach_does_not_wait_for_the_next_tick() -> None:
    rig = Rig(source=FakeSource(scrape=timedelta(minutes=3)))
    rig.source.rate = 5
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.source.bad = {"2.0.0": 1.0}
        rig.router.faults.before.append(TransientError("reset by peer"))
        await until(lambda: not rig.router.faults.before, why="the breach", within=200)
        await rig.reaches(Phase.ROLLED_BACK, within=3)


# ---- leadership --------------------------------------------------------------------------------


@in_virtual_time
async def test_who_does_not_lead_writes_nothing() -> None:
    rig = Rig()
    rig.model()
    rig.leadership.epoch = None
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 900, why="a quarter of an hour to pass", within=1000)
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the deletion")
    assert rig.cluster.journal == []


@in_virtual_time
async def test_every_status_bears_the_term_of_its_writer_and_it_never_falls() -> None:
    rig = Rig(epoch=7)
    rig.model()
    async with rig.running():
        await in_canary(rig)
        assert rig.status().epoch == 7
    successor = Rig(rig.cluster, epoch=9)
    async with successor.running():
        successor.source.bad = {"2.0.0": 1.0}
        await successor.reaches(Phase.ROLLED_BACK, within=30)
        assert successor.status().epoch == 9


@in_virtual_time
async def test_a_deposed_leader_cannot_write_over_its_successor() -> None:
    rig = Rig(epoch=9)
    rig.model()
    async with rig.running():
        await in_canary(rig)
    deposed = Rig(rig.cluster, epoch=7)
    deposed.cache.put(rig.cluster.rollout(key()))
    assert await deposed.reconciler.reconcile(key()) is not None or deposed.status().epoch == 9
    assert deposed.status().epoch == 9


# ---- restart -----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_successor_goes_on_where_the_process_before_it_ended() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        await until(lambda: rig.clock.monotonic() > 300, why="half of the stage", within=400)
        since = rig.status().stage
    successor = Rig(rig.cluster)
    async with successor.running():
        assert since is not None
        await successor.reaches(Phase.HEALTHY, within=1000)
        assert successor.status().run == 1
        ended = successor.status().history[0].ended_at
        assert ended - since.since < timedelta(minutes=17), "no stage began anew"


@in_virtual_time
async def test_a_stage_that_a_crash_left_unwritten_is_written_by_the_successor() -> None:
    rig = Rig()
    rig.model()
    rig.statuses.faults.always["fraud-v1.0.0"] = TransientError("gone for lunch")
    rig.statuses.faults.always["fraud-v2.0.0"] = TransientError("gone for lunch")
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        assert published(rig)["2.0.0"] == ("", "")
    successor = Rig(rig.cluster)
    async with successor.running():
        await until(lambda: published(successor)["2.0.0"] == ("Production", "100%"), why="the version to say it")


@in_virtual_time
async def test_a_superseded_candidate_is_no_canary_any_more() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        await until(lambda: published(rig)["2.0.0"][0] == "Canary", why="the canary to be one")
        rig.cluster.put(model_version("3.0.0"))
        rig.cluster.put(endpoints("fraud", "3.0.0"))
        rig.cluster.put(rollout(spec=spec_for("fraud", "3.0.0"), status=rig.status()))
        await until(lambda: published(rig).get("3.0.0", ("", ""))[0] in {"Staging", "Canary"}, why="the new candidate")
        await until(lambda: published(rig)["2.0.0"] == ("Registered", "0%"), why="the old candidate to be none")


# ---- deletion ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_deleted_rollout_leaves_no_candidate_with_traffic() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=1)
        assert rig.queue._timers == {}
        assert rig.queue._retries == {}


@in_virtual_time
async def test_the_traffic_of_a_deleted_rollouts_candidate_is_taken_back_however_often_that_fails_at_first() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        rig.router.faults.before.extend([TransientError("no"), ConflictError("no"), AmbiguousError("no")])
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=5)


@in_virtual_time
async def test_a_spoilt_spec_is_no_reason_to_leave_the_candidate_its_traffic_on_deletion() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        rig.cluster.put(rollout(spec=MISSPELT, status=rig.status()))
        await until(lambda: rig.status().phase is Phase.INVALID, why="the spec to be read")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=1)


@in_virtual_time
async def test_a_rollout_that_is_being_deleted_has_its_candidate_without_traffic_and_its_status_untouched() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        stored = rig.cluster.rollout(key())
        rig.cluster.put(rollout(spec=stored.spec, status=stored.status, deleting=True))
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=1)
        assert rig.status() == stored.status


@in_virtual_time
async def test_a_rollout_that_turns_out_to_be_gone_is_dropped_and_not_tried_for_ever() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        rig.cluster.deaf = True
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the loss to be noticed by a write", within=120)
        assert rig.weight("2.0.0") == 0


# ---- tests -------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_http_test_is_sent_once_and_its_end_has_the_rollout_reconciled() -> None:
    rig = Rig()
    rig.checks.open.clear()
    rig.model("fraud", HTTP_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: len(rig.checks.sent) == 1, why="the test to be sent")
        for number in range(20):
            rig.cluster.put(endpoints(ready=number % 2 + 1))
            await until(lambda: nothing_else_to_do(rig), why="the reconcile")
        began = rig.clock.monotonic()
        rig.checks.open.set()
        await in_canary(rig)
        assert rig.clock.monotonic() - began < 1
        assert rig.checks.sent == ["ml/fraud-v2-0-0/healthz"]
        assert len(rig.reconciler.tests.results) == len(rig.reconciler.tests._running) == 0, "the status has it now"


@in_virtual_time
async def test_a_job_that_the_api_server_refuses_is_a_failed_test() -> None:
    rig = Rig()
    rig.jobs.faults.always["fraud"] = RefusedError("spec.template: Required value")
    rig.model("fraud", JOB_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await rig.reaches(Phase.ROLLED_BACK, within=60)
        assert "Required value" in rig.status().summary + str(rig.status().rollback)


@in_virtual_time
async def test_a_job_is_made_once_and_its_outcome_lets_the_run_go_on() -> None:
    rig = Rig()
    rig.model("fraud", JOB_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await in_canary(rig)
        assert [name for what, name in rig.cluster.journal if what == "job"] == ["fraud-1-staging-contract"]


# ---- lists -------------------------------------------------------------------------------------


@in_virtual_time
async def test_nothing_is_decided_before_the_whole_cluster_could_be_listed() -> None:
    rig = Rig()
    rig.model()
    rig.cluster.faults.always["RolloutRecord"] = TransientError("no API server")
    rig.cluster.follow(rig.controller.on_change, rig.controller.on_delete)
    assert rig.cluster.journal == []
    failures: list[SerinusError] = [TransientError("not yet")] * 5
    rig.cluster.faults.always.clear()
    rig.cluster.faults.before.extend(failures)
    async with rig.running():
        assert rig.controller.synced.is_set()
        assert rig.clock.monotonic() > 1, "it waited between the tries"
        await in_canary(rig)


@in_virtual_time
async def test_a_deletion_that_the_watch_missed_is_found_by_the_next_list() -> None:
    rig = Rig()
    rig.model()
    async with rig.running(resync_every=60):
        await in_canary(rig)
        rig.cluster.deaf = True
        rig.cluster.remove(EndpointsRecord, ObjectKey("ml", "fraud-v1-0-0-abc"))
        await until(lambda: rig.cache.ready_endpoints("ml", "fraud-v1-0-0") == 0, why="the list to show it", within=61)


@in_virtual_time
async def test_a_watch_that_was_interrupted_causes_a_list_at_once() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await in_canary(rig)
        listed = len(rig.cluster.lists)
        rig.controller.on_relist()
        await until(lambda: len(rig.cluster.lists) > listed, why="the list", within=1)


@in_virtual_time
async def test_an_object_that_comes_up_while_a_list_is_read_is_not_forgotten() -> None:
    rig = Rig()
    rig.model()

    def another(kind: type[Record]) -> None:
        if kind is RouteRecord and rig.controller.synced.is_set() and rig.cache.rollout(key("churn")) is None:
            rig.model("churn")

    async with rig.running():
        await in_canary(rig)
        rig.cluster.during_list = another
        rig.controller.on_relist()
        await until(lambda: (RolloutRecord, key("churn")) in rig.cluster.objects, why="the list to be under way")
        await rig.reaches_stage("canary", "churn", within=60)


@in_virtual_time
async def test_the_loop_ends_when_it_is_told_to_even_in_the_moment_of_a_restarted_watch() -> None:
    rig = Rig()
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 1, why="the loop to wait for its next list")
        rig.controller.on_relist()


@in_virtual_time
async def test_the_heart_beats_while_the_loop_lives() -> None:
    rig = Rig()
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 100, why="some time to pass", within=200)
        assert rig.clock.monotonic() - rig.controller.heartbeat <= 1


@in_virtual_time
async def test_timers_and_tasks_do_not_pile_up() -> None:
    rig = Rig()
    for number in range(30):
        rig.model(f"m{number}")
    async with rig.running():
        await rig.reaches(Phase.HEALTHY, "m29")
        await until(lambda: all(rig.status(f"m{n}").phase is Phase.HEALTHY for n in range(30)), why="all")
        await until(lambda: len(rig.background) == 0, why="no task to be left")
        assert len(rig.queue._timers) <= 30
        assert rig.queue._retries == {}


@in_virtual_time
async def test_no_weight_rises_while_the_gateway_has_not_accepted_what_was_written_before() -> None:
    rig = Rig()
    rig.cluster.accepting = False
    rig.model()
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 900, why="more than the stage's time", within=1000)
        assert rig.weight("2.0.0") in {0, None}
        assert rig.status().phase is Phase.PROGRESSING
