"""Tests that are Jobs: what could not run is no failed test, and what vanished is created once more and no more."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.names import Command
from serinus.api.parsing import decode
from serinus.api.rollout_status import Phase, RollbackReason, StageState, TestResult
from serinus.api.stage_tests import IntegrationTest
from serinus.engine.rollout.decision import Event
from serinus.engine.rollout.job_tests import NO_JOBS
from serinus.engine.rollout.observation import JobFacts
from serinus.engine.rollout.tested_content import content_of
from support.builders import CANARY, NOW, PRODUCTION, STAGING, a_spec
from support.examples import examples
from support.job_world import JobWorld, under_test_in_canary, under_test_in_staging
from support.world_states import HTTP_TEST, JOB_TEST, condition

IMAGE = 'ImagePullBackOff: Back-off pulling image "example.org/check:1"'


def told(world: JobWorld, reason: str) -> list[Event]:
    return [event for event in world.events if event.reason.value == reason]


def could_not_run(world: JobWorld) -> JobWorld:
    """The Job's deadline comes while its image cannot be pulled."""
    world.see(IMAGE)
    world.pass_time(minutes=10)
    world.end(TestResult.FAILED, timed_out=True)
    world.settle()
    return world


# ---- a test that is edited ---------------------------------------------------------------------


def with_tests(world: JobWorld, *tests: dict[str, Any]) -> None:
    world.spec = a_spec("2.0.0", {**STAGING, "tests": list(tests)}, CANARY, PRODUCTION)


STRICTER = {"name": "contract", "job": {"template": {"spec": {"parallelism": 2}}}}


def test_what_is_known_of_a_test_is_forgotten_where_it_is_edited() -> None:
    world = JobWorld(spec=a_spec("2.0.0", {**STAGING, "tests": [HTTP_TEST, JOB_TEST]}, CANARY, PRODUCTION))
    world.settle()
    first, second = (str(test["name"]) for test in (HTTP_TEST, JOB_TEST))
    before = {test.name: test.content for test in world.status.tests}
    with_tests(world, HTTP_TEST, {**STRICTER, "name": second})
    world.jobs.clear()
    world.settle()
    after = {test.name: test.content for test in world.status.tests}
    assert world.asked == [second, second]
    assert world.entry(second).lost == 0, "nobody has deleted its Job"
    assert (after[first] == before[first], after[second] == before[second]) == (True, False)


def test_a_test_that_an_earlier_release_has_run_counts_as_what_the_plan_has() -> None:
    world = under_test_in_staging()
    world.status = structs.replace(
        world.status, tests=tuple(structs.replace(test, content="") for test in world.status.tests)
    )
    world.settle()
    assert world.asked == ["contract"]


@given(st.sampled_from([HTTP_TEST, JOB_TEST, STRICTER]), st.sampled_from([HTTP_TEST, JOB_TEST, STRICTER]))
def test_the_content_of_a_test_is_what_it_does_and_not_its_name(one: dict[str, Any], other: dict[str, Any]) -> None:
    def content(test: dict[str, Any], name: str) -> str:
        return content_of(decode(IntegrationTest, {**test, "name": name}, "test"))

    assert (content(one, "a") == content(other, "b")) == ({**one, "name": ""} == {**other, "name": ""})


# ---- a Job under way ---------------------------------------------------------------------------


def test_a_job_is_asked_for_once_and_the_status_has_it_from_then_on() -> None:
    world = under_test_in_staging()
    assert (world.entry().result, world.entry().message, world.entry().at) == (TestResult.RUNNING, "", NOW)
    world.pass_time(minutes=5).settle()
    assert world.asked == ["contract"]
    assert world.status.next_action == "Waiting for the tests contract of stage staging."


def test_a_job_that_is_there_already_is_taken_up() -> None:
    """An older release did not keep it in the status."""
    world = under_test_in_staging()
    world.status = structs.replace(world.status, tests=())
    world.settle()
    assert world.asked == ["contract"]
    assert world.entry().result is TestResult.RUNNING


