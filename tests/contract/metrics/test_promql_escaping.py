"""Any name is escaped to a literal value in a query, checked with the parser of a real Prometheus."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serinus.metrics.promql import increments, literal, quoted
from serinus.metrics.transport import Sample, Transport
from support.examples import examples
from support.prometheus.server import Prometheus

_NAMES = st.text(st.characters(codec="utf-8"), max_size=40) | st.text(st.sampled_from("\"'\\`{}[]()|.*+?^$\n\r\t\0a,="))
_MANY = settings(
    max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture(scope="module")
def transport(prometheus: Prometheus) -> Iterator[Transport]:
    made = Transport(prometheus.url, 5.0)
    yield made
    made.close()


def only(transport: Transport, query: str) -> Sample:
    (sample,) = transport.instant(query, "1.000").samples
    return sample


@_MANY
@given(name=_NAMES)
def test_a_quoted_value_arrives_as_it_is(transport: Transport, name: str) -> None:
    for query in (quoted(name), "'" + quoted(name)[1:-1] + "'"):
        sample = only(transport, f'label_replace(vector(1), "found", {query}, "", "")')
        # label_replace expands $1 in its replacement; a lone $ is dropped there, not by the quoting.
        if "$" not in name:
            assert sample.metric.get("found", "") == name


@_MANY
@given(name=_NAMES, other=_NAMES)
def test_an_escaped_value_matches_itself_and_no_other(transport: Transport, name: str, other: str) -> None:
    def matches(value: str) -> bool:
        given_value = quoted(value.replace("$", "$$"))
        labelled = f'label_replace(vector(1), "value", {given_value}, "", "")'
        hit = only(transport, f'label_replace({labelled}, "hit", "yes", "value", {quoted(literal(name))})')
        return hit.metric.get("hit") == "yes"

    assert matches(name)
    assert matches(other) is (other == name)


@pytest.mark.parametrize("span", [3000, 7000, 10_000, 25_000])
def test_increments_equal_the_sum_of_grown_reset_and_new_counters(transport: Transport, span: int) -> None:
    counter = 'envoy_cluster_upstream_rq_xx{envoy_cluster_name=~"ml_(busy|restarted|late-errors|steady)_80"}'
    before = f"{counter} offset {span}ms"
    three_parts = (
        f"((({counter} - {before}) >= 0) or ({counter} and ({counter} < {before}))"
        f" or ({counter} unless last_over_time({counter}[10m] offset {span}ms)))"
    )
    for second in range(1767225600 + 195, 1767225600 + 420, 5):
        expected = _sums(transport, three_parts, second)
        assert _sums(transport, increments(counter, span), second) == expected
        assert expected


def _sums(transport: Transport, expression: str, second: int) -> dict[tuple[tuple[str, str], ...], str]:
    samples = transport.instant(expression, f"{second}.500").samples
    return {
        tuple(sorted((key, value) for key, value in each.metric.items() if key != "__name__")): each.value[1]
        for each in samples
        if each.value is not None
    }
