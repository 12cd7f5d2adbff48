import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.rollout import MetricsRef, Promotion
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import assess, begin, update
from serinus.engine.analysis.measurements import Answer, Coarse, Counted
from support.analysis import (
    SCRAPE,
    START,
    a_batch,
    a_stage,
    after,
    at,
    begun,
    could_not_ask,
    counted,
    judged_after,
    measured,
    metrics_of,
    no_data,
)
from support.examples import examples

ERRORS = "error_rate > 0.5%"
SLOW = "latency_p95 > 200ms"
BETWEEN_BOUNDS = Coarse(0.1, 0.25)


def clean(ticks: int, *, requests: float = 10, first: int = 1) -> list[Counted]:
    return [counted(5 * tick, requests) for tick in range(first, first + ticks)]


# ---- passing ----------------------------------------------------------------------------------


def test_enough_good_requests_pass() -> None:
    judged = judged_after(a_stage(), clean(60))
    assert (judged.verdict, judged.cause, judged.requests, judged.value) == (Verdict.PASS, None, 600, "0%")
    assert judged.message == "0% of 600 requests failed (0); at most 0.5% may. 600 requests were needed."


def test_a_few_bad_requests_within_the_limit_pass() -> None:
    judged = judged_after(a_stage(), [counted(5 * tick, 10, 1 if tick % 50 == 0 else 0) for tick in range(1, 151)])
    assert (judged.verdict, judged.value) == (Verdict.PASS, "0.2%")


@pytest.mark.parametrize("line", ["latency_p90 > 200ms", "latency_p90 >= 200ms"])
def test_a_proportion_at_its_limit_exactly_is_within_it(line: str) -> None:
    assert judged_after(a_stage(line), [counted(5, 1000, 100), counted(10, 1000, 100)]).verdict is Verdict.PASS


def test_a_stage_may_ask_for_fewer_requests_or_for_more() -> None:
    assert judged_after(a_stage(min_requests=10), clean(1)).verdict is Verdict.PASS
    assert judged_after(a_stage(min_requests=601), clean(60)).cause is Cause.TOO_FEW_REQUESTS


def test_requests_that_may_be_from_before_the_stage_count_for_a_breach_and_not_for_a_pass() -> None:
    stage = a_stage(min_requests=10)
    progress = replace(begun(stage), since=at(5))
    before, since = (dataclasses.replace(counted(10, 100), begun=at(seconds)) for seconds in (4, 5))
    judged = assess(after(progress, [before]), stage, at(10))
    assert (judged.cause, judged.requests) == (Cause.TOO_FEW_REQUESTS, 100)
    assert "10 requests are missing" in judged.message
    assert assess(after(progress, [since]), stage, at(10)).verdict is Verdict.PASS
    assert assess(after(progress, [before, counted(15, 10)]), stage, at(15)).verdict is Verdict.PASS
    bad = dataclasses.replace(before, batch=a_batch(100, 100))
    assert assess(after(progress, [bad]), stage, at(10)).verdict is Verdict.BREACH


def test_a_pass_holds_while_the_latest_reading_is_fresh() -> None:
    progress = after(begun(a_stage()), clean(60))
    assert assess(progress, a_stage(), at(300 + 45)).verdict is Verdict.PASS
    stale = assess(progress, a_stage(), at(300 + 46))
    assert (stale.verdict, stale.cause) == (Verdict.UNKNOWN, Cause.STALE)
    assert stale.message == "The last reading of error_rate is 46s old (it may be 45s): nothing is decided."


def test_a_long_interval_keeps_readings_fresh_as_long() -> None:
    progress = after(begun(a_stage(), metrics=metrics_of(interval="2m")), clean(60))
    assert assess(progress, a_stage(), at(300 + 120)).verdict is Verdict.PASS
    assert assess(progress, a_stage(), at(300 + 121)).cause is Cause.STALE


# ---- unknown, by cause ------------------------------------------------------------------------


