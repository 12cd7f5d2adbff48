"""What servers of language models tell of tokens, on a real Prometheus with series in the form of their source."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

import pytest

from serinus.api.preset_metrics import PRESETS_WITH
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, Counted, Measured, NoData, Question
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after, question, steadily
from support.prometheus.server import History, Prometheus

_BEGIN, _END, _TICK = 205, 355, 10
_SECONDS: Final = _END - _BEGIN
_RATE: Final = 4.0
"""Requests of each version a second; a quarter of the candidate's are bad ones, a tenth of the stable one's."""

_BAD: Final = {"fraud-2": 0.25, "fraud-1": 0.1}


@dataclass(frozen=True, slots=True)
class Timed:
    """A histogram: its series without the suffix, its labels, a bound as written, and the limit that this is."""

    series: str
    labels: dict[str, str]
    bound: str
    limit: str


_VLLM: Final = {"model_name": "chat", "engine": "0"}
_TRITON: Final = {"model": "chat", "version": "1"}
_SGLANG: Final = {"model_name": "chat", "engine_type": "unified"}
_STREAM: Final = _SGLANG | {"is_streaming": "true"}
TIMED: Final = {
    ("vllm", "ttft"): Timed("vllm:time_to_first_token_seconds", _VLLM, "0.75", "750ms"),
    ("vllm", "tpot"): Timed("vllm:request_time_per_output_token_seconds", _VLLM, "0.05", "50ms"),
    ("vllm", "e2e_latency"): Timed("vllm:e2e_request_latency_seconds", _VLLM, "5.0", "5s"),
    ("vllm", "queue_time"): Timed("vllm:request_queue_time_seconds", _VLLM, "0.3", "300ms"),
    ("sglang", "ttft"): Timed("sglang:time_to_first_token_seconds", _STREAM, "0.8", "800ms"),
    ("sglang", "e2e_latency"): Timed("sglang:e2e_request_latency_seconds", _STREAM, "4.0", "4s"),
    ("sglang", "queue_time"): Timed("sglang:queue_time_seconds", _SGLANG | {"tp_rank": "0"}, "0.5", "500ms"),
    ("tgi", "tpot"): Timed("tgi_request_mean_time_per_token_duration", {}, "0.05", "50ms"),
    ("tgi", "e2e_latency"): Timed("tgi_request_duration", {}, "5", "5s"),
    ("tgi", "queue_time"): Timed("tgi_request_queue_duration", {}, "0.3", "300ms"),
    ("triton", "ttft"): Timed("nv_inference_first_response_histogram_ms", _TRITON, "500", "500ms"),
}
RATES: Final = (("vllm", "preemption_rate"), *((name, "abort_rate") for name in ("tgi", "triton", "vllm")))
SPEEDS: Final = {"vllm": 25.0, "tgi": 20.0}


def test_every_metric_of_a_preset_is_tried() -> None:
    tried = {*TIMED, *RATES, *((name, "tokens_per_second") for name in SPEEDS)}
    assert tried == {(preset, name) for name, presets in PRESETS_WITH.items() for preset in presets}


def _target(preset: str, backend: str) -> dict[str, str]:
    """Return the labels of a target; each preset has versions of its own."""
    return {"namespace": preset, "service": backend, "pod": f"{backend}-0", "instance": f"{preset}-{backend}:8000"}


def _add(history: History, backend: str, bad: float) -> None:
    def add(preset: str, series: str, labels: dict[str, str], rate: float, *, start: float = 0) -> None:
        history.add(series, _target(preset, backend) | {"job": preset} | labels, steadily(rate, start=start))

    for (preset, _), timed in TIMED.items():
        for bound, rate in ((timed.bound, _RATE * (1 - bad)), ("+Inf", _RATE)):
            add(preset, f"{timed.series}_bucket", timed.labels | {"le": bound}, rate, start=1000)
    add("sglang", "sglang:max_total_num_tokens", _SGLANG | {"tp_rank": "0"}, 0, start=100_000)
    # Another rank of the tensor parallel group, which counts the same requests.
    for bound, rate in (("0.5", 0.0), ("+Inf", _RATE)):
        add("sglang", "sglang:queue_time_seconds_bucket", _SGLANG | {"tp_rank": "1", "le": bound}, rate)
    for reason, rate in (("stop", _RATE * (1 - bad)), ("length", 0.0), ("abort", _RATE * bad), ("error", 0.0)):
        add("vllm", "vllm:request_success_total", _VLLM | {"finished_reason": reason}, rate, start=50)
    # Of four starts a second, a quarter repeats one.
    add("vllm", "vllm:time_to_first_token_seconds_count", _VLLM, _RATE * (1 - bad), start=50)
    add("vllm", "vllm:num_preemptions_total", _VLLM, _RATE * bad)
    add("vllm", "vllm:generation_tokens_total", _VLLM, 50 + _RATE * (1 - bad))
    add("vllm", "vllm:inter_token_latency_seconds_sum", _VLLM, 2)
    add("tgi", "tgi_request_count", {}, _RATE)
    add("tgi", "tgi_request_success", {}, _RATE * (1 - bad))
    for err, rate in (("dropped", _RATE * bad), ("validation", 7), ("generation", 3)):
        add("tgi", "tgi_request_failure", {"err": err}, rate)
    add("tgi", "tgi_request_generated_tokens_sum", {}, 60)
    add("tgi", "tgi_request_inference_duration_sum", {}, 3)
    add("triton", "nv_inference_request_success", _TRITON, _RATE * (1 - bad))
    for reason, rate in (("CANCELED", _RATE * bad), ("BACKEND", 3), ("REJECTED", 0)):
        add("triton", "nv_inference_request_failure", _TRITON | {"reason": reason}, rate)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    history = History()
    for backend, bad in _BAD.items():
        _add(history, backend, bad)
    # A server that has generated nothing, and one of a release without the series of tokens.
    idle = _target("vllm", "fraud-3") | _VLLM | {"job": "vllm"}
    for series in ("time_to_first_token_seconds_count", "generation_tokens_total", "inter_token_latency_seconds_sum"):
        history.add(f"vllm:{series}", idle, steadily(0))
    with Prometheus(tmp_path_factory.mktemp("language-models"), history=history) as running:
        yield running


def _asked(preset: str, condition: str, backend: str = "fraud-2") -> Question:
    return question(condition, backend=backend, version=backend, namespace=preset, preset=preset)


async def _counted(metrics: PrometheusSource, asked: list[Question]) -> dict[Question, Batch]:
    found: dict[Question, list[Answer]] = {one: [] for one in asked}
    for since, at in pairwise(range(_BEGIN, _END + 1, _TICK)):
        for one, answer in (await metrics.ask(asked, after(at), after(since))).items():
            found[one].append(answer)
    return {one: _total(answers) for one, answers in found.items()}


def _total(answers: list[Answer]) -> Batch:
    assert [answer for answer in answers if not isinstance(answer, Counted)] == []
    batches = [answer.batch for answer in answers if isinstance(answer, Counted)]
    parts = ("requests", "certain", "likely", "possible")
    return Batch(*(round(sum(getattr(batch, part) for batch in batches), 6) for part in parts))


def _expected(backend: str) -> Batch:
    requests = _RATE * _SECONDS
    bad = requests * _BAD[backend]
    return Batch(requests, bad, bad, bad)


async def test_each_time_is_counted_exactly_and_by_version(metrics: PrometheusSource) -> None:
    asked = {
        _asked(preset, f"{name}_p95 > {timed.limit}", backend): backend
        for (preset, name), timed in TIMED.items()
        for backend in _BAD
    }
    assert await _counted(metrics, list(asked)) == {one: _expected(backend) for one, backend in asked.items()}


async def test_shares_of_requests_are_counted_exactly_and_by_version(metrics: PrometheusSource) -> None:
    asked = {_asked(preset, f"{name} > 5%", backend): backend for preset, name in RATES for backend in _BAD}
    assert await _counted(metrics, list(asked)) == {one: _expected(backend) for one, backend in asked.items()}


async def test_a_replay_counts_the_same(metrics: PrometheusSource) -> None:
    asked = [_asked(preset, f"{name}_p95 > {timed.limit}") for (preset, name), timed in TIMED.items()]
    asked += [_asked(preset, f"{name} > 5%") for preset, name in RATES]
    found = await metrics.replay(asked, after(_BEGIN), after(_END), timedelta(seconds=_TICK))
    assert {one: _total(list(answers)) for one, answers in found.items()} == dict.fromkeys(asked, _expected("fraud-2"))


async def test_the_speed_of_an_answer_does_not_depend_on_the_number_of_answers(metrics: PrometheusSource) -> None:
    asked = {_asked(preset, "tokens_per_second < 20", backend): preset for preset in SPEEDS for backend in _BAD}
    answers = await metrics.ask(list(asked), after(305), after(295))
    values = {one: answer.value for one, answer in answers.items() if isinstance(answer, Measured)}
    assert values == {one: pytest.approx(SPEEDS[preset]) for one, preset in asked.items()}

    (one,) = [one for one in asked if one.preset == "vllm" and one.subject.version == "fraud-2"]
    replayed = (await metrics.replay([one], after(255), after(305), timedelta(seconds=10)))[one]
    assert [answer.value for answer in replayed if isinstance(answer, Measured)] == [pytest.approx(25.0)] * 5


@pytest.mark.parametrize(("backend", "cause"), [("fraud-3", Cause.NAN), ("fraud-4", Cause.NO_SERIES)])
async def test_a_version_without_tokens_has_no_speed(metrics: PrometheusSource, backend: str, cause: Cause) -> None:
    asked = _asked("vllm", "tokens_per_second < 20", backend)
    answer = (await metrics.ask([asked], after(305), after(295)))[asked]
    assert isinstance(answer, NoData)
    assert answer.cause is cause


async def test_a_limit_that_is_no_bound_is_said_with_those_of_its_own_histogram(metrics: PrometheusSource) -> None:
    first, whole = _asked("vllm", "ttft_p95 > 800ms"), _asked("vllm", "latency_p95 > 4s")
    answers = await metrics.ask([first, whole], after(305), after(295))
    found = [answer.coarse for answer in answers.values() if isinstance(answer, Counted)]
    assert found == [Coarse(0.75, float("inf")), Coarse(0.0, 5.0)]


async def test_a_time_is_compared_with_that_of_the_stable_version(metrics: PrometheusSource) -> None:
    asked = _asked("vllm", "ttft_p95 > 1.5x stable")
    answer = (await metrics.ask([asked], after(305), after(295)))[asked]
    assert isinstance(answer, Counted)
    assert [(bound, round(slower, 6), round(answer.total, 6)) for bound, slower in answer.above] == [(0.75, 10.0, 40.0)]
