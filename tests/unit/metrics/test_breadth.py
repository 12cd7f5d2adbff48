"""Many backends are found by what their names have in common, where that finds few others."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.verdict import Cause
from serinus.metrics.breadth import Breadth
from serinus.metrics.health import Health
from serinus.metrics.presets import PRESETS, IsolatingLabel, Key
from serinus.metrics.workers import Failure

PRESET = PRESETS["contour"]
AT = 1_000_000_000
MANY = frozenset((f"ml_model-{number}_80",) for number in range(200))
FEW: frozenset[Key] = frozenset({("ml_fraud_80",), ("ml_churn_80",)})


def counted(found: float, at: int = AT) -> Breadth:
    breadth = Breadth(PRESET)
    breadth.record(Health({}, breadth=found), at)
    return breadth


def test_few_backends_are_named_and_not_counted() -> None:
    assert not counted(2).preset_for(FEW).by_prefix
    assert not Breadth(PRESET).query(FEW, AT)


def test_many_backends_are_named_until_they_were_counted() -> None:
    breadth = Breadth(PRESET)
    assert not breadth.preset_for(MANY).by_prefix
    assert 'envoy_cluster_name=~"ml_model-.*"' in breadth.query(MANY, AT)


@pytest.mark.parametrize(("found", "broad"), [(200, True), (400, True), (401, False), (float("nan"), False)])
def test_names_in_common_are_used_where_they_find_few_others(found: float, *, broad: bool) -> None:
    assert counted(found).preset_for(MANY).by_prefix is broad


def test_others_are_counted_again_every_ten_minutes_and_after_the_clock_was_set_back() -> None:
    asked = {at: bool(counted(200).query(MANY, at)) for at in (AT, AT + 599_999, AT + 600_000, AT - 1)}
    assert list(asked.values()) == [False, False, True, True]


def test_an_answer_that_failed_has_the_backends_named_again() -> None:
    breadth = counted(200)
    breadth.record(Failure(Cause.PROVIDER_DOWN, "the answer is too large"), AT)
    assert not breadth.preset_for(MANY).by_prefix


@given(st.sets(st.text("a-b_0.", min_size=1), min_size=1), st.sampled_from([("", ""), ("k_", "_[0-9]+")]))
def test_a_common_matcher_finds_every_backend(values: set[str], affixes: tuple[str, str]) -> None:
    label = IsolatingLabel("cluster", lambda _namespace, backend: backend.name, *affixes)
    quoted = label.common_matcher(frozenset(values)).removeprefix("cluster=~")
    pattern = re.compile(json.loads(quoted))
    ending = "_7" if affixes[1] else ""
    assert [one for one in values if not pattern.fullmatch(f"{affixes[0]}{one}{ending}")] == []
    assert not pattern.fullmatch("")
