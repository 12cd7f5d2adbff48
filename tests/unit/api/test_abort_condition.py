import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.abort_condition import (
    PATTERN,
    AbortCondition,
    AbortRate,
    ClientErrorRate,
    ErrorRate,
    Latency,
    Metric,
    NamedQuery,
    Operator,
    PreemptionRate,
    Timing,
    TokensPerSecond,
    Unit,
    is_standard,
    parse_abort_condition,
)
from serinus.errors import InvalidObjectError
from support.builders import a_spec
from support.manifests.conditions import lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "latency_p95 > 200ms",
            AbortCondition(
                "latency_p95 > 200ms", "latency_p95", Latency(0.95), Operator.GREATER, 0.2, Unit.MILLISECONDS
            ),
        ),
        (
            "latency_p999>=1.5s",
            AbortCondition(
                "latency_p999 >= 1.5s", "latency_p999", Latency(0.999), Operator.AT_LEAST, 1.5, Unit.SECONDS
            ),
        ),
        (
            "error_rate > 0.5%",
            AbortCondition("error_rate > 0.5%", "error_rate", ErrorRate(), Operator.GREATER, 0.005, Unit.PERCENT),
        ),
        (
            "  client_error_rate   >=  0.01  ",
            AbortCondition(
                "client_error_rate >= 0.01", "client_error_rate", ClientErrorRate(), Operator.AT_LEAST, 0.01, Unit.NONE
            ),
        ),
        (
            "error_rate>stable+0.5 %",
            AbortCondition(
                "error_rate > stable + 0.5%",
                "error_rate",
                ErrorRate(),
                Operator.GREATER,
                0.005,
                Unit.PERCENT,
                compared=True,
            ),
        ),
        (
            "latency_p95 > 1.2 x stable",
            AbortCondition(
                "latency_p95 > 1.2x stable",
                "latency_p95",
                Latency(0.95),
                Operator.GREATER,
                1.2,
                Unit.TIMES,
                compared=True,
            ),
        ),
        (
            "drift_score > 0.3",
            AbortCondition(
                "drift_score > 0.3", "drift_score", NamedQuery("drift_score"), Operator.GREATER, 0.3, Unit.NONE
            ),
        ),
        (
            "agreement < 95%",
            AbortCondition("agreement < 95%", "agreement", NamedQuery("agreement"), Operator.LESS, 0.95, Unit.PERCENT),
        ),
    ],
)
def test_a_line_is_parsed(line: str, expected: AbortCondition) -> None:
    assert parse_abort_condition(line) == expected


@pytest.mark.parametrize(
    ("line", "tolerated"),
    [
        ("latency_p95 > 200ms", 0.05),
        ("latency_p90 > 1.5x stable", 0.1),
        ("error_rate > stable + 0.5%", 0.005),
        ("latency_p50 > 1s", 0.5),
        ("latency_p999 > 1s", 0.001),
        ("ttft_p95 > 800ms", 0.05),
        ("abort_rate > 2%", 0.02),
        ("preemption_rate > stable + 1%", 0.01),
        ("error_rate > 0.5%", 0.005),
        ("error_rate > 0.005", 0.005),
        ("client_error_rate >= 20%", 0.2),
    ],
)
def test_a_standard_metric_tolerates_a_proportion_of_requests(line: str, tolerated: float) -> None:
    assert parse_abort_condition(line).tolerated == pytest.approx(tolerated)


@pytest.mark.parametrize("line", ["drift_score > 0.3", "tokens_per_second < 20"])
def test_a_value_tolerates_no_proportion(line: str) -> None:
    assert parse_abort_condition(line).tolerated is None


@pytest.mark.parametrize(
    ("line", "metric"),
    [
        ("ttft_p95 > 800ms", Latency(0.95, Timing.FIRST_TOKEN)),
        ("tpot_p990 > 60ms", Latency(0.99, Timing.OUTPUT_TOKEN)),
        ("e2e_latency_p50 > 2x stable", Latency(0.5, Timing.END_TO_END)),
        ("queue_time_p95 > 1s", Latency(0.95, Timing.QUEUE)),
        ("preemption_rate > 1%", PreemptionRate()),
        ("abort_rate > 1%", AbortRate()),
        ("tokens_per_second <= 20.5", TokensPerSecond()),
    ],
)
def test_a_metric_of_language_models_is_a_standard_one(line: str, metric: Metric) -> None:
    condition = parse_abort_condition(line)
    assert condition.metric == metric
    assert is_standard(condition.name)