def test_an_http_check_leaves_no_entry_before_it_has_ended() -> None:
    world = JobWorld(spec=a_spec("2.0.0", {**STAGING, "tests": [HTTP_TEST, JOB_TEST]}, CANARY, PRODUCTION))
    world.settle()
    results = [(test.name, test.result) for test in world.status.tests]
    assert results == [("contract", TestResult.RUNNING), ("answers", TestResult.PASSED)]


def test_the_reason_why_a_pod_does_not_run_is_in_the_next_action_and_goes_when_it_runs() -> None:
    world = under_test_in_staging().see(IMAGE)
    assert world.status.reason == "Testing"
    assert world.status.next_action.endswith(f"contract has not started: {IMAGE}")
    world.see(IMAGE, has_run=True)
    assert world.entry().message == ""
    assert world.status.next_action == "Waiting for the tests contract of stage staging."
    world.end(TestResult.PASSED)
    world.settle()
    assert told(world, "TestPassed")


def test_a_reason_that_flaps_is_rewritten_once_a_minute() -> None:
    world = under_test_in_staging().see("ErrImagePull: not found")
    world.pass_time(seconds=30)
    world.see(IMAGE)
    assert world.entry().message == "ErrImagePull: not found"
    assert world.look().requeue_after == timedelta(seconds=30)
    world.pass_time(seconds=30).settle()
    assert world.entry().message == IMAGE


def test_a_job_with_a_short_deadline_gets_the_pods_last_reason_before_its_pods_are_gone() -> None:
    """On a slow node the first thing to be seen is that the node has said nothing yet."""
    world = under_test_in_staging()
    world.jobs["contract"] = replace(world.jobs["contract"], deadline=timedelta(seconds=30))
    world.see("the pod is Pending and no node has said anything of it")
    world.pass_time(seconds=10)
    world.see(IMAGE)
    assert world.entry().message == IMAGE


def test_a_pod_that_has_run_is_noted_while_the_run_is_paused() -> None:
    world = under_test_in_staging().see(IMAGE)
    world.command(Command.PAUSE).settle()
    world.see(has_run=True)
    assert world.status.phase is Phase.PAUSED
    assert world.entry().message == ""


# ---- a test that could not run -----------------------------------------------------------------


def test_a_test_whose_pod_never_ran_holds_the_run_and_names_the_pods_reason() -> None:
    world = could_not_run(under_test_in_staging())
    status = world.status
    assert (status.phase, status.reason, status.rollback) == (Phase.PROGRESSING, "TestNotRun", None)
    assert status.quarantined == ()
    assert condition(world, ConditionType.STALLED) == (ConditionStatus.TRUE, "TestNotRun")
    assert status.next_action == (
        "Test contract of stage staging could not run, which says nothing of 2.0.0: no container of it had run when "
        f"its time was over ({IMAGE}). Mend that, then delete the Job fraud-1-contract: it is created again."
    )
    assert [event.warning for event in told(world, "TestNotRun")] == [True]


def test_a_test_that_could_not_run_holds_for_good_and_says_so_once() -> None:
    world = could_not_run(under_test_in_staging())
    before = world.status
    for _ in range(5):
        world.pass_time(minutes=1).settle()
    assert world.status == before
    assert len(told(world, "TestNotRun")) == 1
    assert world.asked == ["contract"]


def test_it_holds_at_its_share_in_a_stage_with_traffic_and_a_breach_still_rolls_back() -> None:
    world = could_not_run(under_test_in_canary())
    assert (world.status.reason, world.weight("2.0.0")) == ("TestNotRun", world.weight("2.0.0"))
    assert world.weight("2.0.0")
    world.command(Command.ABORT).settle()
    assert world.status.rollback is not None
    assert world.status.rollback.reason is RollbackReason.ABORTED
    assert world.weight("2.0.0") == 0
    assert told(world, "TestFailed") == []


