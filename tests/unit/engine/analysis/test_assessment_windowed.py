import pytest

from serinus.api.rollout import Judgement, Stage
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import assess, update
from serinus.engine.analysis.measurements import Counted, Measured
from support.analysis import a_stage, after, at, begun, counted, judged_after, measured, metrics_of, no_data


def observed(line: str = "error_rate > 5%", *, hold_for: str = "60s", min_requests: int | None = None) -> Stage:
    return a_stage(line, judgement=Judgement.OBSERVED, hold_for=hold_for, min_requests=min_requests)


def ticks(seconds: range, requests: float, bad: float) -> list[Counted]:
    return [counted(second, requests, bad) for second in seconds]


def values(seconds: range, value: float) -> list[Measured]:
    return [measured(second, value) for second in seconds]


# ---- proportions ------------------------------------------------------------------------------


def test_a_proportion_over_its_limit_is_a_breach_after_its_time() -> None:
    progress = after(begun(observed()), ticks(range(15, 300, 15), 100, 10))
    judged = assess(progress, observed(), at(300))
    assert (judged.verdict, judged.value, progress.breached_at) == (Verdict.BREACH, "10%", at(75))
    assert judged.message == (
        "10% of the 400 requests from 14:00:15Z to 14:01:15Z failed (40); at most 5% may (for 1m, 1m are a breach)."
    )


def test_a_proportion_over_its_limit_for_a_shorter_time_is_undecided() -> None:
    judged = judged_after(observed(), ticks(range(15, 75, 15), 100, 10))
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, Cause.UNDECIDED)
    assert judged.message.endswith("it has held for 45s and is a breach after 1m.")


def test_a_proportion_that_returns_within_its_limit_resets_the_timer() -> None:
    bad = ticks(range(15, 45, 15), 100, 10)
    good = ticks(range(45, 120, 15), 100, 0)
    again = ticks(range(120, 165, 15), 100, 10)
    assert after(begun(observed()), [*bad, *good, *again]).breached_at is None


def test_a_window_with_too_few_requests_is_inconclusive() -> None:
    judged = judged_after(observed(), ticks(range(15, 600, 15), 4, 4))
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, Cause.TOO_FEW_REQUESTS)
    assert judged.message.endswith("The window needs 20: give metrics.window a longer time.")
    wider = after(begun(observed(), metrics=metrics_of(window="5m")), ticks(range(15, 600, 15), 4, 4))
    assert wider.breached_at is not None


def test_only_the_window_counts_for_the_pass() -> None:
    judged = judged_after(observed(), [*ticks(range(15, 30, 15), 100, 10), *ticks(range(30, 300, 15), 100, 1)])
    assert (judged.verdict, judged.value) == (Verdict.PASS, "1%")
    assert (
        judged.message == "1% of the 400 requests in the last 1m failed (4); at most 5% may. 60 requests were needed."
    )


def test_traffic_that_stopped_never_passes() -> None:
    judged = judged_after(observed(), [*ticks(range(15, 300, 15), 100, 0), *ticks(range(300, 600, 15), 0, 0)])
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, Cause.TOO_FEW_REQUESTS)
    assert judged.message.startswith("No answer of this version has been counted in the last 1m.")


def test_a_gap_neither_counts_as_holding_nor_resets_the_timer() -> None:
    before = ticks(range(15, 60, 15), 100, 10)  # held for 30 s
    gap = [no_data(second) for second in range(60, 75, 5)]
    progress = after(begun(observed()), [*before, *gap, *ticks(range(75, 100, 15), 100, 10)])
    assert progress.breached_at is None
    assert after(progress, [counted(105, 100, 10)]).breached_at == at(105)


def test_a_gap_longer_than_the_window_resets_the_timer() -> None:
    before = ticks(range(15, 60, 15), 100, 10)
    gap = [no_data(second) for second in range(60, 120, 5)]
    again = ticks(range(120, 180, 15), 100, 10)
    assert after(begun(observed()), [*before, *gap, *again]).breached_at is None