def test_a_condition_without_any_answer_is_unknown() -> None:
    judged = judged_after(a_stage(), [])
    assert (judged.verdict, judged.cause, judged.value, judged.at) == (Verdict.UNKNOWN, Cause.NO_SERIES, "", START)
    assert judged.message == "error_rate has not been asked for yet."


def test_a_version_without_requests_has_no_traffic() -> None:
    judged = judged_after(a_stage(), clean(5, requests=0))
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, Cause.NO_TRAFFIC)
    assert judged.message == "No answer of this version has been counted since the stage began; error_rate needs 600."


def test_too_few_requests_says_how_many_are_missing_and_when_they_will_be_there() -> None:
    judged = judged_after(a_stage(), [*clean(10), counted(55, 10, 1)])
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, Cause.TOO_FEW_REQUESTS)
    assert judged.message == (
        "0.909% of 110 requests failed (1); at most 0.5% may. 490 requests are missing:"
        " at the present 2 requests/s they will be there in 4m 5s, at 14:05:00Z."
    )


def test_requests_that_come_tomorrow_come_with_a_date() -> None:
    judged = judged_after(a_stage(), [counted(5, 1), counted(305, 1)])
    assert "598 requests are missing" in judged.message
    assert judged.message.endswith("in 2d 1h, at 2026-11-25 15:55:05Z.")


def test_without_traffic_no_arrival_is_estimated() -> None:
    judged = judged_after(a_stage(), [counted(5, 10), counted(20, 0)])
    assert judged.message.endswith("590 requests are missing: no requests are coming in at present.")


def test_more_bad_requests_than_allowed_but_too_few_for_a_breach_are_undecided() -> None:
    ticks = [counted(5 * tick, 10, 1 if tick % 15 == 0 else 0) for tick in range(1, 76)]
    judged = judged_after(a_stage(), ticks)
    assert (judged.verdict, judged.cause, judged.value) == (Verdict.UNKNOWN, Cause.UNDECIDED, "0.667%")
    assert judged.message.startswith("0.667% of 750 requests failed (5); at most 0.5% may. That is too many to pass,")
    assert judged.message.endswith("of the 100 of a breach.")


@pytest.mark.parametrize("cause", [Cause.NO_SERIES, Cause.STALE, Cause.NAN, Cause.AMBIGUOUS])
def test_an_answer_without_data_gives_its_own_cause(cause: Cause) -> None:
    judged = judged_after(a_stage(), [*clean(60), no_data(305, cause, "two series match.")])
    assert (judged.verdict, judged.cause, judged.requests) == (Verdict.UNKNOWN, cause, 600)
    assert judged.message == "There has been no usable reading of error_rate for 5s: two series match."


@pytest.mark.parametrize("cause", [Cause.PROVIDER_DOWN, Cause.QUERY_INVALID])
def test_a_source_that_could_not_be_asked_gives_its_own_cause(cause: Cause) -> None:
    judged = judged_after(a_stage(), [could_not_ask(5, cause, "no answer in 5s")])
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, cause)
    assert judged.message == "There has been no usable reading of error_rate since the stage began: no answer in 5s."


def test_a_provider_outage_of_any_length_is_overcome_by_the_next_reading() -> None:
    outage = [could_not_ask(300 + 5 * tick) for tick in range(1, 1000)]
    assert judged_after(a_stage(), [*clean(60), *outage]).cause is Cause.PROVIDER_DOWN
    assert judged_after(a_stage(), [*clean(60), *outage, counted(5305, 5000)]).verdict is Verdict.PASS


@pytest.mark.parametrize("requests", [float("nan"), float("inf"), -1.0])
def test_invalid_counts_are_no_data(requests: float) -> None:
    judged = judged_after(a_stage(), [*clean(60), counted(305, requests)])
    assert (judged.verdict, judged.cause, judged.requests) == (Verdict.UNKNOWN, Cause.NAN, 600)


