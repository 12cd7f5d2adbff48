"""A misconfigured metric source keeps the operator from starting, with a message that names the field."""

import pytest

from serinus.errors import ConfigurationError
from support.prometheus.questions import question
from support.prometheus.written_past import source

_URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"promql": "up"}, "mentions none of"),
        ({"promql": "drift{version=$version}"}, "inside a quoted label value"),
        ({"promql": "drift{version=`$version`}"}, "inside a quoted label value"),
        ({"promql": 'drift{a="b"} > $version'}, "inside a quoted label value"),
        ({"promql": 'up # "$version"'}, "mentions none of"),
        ({"promql": 'drift{version="$version"}', "groupBy": "version"}, r"\$version though groupBy"),
        ({"promql": 'drift{pod="$backend"}', "groupBy": "version"}, r"\$backend though groupBy"),
        ({"promql": "drift", "groupBy": "not a label"}, "not a label name"),
        ({"promql": "drift", "groupBy": "version", "groupValue": "v1"}, "neither"),
        ({"promql": "drift", "groupBy": "version", "groupValue": "$model"}, "neither"),
        ({"promql": "drift", "groupBy": "version", "groupValue": "$version-$revision"}, r"\$revision is unknown"),
    ],
)
def test_a_named_query_that_cannot_tell_versions_apart_is_refused(query: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        source(_URL, queries={"drift": query})
    assert "sources.default.queries.drift" in str(caught.value)


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", "http://", "/prometheus", ""])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"sources\.default.*url"):
        source(url)


@pytest.mark.parametrize("settings", [{"timeout": "0s"}, {"scrapeInterval": "0s"}])
def test_a_duration_of_zero_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="longer than 0s"):
        source(_URL, **settings)


@pytest.mark.parametrize(("interval", "tick"), [("15s", 5.0), ("5s", 5 / 3), ("1s", 1.0), ("2s", 1.0)])
def test_a_tick_is_a_third_of_the_scrape_interval_and_at_least_a_second(interval: str, tick: float) -> None:
    metrics = source(_URL, scrapeInterval=interval)
    assert metrics.tick.total_seconds() == pytest.approx(tick)
    metrics.close()


def test_a_question_that_can_never_be_answered_says_why() -> None:
    metrics = source(_URL, queries={"drift": {"promql": "drift", "groupBy": "version"}})
    valid = question("drift > 0.3"), question("error_rate > 1%"), question("latency_p95 > 1s", preset="envoy")
    assert [metrics.problem_with(each) for each in valid] == ["", "", ""]
    assert "contour, envoy" in metrics.problem_with(question(preset="nginx"))
    assert "it has: drift" in metrics.problem_with(question("skew > 1"))
    metrics.close()


def test_a_backend_kind_that_a_preset_cannot_identify_is_a_problem() -> None:
    metrics = source(_URL)
    assert "InferencePool" in metrics.problem_with(question(kind="InferencePool"))
    metrics.close()
