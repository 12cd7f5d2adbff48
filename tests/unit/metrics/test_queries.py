"""What a query reads is bounded, however long the time is that it is about."""

import re
from math import inf

import pytest

from serinus.metrics.grpc_calls import grpc_query
from serinus.metrics.presets import PRESETS, Preset
from serinus.metrics.promql import LOOKBACK_MS
from serinus.metrics.queries import Reach, buckets_query, request_sums_query, requests_query

_HOUR = 3_600_000
_SCRAPE = 15_000


def _queries(preset: Preset, span: int) -> list[str]:
    reach = Reach(span, scrape=_SCRAPE * 3 // 2)
    keys = frozenset({tuple("x" for _ in preset.isolation)})
    queries = [requests_query(preset, keys, reach), request_sums_query(preset, keys, span)]
    if preset.histogram is not None:
        queries.append(
            buckets_query(preset, preset.histogram, keys, {0.1: frozenset({"0.1"}), inf: frozenset()}, reach)
        )
    if preset.grpc is not None:
        queries.append(grpc_query(preset, preset.grpc, keys, reach))
    return queries


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("span", [_SCRAPE // 3, _SCRAPE, _HOUR, 30 * 24 * _HOUR])
def test_no_more_than_an_hour_of_a_counter_is_read(preset: Preset, span: int) -> None:
    ranges = [int(found) for query in _queries(preset, span) for found in re.findall(r"\[(\d+)ms\]", query)]

    assert ranges
    assert max(ranges) == max(LOOKBACK_MS, min(span, _HOUR))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_tick_with_one_scrape_asks_for_no_first_value(preset: Preset) -> None:
    asked = [query for query in _queries(preset, _SCRAPE // 3) if "min_over_time" in query]
    again = [query for query in _queries(preset, _SCRAPE) if "min_over_time" in query]

    assert (asked, bool(again)) == ([], True)
