"""Presets, including two that differ from Envoy in every respect: a new data plane is one more entry."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from serinus.api.abort_condition import ClientErrorRate, ErrorRate, Latency, parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.api.preset_metrics import PRESET_NAMES, PRESETS_WITH, SEE_GRPC
from serinus.engine.analysis.measurements import Measured, Subject
from serinus.metrics.increments import BucketRows, RequestCounts, RequestRows
from serinus.metrics.presets import PRESETS, Histogram, IsolatingLabel, LabelMatcher, Preset
from serinus.metrics.queries import FAILURES, TAG, Reach, requests_query
from serinus.metrics.speed import SpeedTemplate

_FRAUD = BackendRef(name="fraud-2", port=80)

_TWO_LABELS = Preset(
    name="mesh",
    isolation=(
        IsolatingLabel("destination_service_namespace", lambda namespace, _: namespace),
        IsolatingLabel("destination_service_name", lambda _, backend: backend.name),
    ),
    requests="mesh_requests_total",
    server_errors=(LabelMatcher("code", re.compile("5..")), LabelMatcher("grpc", re.compile("2|13|14"))),
    client_errors=(LabelMatcher("code", re.compile("4..")),),
    presence="mesh_requests_total",
    transport_failures="mesh_connect_failures_total",
    histogram=Histogram("mesh_ms_bucket", per_second=1000, usual_bounds=(1, 5), advice="it cannot be changed"),
    fixed='reporter="source"',
)
_SURROUNDED = Preset(
    name="proxy",
    isolation=(
        IsolatingLabel("service", lambda namespace, backend: f"{namespace}-{backend.name}", ".*-svc-", "-[0-9]+@gw"),
    ),
    requests="proxy_requests_total",
    server_errors=(LabelMatcher("code", re.compile("5..")),),
    client_errors=(LabelMatcher("code", re.compile("4..")),),
    presence="proxy_requests_total",
    histogram=None,
)


def test_contours_name_of_a_backend_is_namespace_service_and_port() -> None:
    assert PRESETS["contour"].key("ml", _FRAUD) == ("ml_fraud-2_80",)


def test_two_labels_may_identify_a_backend() -> None:
    query = requests_query(_TWO_LABELS, frozenset({("ml", "fraud-2"), ("ml", "fraud.3")}), Reach(5000))
    assert (
        'destination_service_namespace="ml",destination_service_name=~"fraud-2|fraud\\\\.3",reporter="source"' in query
    )
    labels = {"destination_service_namespace": "ml", "destination_service_name": "fraud-2"}
    assert _TWO_LABELS.key_of(labels) == _TWO_LABELS.key("ml", _FRAUD)


def test_a_failure_is_counted_once_whichever_labels_report_it() -> None:
    labels = {"destination_service_namespace": "ml", "destination_service_name": "fraud-2"}
    rows = [
        (labels | {"code": "200", "grpc": "0"}, 90.0),
        (labels | {"code": "503", "grpc": "14"}, 3.0),
        (labels | {"code": "200", "grpc": "13"}, 2.0),
        (labels | {"code": "404", "grpc": "0"}, 4.0),
        (labels | {TAG: FAILURES}, 1.0),
    ]
    assert RequestRows(_TWO_LABELS).counts(rows) == {("ml", "fraud-2"): RequestCounts(100, 6, 4)}


def test_prefix_and_suffix_of_a_label_are_matched_and_stripped() -> None:
    query = requests_query(_SURROUNDED, frozenset({("ml-fraud-2",)}), Reach(5000))
    assert 'service=~".*-svc-(?:ml-fraud-2)-[0-9]+@gw"' in query
    assert _SURROUNDED.key_of({"service": "route-7-svc-ml-fraud-2-0@gw"}) == ("ml-fraud-2",)


def test_a_preset_without_response_times_has_no_latency() -> None:
    assert "no response times" in _SURROUNDED.problem_with(_FRAUD, Latency(0.95))
    assert _SURROUNDED.problem_with(_FRAUD, ErrorRate()) == ""


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_has_its_row_in_the_reference(name: str, pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/reference/metrics-presets.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page
    assert PRESETS[name].requests in page


def test_buckets_of_one_bound_are_added_up() -> None:
    name = {"envoy_cluster_name": "ml_fraud-2_80"}
    rows = [(name | {"le": "200"}, 3.0), (name | {"le": "200.0"}, 4.0)]
    assert BucketRows(PRESETS["contour"]).increments(rows).counts == {("ml_fraud-2_80",): {200.0: 7.0}}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_releases_and_the_histogram_of_every_preset_are_in_the_reference(
    name: str, pytestconfig: pytest.Config
) -> None:
    page = (pytestconfig.rootpath / "docs/reference/metrics-presets.md").read_text(encoding="utf-8")
    preset = PRESETS[name]
    assert preset.versions
    assert preset.histogram is not None
    assert preset.histogram.series in page
    assert all(label.name in page for label in preset.isolation)


@pytest.mark.parametrize(
    ("backend", "label"),
    [
        (
            ("ml", "a-svc-b"),
            "httproute-x-svc-y-gw-i-g-ep-web-0-0123456789abcdef0123-svc-ml-a-svc-b-0@kubernetesgateway",
        ),
        (("ml", "fraud-2"), "grpcroute-ml-r-gw-i-g-ep-web-12-0123456789abcdef0123-svc-ml-fraud-2-3@kubernetesgateway"),
    ],
)
def test_a_name_of_traefik_is_read_to_the_backend_that_it_names(backend: tuple[str, str], label: str) -> None:
    namespace, service = backend
    assert PRESETS["traefik"].key_of({"service": label}) == PRESETS["traefik"].key(
        namespace, BackendRef(name=service, port=80)
    )


def test_envoy_gateways_protocol_is_no_part_of_the_backend() -> None:
    preset = PRESETS["envoy-gateway"]
    for label in ("service/ml/fraud-2/80", "service/ml/fraud-2/80/http", "service/ml/fraud-2/80/http2"):
        assert preset.key_of({"envoy_cluster_name": label}) == preset.key("ml", _FRAUD)


def test_istio_finds_the_failures_of_a_service_without_pods() -> None:
    rows = [
        ({"destination_service": "fraud-2.ml.svc.cluster.local", "response_code": "200"}, 9.0),
        ({"destination_service": "fraud-2.ml.svc.cluster.local", "response_code": "503"}, 1.0),
        (
            {
                "destination_service": "fraud-2.ml.svc.cluster.local",
                "response_code": "200",
                "grpc_response_status": "5",
            },
            2,
        ),
    ]
    counts = RequestRows(PRESETS["istio"]).counts(rows)
    assert counts == {PRESETS["istio"].key("ml", _FRAUD): RequestCounts(12, 1, 2)}


def test_a_client_of_traefik_that_goes_away_made_no_mistake() -> None:
    label = {"service": "ml-fraud-2-http-80@kubernetesgateway"}
    rows = [(label | {"code": code}, 1.0) for code in ("404", "499", "500", "2", "14")]
    counts = RequestRows(PRESETS["traefik-3-2"]).counts(rows)
    assert counts == {PRESETS["traefik-3-2"].key("ml", _FRAUD): RequestCounts(5, 2, 1)}


@pytest.mark.parametrize("name", ["kserve", "triton"])
def test_what_a_server_does_not_tell_cannot_be_asked(name: str) -> None:
    assert "does not tell" in PRESETS[name].problem_with(_FRAUD, ClientErrorRate())
    assert bool(PRESETS[name].problem_with(_FRAUD, ErrorRate())) == (name == "kserve")


_OF_LANGUAGE_MODELS = {
    name: parse_abort_condition(
        f"{name} < 20"
        if name == "tokens_per_second"
        else f"{name} > 1%"
        if name.endswith("_rate")
        else f"{name}_p95 > 1s"
    ).metric
    for name in PRESETS_WITH
}


def test_the_api_server_knows_what_each_preset_has() -> None:
    assert set(PRESET_NAMES) == PRESETS.keys()
    found = {
        name: tuple(preset.name for preset in sorted(PRESETS.values(), key=lambda one: one.name) if preset.has(metric))
        for name, metric in _OF_LANGUAGE_MODELS.items()
    }
    assert found == dict(PRESETS_WITH)


def test_which_presets_see_how_a_grpc_call_ends() -> None:
    # Traefik's code is the status of the call; Triton counts requests, whatever they come by.
    known = {"istio", "traefik", "traefik-3-2", "triton"}
    assert set(SEE_GRPC) == {name for name, preset in PRESETS.items() if preset.grpc is not None} | known


@pytest.mark.parametrize("name", sorted(PRESETS_WITH))
def test_a_preset_without_a_metric_names_those_that_have_it(name: str) -> None:
    said = PRESETS["contour"].problem_with(_FRAUD, _OF_LANGUAGE_MODELS[name])
    assert said == f"preset contour has no {name}; presets that have it: {', '.join(PRESETS_WITH[name])}"
    assert PRESETS["vllm"].problem_with(_FRAUD, _OF_LANGUAGE_MODELS[name]) == ""


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_series_of_tokens_are_in_the_reference(name: str, pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/reference/metrics-presets.md").read_text(encoding="utf-8")
    preset = PRESETS[name]
    shares = [share for share in (preset.preempted, preset.aborted) if share is not None]
    speed = () if preset.speed is None else (preset.speed.tokens, preset.speed.seconds)
    series = [
        *(one.series.removesuffix("_bucket") for one in preset.timings.values()),
        *(share.beside or share.requests for share in shares),
        *speed,
    ]
    assert [one for one in series if f"`{one}" not in page] == []


def test_a_speed_says_from_when_on_it_is_about() -> None:
    vllm, at = PRESETS["vllm"], datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert vllm.speed is not None
    subject = Subject("ml", "chat", "2.0.0", BackendRef(name="chat-v2", port=80))
    rows = [({"namespace": "ml", "service": "chat-v2"}, 30.0)]
    found = SpeedTemplate(vllm, vllm.speed, 60).answer(subject, at, rows)
    assert isinstance(found, Measured)
    assert (found.value, found.begun) == (30.0, at - timedelta(seconds=60))
