"""Whatever a metric source answers, each question gets an answer: a source is a program of somebody else."""

import json
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import CouldNotAsk, NoData
from serinus.metrics import PrometheusSource, transport
from support.examples import examples
from support.prometheus.questions import after, question
from support.prometheus.written_past import source

_LABELS: Final = {
    "envoy_cluster_name": st.sampled_from(["ml_fraud-2_80", "ml_fraud-1_80", "", "x" * 300]),
    "envoy_response_code_class": st.sampled_from(["2", "5", "", "NaN"]),
    "le": st.sampled_from(["+Inf", "NaN", "100", "-1", "1e400", "abc", ""]),
    "serinus_part": st.text(max_size=8),
}
_LIKELY: Final = [
    "0",
    "1",
    "-1",
    "NaN",
    "+Inf",
    "-Inf",
    "1e308",
    "1e400",
    "1767225600",
    "abc",
    "",
    "0x1",
    "1_0",
    "\u0663",
]
_NUMBERS: Final = st.one_of(st.sampled_from(_LIKELY), st.floats().map(str), st.text(max_size=6))
_TIMES: Final = st.one_of(st.just(1767225700.0), st.floats(allow_nan=False, allow_infinity=False), st.integers())
_BUCKETS: Final = st.lists(st.tuples(st.integers(0, 3), _NUMBERS, _NUMBERS, _NUMBERS), max_size=4)
_POINTS: Final = st.tuples(_TIMES, _NUMBERS)
_HISTOGRAMS: Final = st.tuples(_TIMES, st.fixed_dictionaries({"count": _NUMBERS}, optional={"buckets": _BUCKETS}))
_ROWS: Final = st.fixed_dictionaries(
    {"metric": st.fixed_dictionaries({}, optional=_LABELS)},
    optional={
        "value": _POINTS,
        "histogram": _HISTOGRAMS,
        "values": st.lists(_POINTS, max_size=4),
        "histograms": st.lists(_HISTOGRAMS, max_size=2),
    },
)
_JUNK: Final = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4)
_BODIES: Final = st.one_of(
    st.fixed_dictionaries(
        {"resultType": st.sampled_from(["vector", "matrix"]), "result": st.lists(_ROWS, max_size=6)}
    ).map(lambda data: {"status": "success", "data": data}),
    st.fixed_dictionaries({"data": st.fixed_dictionaries({"resultType": st.just("scalar"), "result": _POINTS})}),
    st.dictionaries(st.sampled_from(["data", "warnings", "infos", "isPartial"]), _JUNK),
    _JUNK,
)
_CONTENT: Final = st.one_of(
    _BODIES.map(lambda body: json.dumps(body).encode()),
    st.binary(max_size=40),
    st.sampled_from([b"", b"[" * 3000, b'{"data":' * 3000, b"9" * 3000, b'"\\ud800"', b"<html>"]),
)

QUESTIONS: Final = [
    question(),
    question("latency_p95 > 200ms"),
    question("unanswered_rate > 1%"),
    question("error_rate > stable + 1%"),
    question("latency_p95 > 1.2x stable"),
    question("drift > 0.3"),
]


def answering(patch: pytest.MonkeyPatch, contents: list[bytes]) -> PrometheusSource:
    """Return a source that gets these answers in turn, the last one for ever."""

    def post(_transport: transport.Transport, _verb: str, _form: dict[str, str]) -> Any:
        content = contents.pop(0) if len(contents) > 1 else contents[0]
        return transport._decode(transport._BODY, content)

    patch.setattr(transport.Transport, "_post", post)
    return source("http://127.0.0.1:9", queries={"drift": {"promql": 'drift{version="$version"}'}})


@settings(max_examples=examples(150))
@given(st.lists(_CONTENT, min_size=1, max_size=8))
async def test_each_question_gets_an_answer(contents: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        metrics = answering(patch, contents)
        try:
            for tick in (0, 1):
                answers = await metrics.ask(QUESTIONS, after(10 * tick + 15), after(10 * tick + 5))
                assert set(answers) == set(QUESTIONS)
        finally:
            metrics.close()


@settings(max_examples=examples(150))
@given(st.lists(_CONTENT, min_size=1, max_size=8))
async def test_each_step_of_a_replay_gets_an_answer(contents: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        metrics = answering(patch, contents)
        try:
            answers = await metrics.replay(QUESTIONS, after(0), after(30), timedelta(seconds=10))
            assert {len(found) for found in answers.values()} == {3}
        finally:
            metrics.close()


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"value": [0, "abc"]}, Cause.PROVIDER_DOWN),
        ({"value": [0, "abc"], "histogram": [0, {"count": "1"}]}, Cause.PROVIDER_DOWN),
        ({"histogram": [0, {"count": "1", "buckets": [[0, "1", "two", "3"]]}]}, Cause.PROVIDER_DOWN),
        ({"value": [0, "+Inf"]}, Cause.NO_SERIES),
        ({"value": [0, "NaN"]}, Cause.NO_SERIES),
        ({"value": [0, "1e308"]}, Cause.NO_SERIES),
    ],
)
async def test_what_is_no_number_or_no_time_is_said(row: dict[str, Any], cause: Cause) -> None:
    data = {"resultType": "vector", "result": [{"metric": {"envoy_cluster_name": "ml_fraud-2_80"}, **row}]}
    with pytest.MonkeyPatch.context() as patch:
        metrics = answering(patch, [json.dumps({"data": data}).encode()])
        answer = (await metrics.ask(QUESTIONS[:1], after(15), after(5)))[QUESTIONS[0]]
        metrics.close()
    assert isinstance(answer, NoData | CouldNotAsk)
    assert answer.cause is cause
