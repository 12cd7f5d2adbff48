"""What `serinus explain` gives people to paste: a real Prometheus answers with the proportion that is judged."""

from collections.abc import Iterator

import pytest

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.metrics.paste import stage_query
from serinus.metrics.presets import PRESETS
from serinus.metrics.transport import Transport
from support.prometheus.questions import after
from support.prometheus.server import Prometheus


@pytest.fixture(scope="module")
def transport(prometheus: Prometheus) -> Iterator[Transport]:
    made = Transport(prometheus.url, 5.0)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("line", "backend", "expected"),
    [
        ("error_rate > 0.5%", "steady", 0.5 / 9.7),
        ("client_error_rate > 2%", "steady", 0.2 / 9.7),
        ("error_rate > 0.5%", "seldom-scraped", 0),
        ("latency_p95 > 250ms", "slow", 0.2),
        ("latency_p50 > 1.2x stable", "slow", 0.1375),
        ("latency_p95 > 200ms", "both-forms", 1 / 4),
    ],
)
def test_prometheus_answers_with_the_proportion(transport: Transport, line: str, backend: str, expected: float) -> None:
    reference = BackendRef(name=backend, port=80)
    query = stage_query(PRESETS["contour"], parse_abort_condition(line), "ml", reference, (after(100), after(400)))
    # The time of the question does not matter: the query has its own.
    [sample] = transport.instant(query, "1.000").samples
    assert float(str(sample.content)) == pytest.approx(expected, rel=0.02)


def test_prometheus_can_read_the_query_of_requests_without_an_answer(transport: Transport) -> None:
    condition = parse_abort_condition("unanswered_rate > stable + 1%")
    reference = BackendRef(name="busy", port=80)
    query = stage_query(PRESETS["contour"], condition, "ml", reference, (after(100), after(400)))
    # Its series are not in this history: no sample, and no error either.
    assert transport.instant(query, "1.000").samples == []
