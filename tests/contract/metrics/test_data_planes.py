"""Each preset against a real Prometheus with series in the exact form of its data plane, read as the operator does."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Coarse, CouldNotAsk, Counted, NoData, Question
from serinus.metrics import PrometheusSource
from serinus.metrics.presets import PRESETS
from serinus.metrics.transport import Transport
from support.prometheus.data_planes import DATA_PLANES, Backend, DataPlane
from support.prometheus.questions import after, question, steadily
from support.prometheus.server import History, Prometheus

_STABLE, _CANDIDATE = Backend("ml", "fraud-1"), Backend("ml", "fraud-2")
_BEGIN, _END, _TICK = 205, 355, 5
_SECONDS = _END - _BEGIN
_NEW = 300
"""From when on the candidate fails."""

_NEW_EACH = 4 + (350 - _NEW) / 10
"""What each of the series that are new then counts: from zero, as its instance was there before."""


def _add(history: History, plane: DataPlane) -> None:
    """Add two versions behind two instances, and all that must not be counted."""
    add = plane.add
    for instance in ("10.0.0.1:9090", "10.0.0.2:9090"):
        for backend in (_STABLE, _CANDIDATE):
            if plane.presence:
                known = plane.of_backend(backend) | plane.present | {"instance": instance, "job": "gateway"}
                history.add(plane.presence, known, steadily(5, start=100))
        add(history, _STABLE, plane.good, steadily(10, start=1000), instance=instance, fast=0.75)
        add(history, _CANDIDATE, plane.good, steadily(2, start=50), instance=instance, fast=0.5)
    # Begin in the midst of the stage, each as a series of its own, at one of the two instances.
    for outcome in (*plane.failed, *plane.refused):
        add(history, _CANDIDATE, outcome, [(at, 4 + (at - _NEW) / 10) for at in range(_NEW, 601, 10)])
    # The failures of others: of the same name elsewhere, of names that begin or end alike, of the other reporter.
    others = [Backend("other", _CANDIDATE.name), Backend("ml", "fraud-22"), Backend("ml", "a-fraud-2")]
    for other in others:
        add(history, other, (*plane.failed, plane.good)[0], steadily(100))
    if plane.uncounted:
        add(history, _CANDIDATE, plane.failed[0], steadily(100), more=plane.uncounted)
    # A backend that two routes name: the series of one of them is restarted.
    if plane.routed is not None:
        for labels in (plane.of_backend, plane.routed):
            routed = labels(Backend("ml", "fraud-3"))
            restarted = [*steadily(1, end=290, start=500), *steadily(1, begin=300, start=8)]
            add(
                history,
                Backend("ml", "fraud-3"),
                plane.good,
                restarted if labels is plane.routed else steadily(3, start=900),
                more=routed,
            )
            if plane.presence:
                history.add(plane.presence, routed | {"instance": "10.0.0.1:9090", "job": "gateway"}, steadily(5))


@pytest.fixture(params=sorted(DATA_PLANES))
def name(request: pytest.FixtureRequest) -> str:
    """The preset."""
    return str(request.param)


@pytest.fixture
def plane(name: str) -> DataPlane:
    return DATA_PLANES[name]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One Prometheus with the series of all data planes."""
    history = History()
    for plane in DATA_PLANES.values():
        _add(history, plane)
    with Prometheus(tmp_path_factory.mktemp("data-planes"), history=history) as running:
        yield running


def asked_of(name: str, condition: str, backend: Backend = _CANDIDATE) -> Question:
    return question(condition, backend=backend.name, namespace=backend.namespace, port=backend.port, preset=name)


async def ticks(metrics: PrometheusSource, asked: list[Question]) -> dict[Question, list[Answer]]:
    found: dict[Question, list[Answer]] = {one: [] for one in asked}
    for since, at in pairwise(range(_BEGIN, _END + 1, _TICK)):
        for one, answer in (await metrics.ask(asked, after(at), after(since))).items():
            found[one].append(answer)
    return found


def total(answers: list[Answer]) -> Batch:
    assert [answer for answer in answers if not isinstance(answer, Counted)] == []
    batches = [answer.batch for answer in answers if isinstance(answer, Counted)]
    requests = sum(batch.requests for batch in batches)
    certain, likely, possible = (
        round(sum(getattr(batch, part) for batch in batches), 6) for part in ("certain", "likely", "possible")
    )
    return Batch(round(requests, 6), certain, likely, possible)


def counted(requests: float, bad: float) -> Batch:
    return Batch(requests, bad, bad, bad)


