"""Values relative to their limits, and recorded plans."""

import pytest

from serinus.engine.report.measures import UnreadablePlanError, gauge, read_plan
from support.audit.specs import measured


@pytest.mark.parametrize(
    ("condition", "value", "ratio", "limit"),
    [
        ("latency_p95 > 200ms", "412ms", 2.06, "200ms"),
        ("latency_p95 > 200ms", "1.24s", 6.2, "200ms"),
        ("latency_p95 > 1s", "500ms", 0.5, "1s"),
        ("latency_p95 > 200ms", "37% over 200ms", 7.4, "5% over 200ms"),
        ("latency_p999 > 200ms", "0.05% over 200ms", 0.5, "0.1% over 200ms"),
        ("error_rate > 0.5%", "3.4%", 6.8, "0.5%"),
        ("client_error_rate > 0.02", "1%", 0.5, "0.02"),
        ("drift_score > 0.3", "0.41", 1.3667, "0.3"),
        ("queue_length > 100", "1,843", 18.43, "100"),
    ],
)
def test_a_value_is_a_multiple_of_its_limit_in_the_limits_own_terms(
    condition: str, value: str, ratio: float, limit: str
) -> None:
    found = gauge(measured(condition, value))
    assert found is not None
    assert found.ratio == pytest.approx(ratio, abs=1e-3)
    assert found.limit == limit
    assert not found.low_is_bad


def test_where_low_is_bad_the_gauge_says_so() -> None:
    found = gauge(measured("agreement < 0.9", "0.81"))
    assert found is not None
    assert found.low_is_bad
    assert found.ratio == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("latency_p95 > 200ms", ""),
        ("latency_p95 > 200ms", "infinite"),
        ("latency_p95 > 200ms", "12%"),
        ("error_rate > 0.5%", "412ms"),
        ("drift_score > 0", "0.4"),
        ("nonsense", "12%"),
        ("error_rate > 0.5%", "1" * 60),
        ("error_rate > stable + 0.5%", "2%"),
        ("latency_p95 > 1.2x stable", "40% over 1.2x stable"),
    ],
)
def test_what_cannot_be_compared_has_no_gauge(condition: str, value: str) -> None:
    assert gauge(measured(condition, value)) is None


def test_a_plan_is_read_with_all_its_fields() -> None:
    (stage,) = read_plan(
        '[{"name":"production","traffic":"100%","bake":"30m","approval":"Required","abortOn":["error_rate > 1%"],'
        '"judgement":"Observed","tests":[{"name":"contract"}]}]'
    )
    assert (stage.name, stage.traffic, stage.lasts, stage.approval) == ("production", "100%", "bake 30m", "Required")
    assert stage.abort_on == ("error_rate > 1%",)
    assert stage.more == (("judgement", "Observed"), ("tests", '[{"name":"contract"}]'))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[{", "truncated"),
        ("{}", "Expected `array`"),
        ("[1]", "Expected `object`"),
        ('[{"name": 1}]', "stage 0 has no name"),
        ('[{"name":"a"},{"name":"b","abortOn":"x"}]', "stage 1: abortOn is not a list"),
        ("\ud800", "JSON"),
    ],
)
def test_a_plan_of_another_form_is_refused_with_the_place(text: str, problem: str) -> None:
    with pytest.raises(UnreadablePlanError, match=problem):
        read_plan(text)
