"""Growth from sums: exactly what the series have grown by, and only where none has come, gone or fallen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.metrics.counters import Counters, Growth
from serinus.metrics.label_sets import LabelSets, Row
from serinus.metrics.presets import PRESETS, Key
from serinus.metrics.queries import KEPT, PART, TAG

PRESET = PRESETS["contour"]
CLASS = "envoy_response_code_class"
KEY: Key = ("ml_fraud_8080",)
STEP = 5_000

Series = tuple[str, str]
"""Response class and instance."""


@dataclass
class Backend:
    """The series of one backend at each tick, and what of their growth happened in the last one."""

    shown: dict[Series, float] = field(default_factory=dict)
    before: dict[Series, float] = field(default_factory=dict)
    happened: dict[str, float] = field(default_factory=dict)

    def tick(self, growth: Mapping[Series, int]) -> None:
        """Have these series grow; those that were not there begin at 0."""
        self.before, self.happened = dict(self.shown), {}
        for series, requests in growth.items():
            self.shown[series] = self.shown.get(series, 0.0) + requests
            self.happened[series[0]] = self.happened.get(series[0], 0.0) + requests

    def restart(self, series: Series) -> None:
        if series in self.shown:
            self.shown[series] = 0.0

    def lose(self, series: Series) -> None:
        self.shown.pop(series, None)

    def rows(self) -> list[Row]:
        """Return what the query of sums would."""
        sums: dict[str, float] = {}
        for (code, _), value in self.shown.items():
            sums[code] = sums.get(code, 0.0) + value
        rows: list[Row] = [({"envoy_cluster_name": KEY[0], CLASS: code}, value) for code, value in sums.items()]
        kept = [series for series, value in self.shown.items() if value >= self.before.get(series, float("inf"))]
        if self.shown and len(kept) == len(self.shown):
            rows.append(({"envoy_cluster_name": KEY[0], PART: KEPT}, float(len(kept))))
        return rows


def interned(rows: Iterable[Row], labels: LabelSets) -> list[Row]:
    """Return the rows as the transport does: with the labels of the rows before, where they are the same."""
    listed = list(rows)
    found = labels.of([msgspec.json.encode(one) for one, _ in listed])
    return [(one, value) for one, (_, value) in zip(found, listed, strict=True)]


def growth_of(growth: Growth) -> dict[str, float]:
    return {labels[CLASS]: value for labels, value in growth.rows}


_SERIES = st.tuples(st.sampled_from(["2", "5"]), st.sampled_from(["envoy-0", "envoy-1"]))
_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["none", "restart", "lose"]), _SERIES, st.dictionaries(_SERIES, st.integers(0, 9), max_size=4)
    ),
    max_size=12,
)


@given(_EVENTS)
def test_growth_from_sums_is_what_happened(events: Iterable[tuple[str, Series, dict[Series, int]]]) -> None:
    counters, backend, keys = Counters(PRESET, (CLASS,)), Backend(), frozenset({KEY})
    labels = LabelSets(lambda: 0.0)
    counters.settle(keys)
    for number, (event, series, growth) in enumerate(events):
        before = dict(backend.shown)
        if event == "restart":
            backend.restart(series)
        elif event == "lose":
            backend.lose(series)
        backend.tick(growth)
        backend.before = before
        found = counters.take(interned(backend.rows(), labels), keys, STEP * number, STEP * (number + 1))
        counters.settle(keys)
        # A counter that has begun anew and is where it was again cannot be told from one that went on.
        begun_anew = event != "none" and series in before and backend.shown.get(series, -1.0) >= before[series]
        if found.steady and not begun_anew:
            happened = {code: requests for code, requests in backend.happened.items() if requests}
            assert {code: value for code, value in growth_of(found).items() if value} == happened


def ticks(*shown: Mapping[Series, float]) -> list[Growth]:
    """Return the growth at each tick of a backend that was read in full at the first one."""
    counters, before, found = Counters(PRESET, (CLASS,)), dict[Series, float](), []
    for number, series in enumerate(shown):
        backend = Backend(dict(series), before)
        found.append(counters.take(backend.rows(), frozenset({KEY}), STEP * number, STEP * (number + 1)))
        counters.settle(frozenset({KEY}))
        before = dict(series)
    return found


ONE: Mapping[Series, float] = {("2", "envoy-0"): 100.0}


@pytest.mark.parametrize(
    ("then", "last"),
    [
        ({("2", "envoy-0"): 90.0}, {("2", "envoy-0"): 95.0}),
        ({**ONE, ("5", "envoy-0"): 7.0}, {**ONE, ("5", "envoy-0"): 8.0}),
        ({**ONE, ("2", "envoy-1"): 7.0}, {**ONE, ("2", "envoy-1"): 8.0}),
        ({("2", "envoy-1"): 100.0}, {("2", "envoy-1"): 101.0}),
    ],
    ids=["fell", "new class", "new target", "renamed"],
)
def test_what_changed_is_read_in_full_until_it_goes_on(then: dict[Series, float], last: dict[Series, float]) -> None:
    found = ticks(ONE, ONE, ONE, then, last, last, last)
    assert [bool(growth.steady) for growth in found] == [False, False, True, False, False, True, True]


def test_what_is_not_a_number_is_read_in_full() -> None:
    broken: Mapping[Series, float] = {("2", "envoy-0"): float("nan")}
    assert [bool(growth.steady) for growth in ticks(ONE, ONE, ONE, broken, broken, ONE)] == [
        *(False, False, True),
        *(False, False, False),
    ]


def test_a_series_that_goes_leaves_the_others_to_be_read_in_full_once() -> None:
    both = {**ONE, ("2", "envoy-1"): 50.0}
    assert [bool(growth.steady) for growth in ticks(both, both, both, ONE, ONE)] == [False, False, True, False, True]


def test_a_backend_without_any_series_goes_on_without_any() -> None:
    assert [(growth.rows, bool(growth.steady)) for growth in ticks({}, {}, {})] == [([], False), ([], True), ([], True)]


def test_nothing_is_told_of_a_backend_that_was_not_read_in_full_or_at_another_time() -> None:
    counters = Counters(PRESET, (CLASS,))
    rows = Backend(dict(ONE), dict(ONE)).rows()
    for end in (STEP, 2 * STEP, 3 * STEP):
        assert not counters.take(rows, frozenset({KEY}), end - STEP, end).steady
    counters.settle(frozenset({KEY}))
    assert not counters.take(rows, frozenset({KEY}), 2 * STEP + 1, 4 * STEP).steady
    assert counters.take(rows, frozenset({KEY}), 2 * STEP, 4 * STEP).steady
    counters.unsettle(frozenset({KEY}))
    assert not counters.take(rows, frozenset({KEY}), 4 * STEP, 5 * STEP).steady


def test_a_sum_that_may_fall_does() -> None:
    counters = Counters(PRESET, kept={"open": "", "ended": ""}, may_fall="open")
    label = {"envoy_cluster_name": KEY[0]}

    def rows(still_open: float, ended: float) -> list[Row]:
        tagged: list[Row] = [(label | {TAG: "open"}, still_open), (label | {TAG: "ended"}, ended)]
        return [*tagged, (label | {PART: KEPT}, 1.0)]

    keys = frozenset({KEY})
    counters.settle(keys)
    counters.take(rows(3, 10), keys, 0, STEP)
    found = counters.take(rows(1, 10), keys, STEP, 2 * STEP)
    assert {labels[TAG]: value for labels, value in found.rows} == {"open": -2.0, "ended": 0.0}
    counters.settle(keys)
    assert not counters.take(rows(1, 9), keys, 2 * STEP, 3 * STEP).steady


def test_a_backend_with_two_values_of_its_label_is_steady_only_where_both_are() -> None:
    preset = PRESETS["traefik"]
    key: Key = ("ml-fraud",)
    services = [
        f"httproute-ml-r-gw-i-g-ep-{entry}-0-0123456789abcdef0123-svc-ml-fraud-0@kubernetesgateway"
        for entry in ("web", "tls")
    ]

    def rows(*shown: tuple[float, float | None]) -> list[Row]:
        found: list[Row] = []
        for service, (value, kept) in zip(services, shown, strict=True):
            found.append(({"service": service, "code": "200"}, value))
            found += [({"service": service, PART: KEPT}, kept)] if kept is not None else []
        return found

    counters = Counters(preset, preset.class_labels)
    counters.settle(frozenset({key}))
    counters.take(rows((10, 1), (20, 1)), frozenset({key}), 0, STEP)
    grown = counters.take(rows((13, 1), (24, 1)), frozenset({key}), STEP, 2 * STEP)
    assert grown.steady == {key}
    assert sum(value for _, value in grown.rows) == 7
    # A counter that is new at one of the two makes the backend one to read in full.
    assert not counters.take(rows((14, 1), (94, None)), frozenset({key}), 2 * STEP, 3 * STEP).steady
    assert not counters.take(rows((15, 1), (95, None)), frozenset({key}), 3 * STEP, 4 * STEP).steady
