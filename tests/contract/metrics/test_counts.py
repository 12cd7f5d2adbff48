"""Counts from a real Prometheus: every request exactly once, across resets, restarts and outages."""

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, Counted, NoData, Question
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question


async def ask(metrics: PrometheusSource, asked: Question, *, at: float = 305, since: float = 295) -> Answer:
    return (await metrics.ask([asked], after(at), after(since)))[asked]


async def batch(metrics: PrometheusSource, asked: Question, *, at: float = 305, since: float = 295) -> Batch:
    answer = await ask(metrics, asked, at=at, since=since)
    assert isinstance(answer, Counted), answer
    return answer.batch


async def no_data(metrics: PrometheusSource, asked: Question) -> NoData:
    answer = await ask(metrics, asked)
    assert isinstance(answer, NoData), answer
    return answer


async def test_requests_and_failures_between_two_ticks_are_counted_exactly(metrics: PrometheusSource) -> None:
    assert await batch(metrics, question(backend="steady")) == Batch(97, 5, 5, 5)


async def test_the_client_error_rate_counts_responses_4xx_only(metrics: PrometheusSource) -> None:
    assert await batch(metrics, question("client_error_rate > 1%", backend="steady")) == Batch(97, 2, 2, 2)


async def test_display_figures_are_rates_over_the_last_minute(metrics: PrometheusSource) -> None:
    asked = question(backend="slow"), question("latency_p50 > 250ms", backend="slow")
    await metrics.ask(asked, after(295), after(285))  # reads the bounds
    answers = await metrics.ask(asked, after(305), after(295))
    shown = [answer.display for answer in answers.values() if isinstance(answer, Counted)]
    assert shown == [pytest.approx(2 / 12), pytest.approx(0.1375)]


async def test_the_counters_of_all_envoys_are_added_up(metrics: PrometheusSource) -> None:
    assert await batch(metrics, question(backend="two-envoys")) == Batch(90, 10, 10, 10)


async def test_backends_in_one_query_are_answered_separately(metrics: PrometheusSource) -> None:
    steady, neighbour = question(backend="steady"), question(backend="neighbour", version="1.0.0")
    answers = await metrics.ask([steady, neighbour], after(305), after(295))
    assert [answer.batch.requests for answer in answers.values() if isinstance(answer, Counted)] == [97, 1000]


async def test_a_counter_that_appears_late_counts_from_zero(metrics: PrometheusSource) -> None:
    assert await batch(metrics, question(backend="late-errors")) == Batch(17, 7, 7, 7)


async def test_a_counter_that_was_reset_counts_from_zero(metrics: PrometheusSource) -> None:
    await ask(metrics, question(backend="restarted"), at=295, since=285)
    assert (await batch(metrics, question(backend="restarted"))).requests == 40


async def test_a_counter_that_was_not_scraped_for_a_while_is_not_counted_anew(metrics: PrometheusSource) -> None:
    assert (await batch(metrics, question(backend="scraped-again"), at=465, since=455)).requests == 360


async def test_after_an_outage_of_prometheus_no_counter_counts_from_zero_again(
    metrics: PrometheusSource,
) -> None:
    asked = question(backend="after-the-outage")
    await ask(metrics, asked, at=605, since=595)
    assert isinstance(await ask(metrics, asked, at=2000, since=1990), NoData)
    assert await batch(metrics, asked, at=2405, since=2395) == Batch(2700, 900, 900, 900)
    assert await batch(metrics, asked, at=2415, since=2405) == Batch(15, 5, 5, 5)


async def test_ticks_join_without_gap_or_overlap_over_pods_that_come_restart_and_go(metrics: PrometheusSource) -> None:
    asked = question(backend="busy")
    ticks = [(at, at + 3) for at in range(202, 499, 3)]
    batches = [await batch(metrics, asked, at=at, since=since) for since, at in ticks]
    # a: 150 to 250, new at 12, then to 490; b: new at 20, then to 490, errors new at 4; c: 800 to 1600 and 60 to 120.
    good = (3 * 50 + 12 + 3 * 230) + (2 * 290) + (4 * 200)
    bad = (4 + 160) + 60
    assert sum(tick.requests for tick in batches) == pytest.approx(good + bad)
    assert sum(tick.certain for tick in batches) == pytest.approx(bad)


async def test_a_backend_without_new_requests_is_counted_as_zero(metrics: PrometheusSource) -> None:
    assert await batch(metrics, question(backend="idle")) == Batch(0, 0, 0, 0)


@pytest.mark.parametrize("condition", ["error_rate > 1%", "latency_p95 > 200ms"])
async def test_a_backend_that_was_never_called_has_had_no_requests(metrics: PrometheusSource, condition: str) -> None:
    assert await batch(metrics, question(condition, backend="never-called")) == Batch(0, 0, 0, 0)


@pytest.mark.parametrize("condition", ["error_rate > 1%", "latency_p95 > 200ms"])
async def test_a_backend_that_nobody_scrapes_is_no_series(metrics: PrometheusSource, condition: str) -> None:
    answer = await no_data(metrics, question(condition, backend="unheard-of"))
    assert answer.cause is Cause.NO_SERIES
    assert "unheard-of" in answer.message


