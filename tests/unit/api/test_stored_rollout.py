"""Specs that an earlier release let in: two spellings are one condition, the rest is guarded by what can be read."""

from typing import Any

import pytest

from serinus.api.rollout import RolloutSpec
from serinus.api.stored_rollout import guarding_spec, stored_spec
from serinus.errors import InvalidObjectError
from support.builders import PRODUCTION, STAGING, a_stage


def raw(*lines: object) -> dict[str, Any]:
    return {
        "model": "fraud",
        "version": "2.0.0",
        "route": {"httpRoute": {"name": "fraud"}},
        "stages": [STAGING, {**a_stage("canary", "5%"), "abortOn": list(lines)}, PRODUCTION],
    }


def lines_of(spec: RolloutSpec | None) -> tuple[str, ...]:
    assert spec is not None
    return spec.stages[1].abort_on


def test_a_spec_without_twins_is_as_it_is_and_says_nothing() -> None:
    stored = stored_spec(raw("error_rate > 1%", "latency_p95 > 200ms"))

    assert (lines_of(stored.spec), stored.merged) == (("error_rate > 1%", "latency_p95 > 200ms"), "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("error_rate > 1%", "error_rate>1%"),
        ("error_rate > 1%", "error_rate > 0.01"),
        ("latency_p95 > 200ms", "latency_p950 > 0.2s"),
        ("drift > 0.3", " drift>0.30"),
    ],
)
def test_two_spellings_of_one_condition_are_merged_and_said(one: str, other: str) -> None:
    stored = stored_spec(raw(one, "error_rate > 9%", other))

    assert lines_of(stored.spec) == (one, "error_rate > 9%")
    assert stored.merged == f"spec.stages[1].abortOn[2] {other!r} is {one!r} in another spelling"


def test_several_twins_are_all_said() -> None:
    stored = stored_spec(raw("error_rate > 1%", "error_rate>1%", "error_rate  > 1%"))

    assert lines_of(stored.spec) == ("error_rate > 1%",)
    assert stored.merged.count("in another spelling") == 2


@pytest.mark.parametrize(
    "line",
    ["success_rate < 99.5%", "p95_latency > 200ms", "latency_p100 > 1s", "error_rate", "error_rate > 100%", 7, None],
)
def test_a_condition_that_cannot_be_read_is_refused_and_the_others_guard_the_run(line: object) -> None:
    spec = raw("error_rate > 1%", line, "error_rate>1%")

    with pytest.raises(InvalidObjectError):
        stored_spec(spec)

    assert lines_of(guarding_spec(spec)) == ("error_rate > 1%",)


@pytest.mark.parametrize(
    "spec",
    [
        raw("success_rate < 99.5%"),
        {**raw("error_rate > 1%"), "model": 7},
        {**raw("error_rate > 1%"), "stages": "none"},
        {**raw("error_rate > 1%"), "stages": [7]},
        {"stages": [{"abortOn": 7}]},
        [],
        None,
    ],
)
def test_what_has_nothing_to_go_by_guards_nothing(spec: object) -> None:
    assert guarding_spec(spec) is None
    with pytest.raises(InvalidObjectError):
        stored_spec(spec)