def test_the_job_is_created_again_once_a_person_has_deleted_it() -> None:
    world = could_not_run(under_test_in_staging())
    world.delete_job()
    world.settle()
    assert world.asked == ["contract", "contract"]
    assert (world.entry().result, world.entry().message, world.entry().lost) == (TestResult.RUNNING, "", 0)
    assert world.status.reason == "Testing"
    world.see(has_run=True)
    world.end(TestResult.PASSED)
    world.settle()
    assert told(world, "TestPassed")
    assert told(world, "TestJobGone") == []


def test_a_job_that_ran_into_its_deadline_is_a_failed_test() -> None:
    world = under_test_in_staging().see(IMAGE).see(has_run=True)
    world.end(TestResult.FAILED, timed_out=True)
    world.settle()
    assert world.status.phase is Phase.ROLLED_BACK
    assert world.status.quarantined == ("2.0.0",)
    assert (world.entry().result, len(told(world, "TestFailed"))) == (TestResult.FAILED, 1)


def test_a_deadline_of_a_job_of_which_nothing_was_seen_is_a_failed_test() -> None:
    world = under_test_in_staging()
    world.end(TestResult.FAILED, timed_out=True)
    world.settle()
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_job_whose_pod_failed_is_a_failed_test_whatever_was_seen_before() -> None:
    world = under_test_in_staging().see(IMAGE)
    world.end(TestResult.FAILED)
    world.settle()
    assert world.status.rollback is not None
    assert world.status.rollback.reason is RollbackReason.TEST_FAILED
    assert len(told(world, "TestFailed")) == 1


@pytest.mark.parametrize(("on_timeout", "phase"), [("Rollback", Phase.ROLLED_BACK), ("Hold", Phase.PROGRESSING)])
def test_the_stages_longest_time_bounds_the_hold(on_timeout: str, phase: Phase) -> None:
    world = could_not_run(under_test_in_canary(maxDuration="30m", onTimeout=on_timeout))
    assert world.status.reason == "TestNotRun"
    world.pass_time(minutes=21).settle()
    assert (world.status.phase, world.status.reason) == (phase, "StageTimedOut")
    assert ("could not run" in world.status.next_action) is (on_timeout == "Hold")


def test_another_test_that_fails_rolls_back_and_only_that_one_is_said_to_have_failed() -> None:
    load = {"name": "load", "job": {"template": {"spec": {}}}}
    world = JobWorld(spec=a_spec("2.0.0", {**STAGING, "tests": [JOB_TEST, load]}, CANARY, PRODUCTION))
    world.settle()
    could_not_run(world)
    world.end(TestResult.FAILED, test="load")
    world.settle()
    assert world.status.phase is Phase.ROLLED_BACK
    assert [event.message for event in told(world, "TestFailed")] == ["Run 1, 2.0.0: Job test load: Job Failed"]
    assert (world.entry().result, world.entry("load").result) == (TestResult.NOT_RUN, TestResult.FAILED)


# ---- an installation that creates no Jobs ------------------------------------------------------


def test_without_the_right_to_create_jobs_a_plan_with_a_job_test_does_not_start() -> None:
    plan = a_spec("2.0.0", {**STAGING, "tests": [HTTP_TEST]}, {**CANARY, "tests": [JOB_TEST]}, PRODUCTION)
    world = JobWorld(spec=plan, job_tests=False)
    world.settle()
    assert (world.status.reason, world.status.run, world.asked) == ("JobTestsDisabled", 0, [])
    assert world.status.next_action == f"{NO_JOBS} Job tests of the plan: canary/contract."
    assert condition(world, ConditionType.STALLED) == (ConditionStatus.TRUE, "JobTestsDisabled")
    world.job_tests = True
    world.settle()
    assert world.status.run == 1