def test_the_threshold_is_shown_as_written() -> None:
    assert parse_abort_condition("latency_p95>0.200s").threshold_text == "> 0.200s"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "invalid condition"),
        ("error_rate", "invalid condition"),
        ("error_rate > ", "invalid condition"),
        ("error_rate > -1%", "invalid condition"),
        ("error_rate > 1e3", "invalid condition"),
        ("error_rate > .5%", "invalid condition"),
        ("error_rate = 1%", "invalid condition"),
        ("Error_rate > 1%", "invalid condition"),
        ("1rate > 1%", "invalid condition"),
        ("error_rate > 1% or drift > 2", "invalid condition"),
        ("error_rate > 1% # comment", "invalid condition"),
        ("error_rate > 5ms", "percentage or a ratio"),
        ("error_rate > 0%", "percentage or a ratio"),
        ("error_rate > 100%", "percentage or a ratio"),
        ("error_rate > 5", "percentage or a ratio"),
        ("error_rate < 5%", "use > or >="),
        ("latency_p95 > 200", "in ms or s"),
        ("latency_p95 > 5%", "in ms or s"),
        ("latency_p95 > 0ms", "above 0"),
        ("latency_p95 <= 200ms", "use > or >="),
        ("error_rate < stable + 1%", "use > or >="),
        ("error_rate > 5x", "invalid condition"),
        ("latency_p95 > 5% stable", "a factor of 1 or more"),
        ("latency_p95 > stable + 5ms", "a factor of 1 or more"),
        ("latency_p95 > 0.9x stable", "a factor of 1 or more"),
        ("error_rate > 1.2x stable", "compare with a margin"),
        ("error_rate > stable + 5ms", "percentage or a ratio"),
        ("drift > stable + 1", "only latencies and rates of requests"),
        ("ttft_p95 < 1s", "use > or >="),
        ("tpot_p40 > 60ms", "tpot_p50 to tpot_p9999"),
        ("queue_time_p95 > 5%", "in ms or s"),
        ("preemption_rate > 200%", "percentage or a ratio"),
        ("tokens_per_second > 20", "use < or <="),
        ("tokens_per_second < 20%", "a number above 0"),
        ("tokens_per_second < 0", "a number above 0"),
        ("tokens_per_second < 2x stable", "only latencies and rates of requests"),
        ("latency_p40 > 200ms", "latency_p50"),
        ("latency_p100 > 200ms", "latency_p50"),
    ],
)
def test_an_invalid_line_is_refused_with_the_remedy(line: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_abort_condition(line)


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        (Operator.GREATER, False, False, True),
        (Operator.AT_LEAST, False, True, True),
        (Operator.LESS, True, False, False),
        (Operator.AT_MOST, True, True, False),
    ],
)
def test_an_operator_compares_exactly(operator: Operator, *, below: bool, at: bool, above: bool) -> None:
    assert [operator.holds(value, 0.3) for value in (0.29, 0.3, 0.31)] == [below, at, above]


names = st.from_regex(r"[a-z][a-z0-9_]{0,62}", fullmatch=True)
numbers = st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,9})?", fullmatch=True)
blanks = st.sampled_from(["", " ", "   ", "\t"])


@given(
    name=names,
    operator=st.sampled_from(Operator),
    number=numbers,
    unit=st.sampled_from([unit for unit in Unit if unit is not Unit.TIMES]),
    gaps=st.tuples(blanks, blanks, blanks, blanks, blanks),
)
def test_every_line_that_the_api_server_accepts_is_parsed_or_refused_with_a_sentence(
    name: str, operator: Operator, number: str, unit: Unit, gaps: tuple[str, ...]
) -> None:
    line = f"{gaps[0]}{name}{gaps[1]}{operator.value}{gaps[2]}{number}{gaps[3]}{unit.value}{gaps[4]}"
    assert re.search(PATTERN, line)
    try:
        condition = parse_abort_condition(line)
    except ValueError as problem:
        assert name in str(problem)  # noqa: PT017 - both outcomes are right; each is checked
    else:
        assert condition.text == f"{name} {operator.value} {number}{unit.value}"
        assert parse_abort_condition(condition.text) == condition
        assert condition.tolerated is None or 0 < condition.tolerated < 1


