"""How the figures of a status become series."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import EvidenceStatus, Rollback, RollbackReason, RolloutStatus, Serving
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis import text
from serinus.telemetry.rollout_series import FAMILIES, RolloutExposition, RolloutFigures, in_base_units
from support.records import rollout
from support.virtual_loop import START


def parsed(exposition: RolloutExposition) -> dict[str, Metric]:
    content = b"".join(exposition.parts()).decode()
    return {family.name: family for family in text_string_to_metric_families(content)}


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("412ms", 0.412),
        ("1.24s", 1.24),
        ("0.21%", 0.0021),
        ("1,843", 1843),
        ("-0.5", -0.5),
        ("infinite", math.inf),
        ("37% over 200ms", None),
        ("", None),
    ],
)
def test_a_shown_value_is_a_number_in_base_units(shown: str, value: float | None) -> None:
    assert in_base_units(shown) == (value if value is None else pytest.approx(value))


@given(st.floats(min_value=1e-6, max_value=1e5))
def test_every_format_of_a_value_is_read_back_within_its_three_digits(value: float) -> None:
    for shown in (text.latency(value), text.percent(value), text.number(value)):
        assert in_base_units(shown) == pytest.approx(value, rel=0.01)


def test_text_that_nobody_has_checked_stays_inside_its_label() -> None:
    odd = 'a"} 1\nserinus_leader 0 \\'
    evidence = EvidenceStatus(name=odd, condition=odd, verdict=Verdict.UNKNOWN, cause=Cause.NAN, at=START)
    status = RolloutStatus(stable=Serving(version=odd, weight=100, since=START), evidence=(evidence,))
    record = rollout(status=status)
    exposition = RolloutExposition(START)
    exposition.add(RolloutFigures(replace(record, meta=replace(record.meta, key=ObjectKey(odd, odd)))))

    families = parsed(exposition)

    assert families.keys() <= {family.name for family in FAMILIES}
    (info,) = families["serinus_rollout_info"].samples
    assert info.labels == {"namespace": odd, "name": odd, "stable": odd, "candidate": "", "stage": ""}
    (verdict,) = families["serinus_analysis_verdict"].samples
    assert (verdict.labels["condition"], verdict.labels["cause"]) == (odd, "NaN")


@pytest.mark.parametrize(("weight", "stranded"), [(100, 1), (0, 0)])
def test_a_bad_version_that_nothing_can_take_over_from_is_said(weight: float, stranded: int) -> None:
    rollback = Rollback(
        version="2.0.0", to="", reason=RollbackReason.ABORTED, message="It is bad.", at_weight=100, decided_at=START
    )
    bad = Serving(version="2.0.0", weight=weight, since=START)
    status = RolloutStatus(candidate=bad, rollback=rollback)
    exposition = RolloutExposition(START)
    exposition.add(RolloutFigures(rollout(status=status)))

    (sample,) = parsed(exposition)["serinus_rollout_stranded"].samples
    assert sample.value == stranded


def test_a_limit_beside_the_stable_version_is_no_figure() -> None:
    evidence = EvidenceStatus(
        name="error_rate", condition="error_rate > stable + 0.5%", verdict=Verdict.PASS, value="0.2%", at=START
    )
    exposition = RolloutExposition(START)
    exposition.add(RolloutFigures(rollout(status=RolloutStatus(evidence=(evidence,)))))

    families = parsed(exposition)

    assert families["serinus_analysis_value"].samples[0].value == pytest.approx(0.002)
    assert families["serinus_analysis_threshold"].samples == []


def test_the_labels_of_every_series_are_those_of_its_family() -> None:
    evidence = EvidenceStatus(
        name="error_rate", condition="error_rate > 0.5%", verdict=Verdict.PASS, value="0.2%", at=START
    )
    status = RolloutStatus(
        stable=Serving(version="1.0.0", weight=95, since=START),
        candidate=Serving(version="2.0.0", weight=5, since=START),
        evidence=(evidence,),
    )
    exposition = RolloutExposition(START)
    exposition.add(RolloutFigures(rollout(status=status), accepted={"stable": 0.95}, observed={"candidate": 0.05}))

    families = parsed(exposition)

    for family in FAMILIES:
        assert {tuple(sample.labels) for sample in families[family.name].samples} <= {family.labels}
    assert len(families["serinus_rollout_weight_ratio"].samples) == 4
