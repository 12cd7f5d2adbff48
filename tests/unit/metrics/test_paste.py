"""The queries for people: each names the backend, its own time, and what the condition counts."""

from datetime import timedelta

import pytest

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.metrics.paste import stage_query
from serinus.metrics.presets import PRESETS
from support.builders import NOW, a_backend

BEGIN = NOW - timedelta(minutes=10)


def query(line: str, backend: BackendRef | None = None) -> str:
    condition = parse_abort_condition(line)
    return stage_query(PRESETS["contour"], condition, "ml", backend or a_backend("2.0.0"), (BEGIN, NOW))


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("error_rate > 0.5%", ['envoy_response_code_class=~"5"', "upstream_rq_xx"]),
        ("client_error_rate > stable + 2%", ['envoy_response_code_class=~"4"']),
        ("latency_p95 > 200ms", ["1 - sum(", 'le=~"200([.]0)?"', 'le="+Inf"']),
        ("latency_p99 > 0.25s", ['le=~"250([.]0)?"']),
        ("latency_p95 > 2.5ms", [r'le=~"2\\.5([.]0)?"']),
        ("latency_p95 > 1.2x stable", ["histogram_quantile(0.95, ", " / 1000"]),
        ("unanswered_rate > stable + 1%", ["upstream_rq_completed", "upstream_rq_retry"]),
    ],
)
def test_a_query_counts_what_the_condition_limits(line: str, parts: list[str]) -> None:
    text = query(line)
    for part in (*parts, 'envoy_cluster_name="ml_fraud-v2-0-0_80"', "[600s] @ 1795442400.000"):
        assert part in text


def test_a_named_query_is_the_administrators() -> None:
    assert query("drift_score > 0.3") == ""


def test_a_backend_that_the_data_plane_does_not_know_has_no_query() -> None:
    assert query("error_rate > 0.5%", BackendRef(name="fraud", kind="InferencePool")) == ""


def test_a_stage_that_has_just_begun_has_a_range_with_samples() -> None:
    condition = parse_abort_condition("error_rate > 0.5%")
    text = stage_query(PRESETS["contour"], condition, "ml", a_backend("2.0.0"), (NOW, NOW))
    assert "[60s]" in text


def test_a_failure_that_two_labels_report_is_in_the_query_once() -> None:
    condition = parse_abort_condition("error_rate > 0.5%")
    text = stage_query(PRESETS["istio"], condition, "ml", a_backend("2.0.0"), (BEGIN, NOW))
    assert 'response_code=~"5.."' in text
    assert 'grpc_response_status=~"2|4|8|10|12|13|14|15",response_code!~"5.."' in text


def test_failures_of_a_counter_of_their_own_are_in_the_query_above_and_below() -> None:
    condition = parse_abort_condition("error_rate > 0.5%")
    text = stage_query(PRESETS["triton"], condition, "ml", a_backend("2.0.0"), (BEGIN, NOW))
    above, below = text.split(" / ")
    assert "nv_inference_request_failure" in above
    assert "nv_inference_request_success" not in above
    assert "nv_inference_request_failure" in below
    assert "nv_inference_request_success" in below