def test_http_tests_need_no_jobs() -> None:
    world = JobWorld(spec=a_spec("2.0.0", {**STAGING, "tests": [HTTP_TEST]}, CANARY, PRODUCTION), job_tests=False)
    world.settle()
    assert (world.status.run, world.status.reason) == (1, "Analyzing")


def test_a_stage_with_a_job_test_does_not_start_once_the_right_is_gone() -> None:
    staging = {**STAGING, "duration": "10m"}
    world = JobWorld(spec=a_spec("2.0.0", staging, {**CANARY, "tests": [JOB_TEST]}, PRODUCTION))
    world.settle()
    world.job_tests = False
    world.pass_time(minutes=10).measure().settle()
    assert world.status.stage is not None
    assert (world.status.stage.name, world.status.stage.state) == ("canary", StageState.PREPARING)
    assert (world.status.reason, world.asked) == ("JobTestsDisabled", [])
    assert world.status.candidate is not None
    assert world.status.candidate.weight == 0


def test_a_job_that_is_gone_is_not_asked_for_again_without_the_right() -> None:
    world = under_test_in_staging()
    world.job_tests = False
    world.delete_job()
    world.settle()
    assert (world.status.reason, world.entry().message) == ("TestNotRun", NO_JOBS)
    assert world.asked == ["contract"]


# ---- a Job that is refused ---------------------------------------------------------------------

QUOTA = "403 exceeded quota: jobs, requested: count/jobs.batch=1, used: 3, limited: 3"


def refused() -> JobWorld:
    world = JobWorld(spec=a_spec("2.0.0", {**STAGING, "tests": [JOB_TEST]}, CANARY, PRODUCTION), refusal=QUOTA)
    world.settle()
    return world


def test_a_job_that_is_refused_holds_and_is_asked_for_again_every_minute() -> None:
    world = refused()
    assert (world.status.reason, world.status.quarantined) == ("TestNotRun", ())
    assert QUOTA in world.status.next_action
    assert world.asked == ["contract"]
    before = world.status
    world.pass_time(seconds=59).settle()
    assert world.asked == ["contract"]
    assert world.look().requeue_after is not None
    world.pass_time(seconds=1).settle()
    assert world.asked == ["contract", "contract"]
    assert world.status == before
    assert len(told(world, "TestNotRun")) == 1


def test_a_refusal_that_ends_lets_the_run_go_on_by_itself() -> None:
    world = refused()
    world.refusal = ""
    world.pass_time(minutes=1).settle()
    assert (world.entry().result, world.status.reason) == (TestResult.RUNNING, "Testing")


def test_after_a_restart_a_refused_job_is_asked_for_at_once() -> None:
    world = refused()
    world.refused.clear()
    world.settle()
    assert world.asked == ["contract", "contract"]
    assert world.status.reason == "TestNotRun"


# ---- a Job that is gone ------------------------------------------------------------------------


def test_a_job_that_is_gone_is_reported_and_created_once_more() -> None:
    world = under_test_in_staging()
    world.delete_job()
    world.settle()
    assert world.asked == ["contract", "contract"]
    (event,) = told(world, "TestJobGone")
    assert event.warning
    assert event.message.endswith(
        "The Job of test contract of stage staging is gone and had not ended: it is created once more."
    )
    world.end(TestResult.PASSED)
    world.settle()
    assert told(world, "TestPassed")


def test_a_job_that_is_gone_twice_holds_the_run() -> None:
    world = under_test_in_staging()
    for _ in range(2):
        world.delete_job()
        world.settle()
    world.pass_time(hours=1).settle()
    assert world.asked == ["contract", "contract"]
    assert (world.status.reason, world.status.quarantined, world.entry().lost) == ("TestNotRun", (), 2)
    assert "its Job was gone 2 times before it had ended" in world.status.next_action
    assert "kubectl serinus abort fraud and kubectl serinus retry fraud" in world.status.next_action
    assert len(told(world, "TestJobGone")) == len(told(world, "TestNotRun")) == 1