def test_counts_for_a_query_that_yields_a_value_and_the_reverse_are_an_invalid_query() -> None:
    assert judged_after(a_stage("drift_score > 0.3"), [counted(5, 10)]).cause is Cause.QUERY_INVALID
    assert judged_after(a_stage(), [measured(5, 0.1)]).cause is Cause.QUERY_INVALID


def test_progress_with_counts_of_a_named_query_is_never_assessed_as_a_proportion() -> None:
    stage = a_stage("drift_score > 0.3")
    assessment = assess(replace(begun(stage), latest=counted(5, 10)), stage, at(5))
    assert (assessment.verdict, assessment.cause) == (Verdict.UNKNOWN, Cause.QUERY_INVALID)


def test_more_bad_requests_than_requests_count_as_requests() -> None:
    judged = judged_after(a_stage(), [counted(5, 1, 2)])
    assert judged.requests == 2


# ---- breaching --------------------------------------------------------------------------------


def test_a_version_that_fails_outright_is_breached_within_five_requests() -> None:
    progress = begun(a_stage())
    for request in range(1, 6):
        progress = update(progress, counted(5 * request, 1, 1), None)
    assert progress.breached_at is not None
    assert progress.breached_at <= at(25)


def test_a_breach_is_described_in_one_sentence() -> None:
    judged = judged_after(a_stage(), [*clean(60), counted(305, 12, 10)])
    assert (judged.verdict, judged.cause, judged.value) == (Verdict.BREACH, None, "83.3%")
    assert (judged.requests, judged.at) == (12, at(305))
    assert judged.message == (
        "83.3% of the 12 requests from 14:05:00Z to 14:05:05Z failed (10); at most 0.5% may"
        " (evidence over 1,000,000, 100 are a breach)."
    )


def test_two_bad_requests_are_never_a_breach() -> None:
    two = judged_after(a_stage("error_rate > 0.001%"), [counted(5, 2, 2)])
    three = judged_after(a_stage("error_rate > 0.001%"), [counted(5, 2, 2), counted(10, 1, 1)])
    assert (two.verdict, three.verdict) == (Verdict.UNKNOWN, Verdict.BREACH)


def test_a_breach_stays_a_breach_whatever_comes_later() -> None:
    breached = after(begun(a_stage()), [counted(5, 10, 10)])
    first = assess(breached, a_stage(), at(5))
    later: list[Answer] = [*clean(1000, first=2), no_data(5100), could_not_ask(5105)]
    last = assess(after(breached, later), a_stage(), at(9000))
    assert (last.verdict, last.message, last.value, last.at) == (first.verdict, first.message, first.value, first.at)


def test_a_regression_after_an_hour_of_good_requests_is_breached_within_a_minute() -> None:
    regressed = [counted(3600 + 5 * tick, 3, 3) for tick in range(1, 13)]
    progress = after(begun(a_stage()), [*clean(720, requests=3), *regressed])
    assert progress.breached_at is not None
    assert progress.breached_at <= at(3615)


def test_a_late_regression_that_hides_in_the_average_of_the_stage_does_not_pass() -> None:
    regressed = [counted(5000 + 5 * tick, 10, 1 if tick % 5 == 0 else 0) for tick in range(1, 41)]
    judged = judged_after(a_stage(), [*clean(1000), *regressed])
    assert (judged.verdict, judged.cause, judged.value) == (Verdict.UNKNOWN, Cause.UNDECIDED, "0.0769%")
    assert judged.message.endswith(
        "But 2.22% of the 360 requests since 15:23:40Z failed (8):"
        " that looks like a regression, and nothing passes before it is decided."
    )
    assert judged_after(a_stage(), [*clean(1000), *regressed, *clean(500, first=1041)]).verdict is Verdict.PASS


def test_conditions_of_a_run_share_its_chance_of_a_false_abort() -> None:
    assert begun(a_stage()).rules.needed == pytest.approx(100)
    assert begun(a_stage(), conditions_in_run=4).rules.needed == pytest.approx(400)


