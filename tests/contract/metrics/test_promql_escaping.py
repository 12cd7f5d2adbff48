"""Any name is escaped to a literal value in a query, checked with the parser of a real Prometheus."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from serinus.metrics.promql import born, fallen, grown, literal, quoted
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
@example(name="\ufffd")
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
def test_every_counter_has_grown_or_fallen_or_is_new(transport: Transport, span: int) -> None:
    busy = 'envoy_cluster_name=~"ml_(busy|restarted|late-errors|steady)_80"'
    counter, target = f"envoy_cluster_upstream_rq_xx{{{busy}}}", f"envoy_cluster_upstream_rq_total{{{busy}}}"
    before = f"{counter} offset {span}ms"
    new = born(counter, target, "envoy_response_code_class", span)
    found = set()
    for second in range(1767225600 + 195, 1767225600 + 420, 5):
        falls = _sums(transport, f"{counter} and ({counter} < {before})", second)
        assert _sums(transport, grown(counter, span), second) == {
            **_sums(transport, f"({counter} - {before}) >= 0", second),
            **dict.fromkeys(falls, "0"),
        }
        assert [_sums(transport, part, second) for part in fallen(counter, span)] == [
            falls,
            _sums(transport, f"{before} and ({counter} < {before})", second),
        ]
        found |= {dict(labels)["envoy_cluster_name"] for labels in (*falls, *_sums(transport, new, second))}
    assert found == {"ml_busy_80", "ml_restarted_80", "ml_late-errors_80"}


def _sums(transport: Transport, expression: str, second: int) -> dict[tuple[tuple[str, str], ...], str]:
    samples = transport.instant(expression, f"{second}.500").samples
    return {
        tuple(sorted((key, value) for key, value in each.metric.items() if key != "__name__")): each.value[1]
        for each in samples
        if each.value is not None
    }