def test_the_way_out_of_that_is_to_abort_and_to_retry() -> None:
    world = under_test_in_staging()
    for _ in range(2):
        world.delete_job()
        world.settle()
    world.command(Command.ABORT).settle()
    world.command(Command.RETRY).settle()
    assert (world.status.run, world.entry().lost, world.entry().result) == (2, 0, TestResult.RUNNING)


def test_what_was_lost_before_a_deadline_still_counts_after_it() -> None:
    world = under_test_in_staging()
    world.delete_job()
    world.settle()
    could_not_run(world)
    assert world.entry().lost == 1
    world.delete_job()
    world.settle()
    world.delete_job()
    world.settle()
    assert (world.entry().result, world.entry().lost) == (TestResult.NOT_RUN, 2)


@pytest.mark.parametrize("crash", ["before", "between"])
def test_a_crash_at_the_write_that_asks_for_a_job_neither_loses_nor_doubles_it(crash: str) -> None:
    world = JobWorld(spec=a_spec("2.0.0", {**STAGING, "tests": [JOB_TEST]}, CANARY, PRODUCTION))
    for _ in range(20):
        fork = world.fork()
        world.look()
        world.gateway()
        if world.asked:
            break
    fork.look(crash=crash)
    assert fork.status.tests == ()
    fork.settle()
    assert (fork.entry().result, len(fork.jobs), fork.entry().lost) == (TestResult.RUNNING, 1, 0)
    assert told(fork, "TestJobGone") == []


# ---- any history -------------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("look"), st.sampled_from(["", "", "before", "between"])),
    st.tuples(st.just("see"), st.sampled_from(["", IMAGE, "ErrImagePull"]), st.booleans()),
    st.tuples(st.just("end"), st.sampled_from([TestResult.PASSED, TestResult.FAILED]), st.booleans()),
    st.tuples(st.just("delete")),
    st.tuples(st.just("refuse"), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("pass"), st.sampled_from([1, 30, 61, 700])),
    st.tuples(st.just("command"), st.sampled_from([Command.PAUSE, Command.RESUME])),
)


def play(world: JobWorld, step: tuple[object, ...]) -> None:
    match step:
        case ("look", str(crash)):
            world.look(crash=crash)
        case ("see", str(problem), bool(has_run)) if world.jobs:
            world.jobs["contract"] = JobFacts(name="fraud-1-contract", problem=problem, has_run=has_run)
        case ("end", TestResult() as result, bool(timed_out)) if world.jobs:
            world.end(result, timed_out=timed_out and result is TestResult.FAILED)
        case ("delete",):
            world.delete_job()
        case ("refuse", bool(refused)):
            world.refusal = QUOTA if refused else ""
        case ("restart",):
            world.refused.clear()
        case ("pass", int(seconds)):
            world.pass_time(seconds=seconds)
        case ("command", Command() as verb):
            world.command(verb)
        case _:
            pass


@given(history=st.lists(STEPS, max_size=30), in_canary=st.booleans())
@settings(max_examples=examples(400))
def test_in_any_history_only_a_test_that_ran_decides_and_no_job_is_created_for_ever(
    *, history: list[tuple[object, ...]], in_canary: bool
) -> None:
    world = under_test_in_canary() if in_canary else under_test_in_staging()
    stage = world.status.stage
    made = 0
    for step in history:
        before, asked = world.outcomes().get("contract"), len(world.asked)
        play(world, step)
        made += (len(world.asked) - asked) * (not world.refusal)
        if world.status.rollback is not None:
            assert before is not None
            assert before.result is TestResult.FAILED
            return
        assert world.status.quarantined == ()
        if world.status.stage is None or stage is None or world.status.stage.index != stage.index:
            break
        if world.status.stage.state is not StageState.TESTING:
            assert told(world, "TestPassed")
            break
    world.settle()
    deletions = sum(step == ("delete",) for step in history)
    assert made <= 1 + deletions, "a Job is created again only where one was deleted"
    assert len(told(world, "TestJobGone")) <= 1