@given(st.text(max_size=40))
def test_what_the_api_server_refuses_the_parser_refuses_too(line: str) -> None:
    if re.search(PATTERN, line) is None:
        with pytest.raises(ValueError, match="invalid condition"):
            parse_abort_condition(line)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("error_rate > .5%", "write 0.5%"),
        ("latency_p95>.2s ", "write 0.2s"),
        ("error_rate > 1", "such as 1%"),
        ("error_rate > 2.5", "such as 2.5%"),
        ("error_rate > 250", "such as 0.5% or 0.005"),
        ("p95_latency > 200ms", "p95_latency: did you mean latency_p95?"),
        ("p999-latency > 200ms", "did you mean latency_p999?"),
        ("latency_95 > 200ms", "did you mean latency_p95?"),
        ("latency_p99.9 > 200ms", "did you mean latency_p999?"),
        ("latency_avg > 200ms", "did you mean latency_p95?"),
        ("request-duration > 500", "did you mean latency_p95?"),
        ("success_rate < 99.5%", "did you mean error_rate?"),
        ("request-success-rate < 99", "did you mean error_rate?"),
        ("error-rate > 1%", "error-rate: did you mean error_rate?"),
        ("client-error-rate > 1%", "did you mean client_error_rate?"),
        ("ttft > 1s", "did you mean ttft_p95?"),
        ("time_to_first_token_p99 > 1s", "did you mean ttft_p99?"),
        ("p95_tpot > 60ms", "did you mean tpot_p95?"),
        ("itl_p95 > 60ms", "did you mean tpot_p95?"),
        ("e2e_latency > 5s", "did you mean e2e_latency_p95?"),
        ("tps < 20", "did you mean tokens_per_second?"),
        ("latency_p9 > 1s", "latency_p50 to latency_p9999"),
        ("latency_p99999 > 1s", "latency_p50 to latency_p9999"),
    ],
)
def test_a_refusal_says_what_to_write(line: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        parse_abort_condition(line)


@pytest.mark.parametrize(
    "line",
    ["latency_avg_drift > 5%", "my_success_rate < 3", "latency_budget > 1", "p95_of_scores > 1", "errors_seen > 3"],
)
def test_a_query_may_have_a_name_like_a_standard_metric(line: str) -> None:
    assert isinstance(parse_abort_condition(line).metric, NamedQuery)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("error_rate > 1%", "error_rate>0.010"),
        ("error_rate > stable + 1%", "error_rate>stable+0.010"),
        ("latency_p95 > 2x stable", "latency_p950 > 2.0 x stable"),
        ("error_rate > 0.7%", "error_rate > 0.007"),
        ("latency_p95 > 200ms", "latency_p950 > 0.2s"),
        ("drift > 5%", "drift > 0.05s"),
    ],
)
def test_two_spellings_have_one_meaning(one: str, other: str) -> None:
    first, second = parse_abort_condition(one), parse_abort_condition(other)
    assert first.meaning == second.meaning
    assert first.threshold == second.threshold


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("error_rate > 1%", "error_rate >= 1%"),
        ("error_rate > 1%", "client_error_rate > 1%"),
        ("error_rate > 1%", "error_rate > stable + 1%"),
        ("latency_p95 > 1.2s", "latency_p95 > 1.2x stable"),
        ("drift > 0.3", "drift < 0.3"),
        ("latency_p95 > 200ms", "latency_p99 > 200ms"),
        ("latency_p95 > 200ms", "ttft_p95 > 200ms"),
        ("backlog > 999999999999.999999999", "backlog > 999999999999.999999998"),
    ],
)
def test_two_conditions_have_two_meanings(one: str, other: str) -> None:
    assert parse_abort_condition(one).meaning != parse_abort_condition(other).meaning


@given(lines())
def test_no_stage_has_two_conditions_of_one_key(written: list[str]) -> None:
    try:
        spec = a_spec("2.0.0", {"name": "all", "traffic": "100%", "abortOn": written})
    except InvalidObjectError as problem:
        assert problem.path.startswith("spec.stages[0].abortOn")  # noqa: PT017 - both outcomes are right
    else:
        keys = [condition.text for condition in spec.conditions[0]]
        assert len(set(keys)) == len(keys)