def test_the_same_bad_requests_weigh_less_where_errors_come_in_bursts() -> None:
    single = after(begun(a_stage(burst=1)), [counted(5, 10, 3)])
    bursty = after(begun(a_stage(burst=10)), [counted(5, 10, 3)])
    assert (single.breached_at, bursty.breached_at) == (at(5), None)


def test_a_stable_version_over_the_same_limit_does_not_stop_the_abort_but_is_named() -> None:
    progress = update(begun(a_stage()), counted(5, 10, 10), counted(5, 200, 100))
    judged = assess(progress, a_stage(), at(5))
    assert (judged.verdict, judged.stable_too) == (Verdict.BREACH, True)
    assert judged.message.endswith("The stable version is over this limit too.")


def test_a_stable_version_within_the_limit_is_not_named() -> None:
    progress = update(begun(a_stage()), counted(5, 10, 10), counted(5, 2000, 8))
    judged = assess(progress, a_stage(), at(5))
    assert (judged.stable_too, "stable" in judged.message) == (False, False)


# ---- latency: certain, likely, possible -------------------------------------------------------


def test_a_slow_version_shows_its_latency() -> None:
    judged = judged_after(a_stage(SLOW), [counted(5, 20, 19, display=0.412)])
    assert (judged.verdict, judged.value) == (Verdict.BREACH, "412ms")
    assert judged.message.startswith(
        "95% of the 20 requests from the stage's beginning to 14:00:05Z took longer than 200ms (19)"
    )


def test_a_latency_without_a_display_value_shows_the_share_that_was_too_slow() -> None:
    assert judged_after(a_stage(SLOW), [counted(5, 100, 37)]).value == "37% over 200ms"
    assert judged_after(a_stage(SLOW), [counted(5, 100, 3)]).value == "3% over 200ms"


def test_a_display_value_within_the_limit_never_stands_for_a_breach() -> None:
    assert judged_after(a_stage(SLOW), [counted(5, 100, 37, display=0.15)]).value == "37% over 200ms"


def test_only_certainly_slow_requests_are_a_breach() -> None:
    ticks = [counted(5 * k, 100, 3, likely=60, possible=100, coarse=BETWEEN_BOUNDS, display=0.3) for k in range(1, 100)]
    judged = judged_after(a_stage(SLOW), ticks)
    assert (judged.verdict, judged.cause, judged.coarse) == (Verdict.UNKNOWN, Cause.UNDECIDED, BETWEEN_BOUNDS)
    assert "took longer than 200ms (estimated between the bucket bounds 100ms and 250ms)" in judged.message


def test_a_coarse_breach_names_the_bound_that_was_exceeded() -> None:
    judged = judged_after(a_stage(SLOW), [counted(5, 100, 50, coarse=BETWEEN_BOUNDS)])
    assert judged.verdict is Verdict.BREACH
    assert "took longer than 250ms, the next bucket bound above the limit (50)" in judged.message


def test_likely_slow_requests_decide_the_plain_pass() -> None:
    within = [counted(5, 1000, 0, likely=40, possible=900, coarse=BETWEEN_BOUNDS)]
    assert judged_after(a_stage(SLOW), within).verdict is Verdict.PASS


def test_possibly_slow_requests_decide_the_certificate() -> None:
    stage = a_stage(SLOW, promotion=Promotion.CERTIFIED)
    unsure = judged_after(stage, [counted(5, 1000, 0, likely=10, possible=900, coarse=BETWEEN_BOUNDS)])
    assert (unsure.verdict, unsure.cause) == (Verdict.UNKNOWN, Cause.UNDECIDED)
    assert "At this rate it is never certified" in unsure.message
    assert judged_after(stage, [counted(5, 1000, 0, likely=10, possible=10)]).verdict is Verdict.PASS


def test_a_certificate_says_how_many_requests_it_lacks() -> None:
    stage = a_stage(promotion=Promotion.CERTIFIED)
    short = judged_after(stage, clean(73))
    assert (short.verdict, short.cause) == (Verdict.UNKNOWN, Cause.TOO_FEW_REQUESTS)
    assert "Evidence 19.6 of the 20 of a certificate. About 6 requests are missing: at the present" in short.message
    assert judged_after(stage, clean(74)).verdict is Verdict.PASS


