"""Runs: plan and observation of each stage, the end, and the time to safety."""

from datetime import timedelta

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.engine.report.rollbacks import rollbacks
from serinus.engine.report.runs import Run, RunEnd, runs
from support.audit.history_builder import History
from support.audit.sample_histories import a_year
from support.audit.specs import BOB, NOBODY


def a_model() -> History:
    return History().register("1.0.0").adopt("1.0.0").wait(days=1).register("1.1.0")


def the_run(history: History) -> Run:
    (run,) = runs(history.records)
    return run


def test_a_run_that_is_promoted_shows_every_stage_with_its_plan_and_what_was_observed() -> None:
    run = the_run(a_model().promote("1.1.0"))
    assert run.result is RunEnd.PROMOTED
    assert [(stage.name, stage.observed, stage.decision) for stage in run.stages] == [
        ("staging", "", "Went on"),
        ("canary", "5%", "Passed"),
        ("half", "50%", "Passed"),
        ("production", "100%", "Promoted"),
    ]
    canary = run.stages[1]
    assert canary.planned is not None
    assert (canary.planned.traffic, canary.planned.lasts) == ("5%", "2h")
    assert canary.left is not None
    assert canary.entered is not None
    assert canary.left - canary.entered == timedelta(hours=2)
    assert [one.condition for one in canary.evidence] == ["latency_p95 > 200ms", "error_rate > 0.5%"]
    assert [one.by for one in run.stages[2].approvals] == [BOB.name]


def test_the_share_of_the_traffic_rises_in_steps_until_it_is_all() -> None:
    run = the_run(a_model().promote("1.1.0"))
    assert [str(shift.share) for shift in run.shifts] == ["0%", "5%", "50%", "100%", "100%"]


def test_a_run_that_is_rolled_back_shows_the_breach_and_the_stages_that_it_never_reached() -> None:
    run = the_run(a_model().breach("1.1.0", "1.0.0"))
    assert run.result is RunEnd.ROLLED_BACK
    canary, half = run.stages[1], run.stages[2]
    assert canary.decision == "Rolled back"
    assert [one.verdict.value for one in canary.evidence] == ["Breach", "Pass"]
    assert (half.entered, half.decision) == (None, "")
    assert str(run.shifts[-1].share) == "0%"


def test_a_promoted_version_that_is_rolled_back_later_has_both_ends() -> None:
    run = the_run(a_model().promote("1.1.0").wait(days=2).roll_back("1.1.0", "1.0.0"))
    assert run.ends == (RunEnd.PROMOTED, RunEnd.ROLLED_BACK)
    assert run.length(run.records[-1].at) < timedelta(days=1)


@pytest.mark.parametrize(
    ("event", "end"),
    [(AuditEvent.RUN_SUPERSEDED, RunEnd.SUPERSEDED), (AuditEvent.RUN_CANCELLED, RunEnd.CANCELLED)],
)
def test_a_run_that_ends_otherwise_says_how(event: AuditEvent, end: RunEnd) -> None:
    history = a_model().start("1.1.0")
    history.record(event, "1.1.0", stage="staging")
    assert the_run(history).ends == (end,)


def test_a_bad_version_without_a_way_back_is_stranded() -> None:
    history = a_model().start("1.1.0").shift("1.1.0", "canary", "5%")
    history.record(AuditEvent.ROLLBACK_IMPOSSIBLE, "1.1.0", stage="canary")
    assert the_run(history).result is RunEnd.STRANDED
    (stranded,) = rollbacks(history.records)
    assert (stranded.to, stranded.done, stranded.time_to_safety) == ("", None, None)


def test_only_the_last_run_can_be_under_way_an_earlier_one_has_lost_its_end() -> None:
    history = a_model().start("1.1.0").start("1.1.0")
    assert [run.result for run in runs(history.records)] == [RunEnd.NOT_RECORDED, RunEnd.UNDER_WAY]


def test_an_unreadable_plan_is_reported_and_the_observation_is_shown_all_the_same() -> None:
    history = a_model().start("1.1.0")
    history.record(AuditEvent.ROLLOUT_STARTED, "1.1.0", stage="staging", details={"plan": '[{"traffic": "5%"}]'})
    del history.records[-2]
    run = the_run(history)
    assert run.plan_problem == "the recorded plan cannot be read: stage 0 has no name"
    assert [stage.name for stage in run.stages] == ["staging"]


def test_a_run_whose_beginning_was_removed_says_so() -> None:
    history = a_model().breach("1.1.0", "1.0.0")
    kept = [record for record in history.records if record.event is not AuditEvent.ROLLOUT_STARTED]
    (run,) = runs(kept)
    assert (run.started, run.plan_problem) == (None, "the record that began the run is not kept")
    assert run.result is RunEnd.ROLLED_BACK


def test_a_rollout_recreated_under_its_name_begins_other_runs() -> None:
    history = a_model().start("1.1.0")
    anew = history.records[-1].rollout
    assert anew is not None
    history.record(AuditEvent.TRAFFIC_SHIFTED, "1.1.0", rollout=type(anew)(name=anew.name, uid="other", run=anew.run))
    assert [run.key.uid for run in runs(history.records)] == ["b1d0", "other"]


# ---- rollbacks --------------------------------------------------------------------------------


def test_a_rollback_says_why_and_how_long_it_took_until_the_traffic_was_safe() -> None:
    (found,) = rollbacks(a_model().breach("1.1.0", "1.0.0").records)
    assert (found.version, found.to, found.run) == ("1.1.0", "1.0.0", 1)
    assert found.time_to_safety == timedelta(seconds=1.34)
    assert (found.at_traffic, found.word) == ("5%", "MetricBreached")
    assert found.cause.message == "latency_p95 412ms, limit > 200ms (1,843 requests)"


def test_a_rollback_of_which_only_the_end_is_kept_reads_its_times_from_the_details() -> None:
    history = a_model().breach("1.1.0", "1.0.0")
    kept = [record for record in history.records if record.event is not AuditEvent.ROLLBACK_STARTED]
    (found,) = rollbacks(kept)
    assert found.time_to_safety == timedelta(seconds=1.34)


def test_a_rollback_in_the_registry_alone_claims_no_time_to_safety() -> None:
    history = a_model()
    history.record(AuditEvent.ROLLED_BACK, "1.1.0", to="1.0.0", actor=NOBODY)
    (found,) = rollbacks(history.records)
    assert (found.run, found.time_to_safety) == (0, None)


def test_invalid_times_in_details_are_ignored() -> None:
    history = a_model().start("1.1.0")
    history.record(
        AuditEvent.ROLLED_BACK,
        "1.1.0",
        to="1.0.0",
        stage="canary",
        details={"decidedAt": "yesterday", "trafficSafeAt": "2026-03-03T09:00:00"},
    )
    (found,) = rollbacks(history.records)
    assert found.decided_at == found.safe_at == history.records[-1].at


def test_every_rollback_of_a_year_is_found_once() -> None:
    found = rollbacks(a_year().records)
    assert [(rollback.version, rollback.to) for rollback in found] == [
        ("2.4.1", "2.4.0"),
        ("2.5.1", "2.5.0"),
        ("2.6.0", "2.5.1"),
    ]