def test_without_a_hold_time_the_first_window_over_the_limit_is_a_breach() -> None:
    stage = a_stage("error_rate > 5%", judgement=Judgement.OBSERVED, hold_for="0s")
    good = ticks(range(15, 60, 15), 100, 5)
    assert after(begun(stage), good).breached_at is None
    assert after(begun(stage), [*good, counted(60, 100, 6)]).breached_at == at(60)
    assert after(begun(stage), [counted(15, 19, 19)]).breached_at is None, "the window needs 20 requests"


def test_an_observed_breach_is_final_despite_gaps_and_recovery() -> None:
    breached = after(begun(observed()), ticks(range(15, 90, 15), 100, 10))
    later = after(breached, [no_data(100), no_data(500), *ticks(range(515, 1000, 15), 100, 0)])
    assert assess(later, observed(), at(1000)).verdict is Verdict.BREACH
    assert later.breached_at == breached.breached_at


# ---- named queries ----------------------------------------------------------------------------


def test_a_named_query_within_its_limit_passes() -> None:
    judged = judged_after(a_stage("drift_score > 0.3"), [measured(5, 0.3)])
    assert (judged.verdict, judged.value, judged.requests) == (Verdict.PASS, "0.3", 0)
    assert judged.message == "drift_score is 0.3; the limit is > 0.3."


def test_a_threshold_of_a_named_query_is_exact() -> None:
    assert judged_after(a_stage("drift_score >= 0.3"), [measured(5, 0.3)]).cause is Cause.UNDECIDED


def test_a_named_query_over_its_limit_is_a_breach_after_its_time_even_in_a_sequential_stage() -> None:
    stage = a_stage("drift_score > 0.3")
    progress = after(begun(stage), values(range(5, 61, 5), 0.41))
    waiting = assess(progress, stage, at(60))
    assert (waiting.verdict, waiting.cause) == (Verdict.UNKNOWN, Cause.UNDECIDED)
    assert waiting.message == "drift_score is 0.41, over its limit (> 0.3) for 55s; it is a breach after 1m."
    judged = assess(after(progress, [measured(65, 0.5)]), stage, at(65))
    assert (judged.verdict, judged.value, judged.at) == (Verdict.BREACH, "0.5", at(65))
    assert judged.message == "drift_score was 0.5, over its limit (> 0.3) for 1m, 1m are a breach."


@pytest.mark.parametrize(
    ("line", "value", "shown"),
    [("agreement < 95%", 0.9, "90%"), ("queue_time > 2s", 2.5, "2.5s"), ("queue_time > 20ms", 0.03, "30ms")],
)
def test_a_named_query_is_shown_in_the_unit_of_its_limit(line: str, value: float, shown: str) -> None:
    judged = judged_after(a_stage(line), [measured(5, value)])
    assert (judged.cause, judged.value) == (Cause.UNDECIDED, shown)


def test_an_infinite_value_is_over_its_limit_and_nan_is_no_data() -> None:
    assert judged_after(a_stage("drift_score > 0.3"), [measured(5, float("inf"))]).value == "infinite"
    assert judged_after(a_stage("drift_score > 0.3"), [measured(5, float("nan"))]).cause is Cause.NAN


def test_a_value_that_is_not_fresh_is_stale() -> None:
    progress = after(begun(a_stage("drift_score > 0.3")), [measured(5, 0.1)])
    assert assess(progress, a_stage("drift_score > 0.3"), at(51)).cause is Cause.STALE


def test_an_interval_judges_values_no_more_often() -> None:
    stage = a_stage("drift_score > 0.3", hold_for="20s")
    progress = begun(stage, metrics=metrics_of(interval="30s"))
    assert after(progress, values(range(5, 35, 5), 0.5)).breached_at is None
    assert after(progress, values(range(5, 40, 5), 0.5)).breached_at == at(35)


def test_a_stable_version_over_the_limit_of_a_named_query_is_named() -> None:
    stage = a_stage("drift_score > 0.3", hold_for="10s")
    progress = begun(stage)
    for second in (5, 10, 15):
        progress = update(progress, measured(second, 0.5), measured(second, 0.4))
    judged = assess(progress, stage, at(15))
    assert (judged.verdict, judged.stable_too) == (Verdict.BREACH, True)
    assert judged.message.endswith("The stable version is over this limit too.")