# ---- ticks ------------------------------------------------------------------------------------


def test_answers_that_are_not_newer_than_the_last_are_ignored() -> None:
    progress = after(begun(a_stage()), clean(10))
    for old in (counted(50, 100, 100), counted(45, 100, 100), no_data(50), could_not_ask(10)):
        assert update(progress, old, counted(50, 1000, 500)) is progress


def test_an_interval_adds_ticks_up_and_judges_them_as_one() -> None:
    ticks = [counted(0, 1), counted(5, 4, 1), counted(10, 4, 0), counted(15, 4, 1)]
    summed = after(begun(a_stage(), metrics=metrics_of(interval="15s")), ticks)
    once = after(begun(a_stage(), metrics=metrics_of(interval="15s")), [counted(0, 1), counted(15, 12, 2)])
    assert summed.evidence == once.evidence
    assert summed.evidence.outright.ticks == 2
    assert (summed.requests, summed.likely) == (13, 2)


def test_an_interval_only_delays_a_breach() -> None:
    failing = [counted(0, 1), counted(5, 10, 10), counted(10, 10, 10), counted(15, 10, 10)]
    assert after(begun(a_stage(), metrics=metrics_of(interval="15s")), failing[:3]).breached_at is None
    assert after(begun(a_stage(), metrics=metrics_of(interval="15s")), failing).breached_at == at(15)


histories = st.lists(
    st.tuples(
        st.integers(1, 40),
        st.one_of(
            st.integers(0, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
            st.sampled_from(["no data", "could not ask"]),
        ),
        st.integers(0, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n // 10))),
    ),
    max_size=40,
)


def answers_of(history: list[tuple[int, tuple[int, int] | str, tuple[int, int]]]) -> list[tuple[Answer, Answer]]:
    seconds, ticks = 0, list[tuple[Answer, Answer]]()
    for gap, candidate, stable in history:
        seconds += gap
        match candidate:
            case (int(requests), int(bad)):
                answer: Answer = counted(seconds, requests, bad)
            case "no data":
                answer = no_data(seconds)
            case _:
                answer = could_not_ask(seconds)
        ticks.append((answer, counted(seconds, *stable)))
    return ticks


@given(history=histories, split=st.integers(0, 40), interval=st.sampled_from([None, "12s"]))
@settings(max_examples=examples(50))
def test_after_a_restart_replayed_and_live_ticks_give_the_same_progress_to_the_bit(
    history: list[tuple[int, tuple[int, int] | str, tuple[int, int]]], split: int, interval: str | None
) -> None:
    ticks = answers_of(history)
    undisturbed = restarted = begun(a_stage(burst=None), metrics=metrics_of(interval=interval))
    for candidate, stable in ticks:
        undisturbed = update(undisturbed, candidate, stable)
    for candidate, stable in [*ticks[:split], *ticks]:
        restarted = update(restarted, candidate, stable)
    assert restarted == undisturbed


def test_requests_of_the_stable_version_are_counted_even_while_the_candidate_cannot_be_read() -> None:
    progress = update(begun(a_stage()), no_data(5), counted(5, 190))
    progress = update(progress, counted(10, 10), counted(10, 190))
    assert (progress.requests, progress.stable_requests, progress.last_counted_at) == (10, 380, at(10))


@pytest.mark.parametrize(("conditions", "scrape"), [(0, SCRAPE), (1, timedelta(0))])
def test_a_run_without_conditions_and_a_source_that_never_scrapes_are_refused(
    conditions: int, scrape: timedelta
) -> None:
    with pytest.raises(ValueError, match="conditions_in_run"):
        begin(
            parse_abort_condition(ERRORS), a_stage(), MetricsRef(), conditions_in_run=conditions, scrape_interval=scrape
        )