async def test_requests_failures_and_slow_answers_of_each_version_are_counted_exactly(
    metrics: PrometheusSource, name: str, plane: DataPlane
) -> None:
    slow = f"latency_p95 > {plane.bound[1]}"
    failed, refused = _NEW_EACH * len(plane.failed), _NEW_EACH * len(plane.refused)
    good, timed = 2 * 2 * _SECONDS, failed + refused if plane.by_outcome else 0
    expected = {
        asked_of(name, slow): counted(good + timed, good / 2 + timed),
        asked_of(name, slow, _STABLE): counted(2 * 10 * _SECONDS, 2 * 10 * _SECONDS / 4),
    }
    if plane.failed:
        expected[asked_of(name, "error_rate > 1%")] = counted(good + failed + refused, failed)
        expected[asked_of(name, "error_rate > 1%", _STABLE)] = counted(2 * 10 * _SECONDS, 0)
    if plane.refused:
        expected[asked_of(name, "client_error_rate > 1%")] = counted(good + failed + refused, refused)
    found = await ticks(metrics, list(expected))

    assert {one: total(answers) for one, answers in found.items()} == expected


@pytest.mark.parametrize("condition", ["error_rate > 1%", "client_error_rate > 1%"])
async def test_what_the_data_plane_does_not_tell_is_no_evidence(
    metrics: PrometheusSource, name: str, plane: DataPlane, condition: str
) -> None:
    asked = asked_of(name, condition)
    told = plane.failed if condition.startswith("error") else plane.refused
    answer = (await metrics.ask([asked], after(305), after(295)))[asked]
    assert isinstance(answer, Counted if told else CouldNotAsk)


async def test_a_replay_counts_the_same(metrics: PrometheusSource, name: str, plane: DataPlane) -> None:
    asked = asked_of(name, f"latency_p95 > {plane.bound[1]}")
    found = await metrics.replay([asked], after(_BEGIN), after(_END), timedelta(seconds=_TICK))

    new = _NEW_EACH * len((*plane.failed, *plane.refused)) if plane.by_outcome else 0
    assert total(list(found[asked])).certain == 2 * 2 * _SECONDS / 2 + new


async def test_a_limit_between_two_bounds_is_said_with_both(
    metrics: PrometheusSource, name: str, plane: DataPlane
) -> None:
    asked = asked_of(name, "latency_p95 > 100s")
    answer = (await metrics.ask([asked], after(255), after(245)))[asked]
    assert isinstance(answer, Counted)
    bound = float(plane.bound[1].removesuffix("ms")) / 1000
    assert answer.coarse == Coarse(bound, float("inf"))


async def test_a_backend_that_two_routes_name_is_one(metrics: PrometheusSource, name: str, plane: DataPlane) -> None:
    if plane.routed is None:
        assert not any(label.before for label in PRESETS[name].isolation)
        return
    asked = asked_of(name, "error_rate > 1%", Backend("ml", "fraud-3"))
    answers = (await ticks(metrics, [asked]))[asked]
    # Of the series that was restarted, what it shows counts instead of the growth of ten seconds.
    assert total(answers) == counted(3 * _SECONDS + 1 * (_SECONDS - 10) + 8, 0)


async def test_a_steady_backend_is_read_from_sums(metrics: PrometheusSource, name: str, plane: DataPlane) -> None:
    asked = asked_of(name, f"latency_p95 > {plane.bound[1]}", _STABLE)
    for at in (225, 235, 245):
        await metrics.ask([asked], after(at), after(at - 10))
    counters = metrics._readers[name, ""]._increments._buckets
    assert counters._settled == {PRESETS[name].key(_STABLE.namespace, asked.subject.backend)}


async def test_a_backend_that_is_not_there_is_no_series(metrics: PrometheusSource, name: str, plane: DataPlane) -> None:
    asked = asked_of(name, f"latency_p95 > {plane.bound[1]}", Backend("ml", "fraud"))
    answer = (await metrics.ask([asked], after(305), after(295)))[asked]
    assert isinstance(answer, NoData)
    assert answer.cause is Cause.NO_SERIES


def test_each_data_plane_is_recognised_by_its_own_series_only(prometheus: Prometheus) -> None:
    transport = Transport(prometheus.url, 5.0)

    def number(selector: str) -> float:
        samples = transport.instant(f"count({selector})", f"{after(305).timestamp():.3f}").samples
        return float(str(samples[0].content)) if samples else 0.0

    try:
        assert {name for name in PRESETS if number(PRESETS[name].sign)} == DATA_PLANES.keys()
        both = number(PRESETS["traefik"].sign) + number(PRESETS["traefik-3-2"].sign)
        assert both == number(PRESETS["traefik"].presence)
    finally:
        transport.close()