async def test_figures_older_than_three_scrapes_are_stale(metrics: PrometheusSource) -> None:
    asked = question(backend="gone-quiet")
    fresh = await ask(metrics, asked, at=230, since=220)
    assert isinstance(fresh, Counted)
    answer = await ask(metrics, asked, at=232, since=230)
    assert isinstance(answer, NoData)
    assert answer.cause is Cause.STALE
    assert "31s old" in answer.message


async def test_samples_that_are_further_apart_than_the_source_says_are_explained(metrics: PrometheusSource) -> None:
    asked = question(backend="seldom-scraped")
    answers = [await ask(metrics, asked, at=at, since=at - 5) for at in range(185, 365, 5)]
    counted = [answer for answer in answers if isinstance(answer, Counted)]
    assert sum(answer.batch.requests for answer in counted) == 180
    unknown = [answer for answer in answers if isinstance(answer, NoData)]
    assert {answer.cause for answer in unknown if answer.at > after(245)} == {Cause.SCRAPE_INTERVAL_WRONG}
    assert "60s apart, but the source's scrapeInterval is 10s" in unknown[-1].message


async def test_a_counter_of_nan_gives_no_count(metrics: PrometheusSource) -> None:
    assert (await no_data(metrics, question(backend="broken"))).cause is Cause.NAN


async def test_two_versions_with_one_backend_cannot_be_told_apart(metrics: PrometheusSource) -> None:
    both = [question(backend="steady", version="1.0.0"), question(backend="steady", version="2.0.0")]
    answers = await metrics.ask(both, after(305), after(295))
    assert {answer.cause for answer in answers.values() if isinstance(answer, NoData)} == {Cause.AMBIGUOUS}
    assert len(answers) == 2


async def test_a_limit_that_is_a_bound_is_counted_exactly(metrics: PrometheusSource) -> None:
    answer = await ask(metrics, question("latency_p95 > 250ms", backend="slow"))
    assert isinstance(answer, Counted)
    assert answer.batch == Batch(100, 20, 20, 20)
    assert answer.coarse is None


async def test_a_limit_between_two_bounds_is_bracketed(metrics: PrometheusSource) -> None:
    answer = await ask(metrics, question("latency_p95 > 200ms", backend="slow"))
    assert isinstance(answer, Counted)
    assert answer.batch == Batch(100, 20, answer.batch.likely, 60)
    assert answer.batch.likely == pytest.approx(60 - 40 * 2 / 3)
    assert answer.coarse == Coarse(0.1, 0.25)


async def test_a_limit_below_the_first_bound_is_bracketed_by_zero(metrics: PrometheusSource) -> None:
    answer = await ask(metrics, question("latency_p95 > 50ms", backend="slow"))
    assert isinstance(answer, Counted)
    assert answer.batch == Batch(100, 60, 80, 100)
    assert answer.coarse == Coarse(0.0, 0.1)


async def test_above_the_last_bound_nothing_is_certain_and_nothing_passes_by_guess(metrics: PrometheusSource) -> None:
    answer = await ask(metrics, question("latency_p95 > 2s", backend="slow"))
    assert isinstance(answer, Counted)
    assert answer.batch == Batch(100, 0, 10, 10)
    assert answer.coarse == Coarse(0.5, float("inf"))


async def test_a_bound_is_found_in_either_of_its_two_spellings(metrics: PrometheusSource) -> None:
    asked = question("latency_p95 > 200ms", backend="both-forms")
    answer = await ask(metrics, asked)
    assert isinstance(answer, NoData | Counted)
    assert isinstance(answer, Counted), answer.message
    assert answer.batch == Batch(40, 10, 10, 10)


async def test_a_bound_that_only_some_instances_have_is_not_used(metrics: PrometheusSource) -> None:
    answer = await ask(metrics, question("latency_p95 > 250ms", backend="uneven"))
    assert isinstance(answer, Counted)
    assert answer.batch == Batch(60, 0, 40, 40)
    assert answer.coarse == Coarse(0.1, float("inf"))


async def test_an_instance_that_lacks_a_cached_bound_makes_the_answer_ambiguous(
    metrics: PrometheusSource,
) -> None:
    await ask(metrics, question("latency_p95 > 250ms", backend="slow"))
    answer = await no_data(metrics, question("latency_p95 > 250ms", backend="uneven"))
    assert answer.cause is Cause.AMBIGUOUS
    assert "histogram_bucket_settings" in answer.message


async def test_requests_without_any_response_time_are_no_series(metrics: PrometheusSource) -> None:
    asked = question(backend="unmeasured"), question("latency_p95 > 250ms", backend="unmeasured")
    answers = await metrics.ask(asked, after(305), after(295))
    assert isinstance(answers[asked[0]], Counted)
    slow = answers[asked[1]]
    assert isinstance(slow, NoData)
    assert slow.cause is Cause.NO_SERIES
    assert "envoy_cluster_upstream_rq_time_bucket" in slow.message
