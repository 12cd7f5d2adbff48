"""Metrics compared with those of the version in production: the policy, the acknowledgement, and what is exempt."""

from typing import Any, Final

import pytest

from serinus.api.conditions import ConditionType
from serinus.api.model import Better, Enforcement, MetricsPolicy, MetricTolerance, ModelSpec, Verification
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.engine.versions.admission import Review, VersionUnderReview, known_version, review

TOLERANCES: Final = (
    MetricTolerance(name="f1", better=Better.HIGHER, worse_by="0.01"),
    MetricTolerance(name="loss", better=Better.LOWER, worse_by="0.1"),
)


def a_version(number: str, *, f1: str | None = "0.91", loss: str = "0.5") -> ModelVersionSpec:
    metrics = [{"name": "f1", "value": f1, "dataset": "test"}] if f1 is not None else []
    metrics.append({"name": "loss", "value": loss})
    return decode(ModelVersionSpec, {"model": "fraud", "version": number, "metrics": metrics}, "spec")


def reviewed(
    candidate: ModelVersionSpec,
    *,
    production: ModelVersionSpec | None = None,
    enforcement: Enforcement = Enforcement.ENFORCE,
    tolerances: tuple[MetricTolerance, ...] = TOLERANCES,
    **fields: Any,
) -> Review:
    known = [known_version(VersionUnderReview(spec=production, spec_hash="p"))] if production is not None else []
    return review(
        VersionUnderReview(spec=candidate, spec_hash="c", **fields),
        known,
        ModelSpec(metrics=MetricsPolicy(enforcement=enforcement, tolerances=tolerances)),
        production=production.version if production is not None else None,
        verification=Verification.OFF,
    )


def finding(result: Review) -> tuple[str, str] | None:
    found = (one for one in result.findings if one.kind is ConditionType.METRICS_ACCEPTED)
    return next(((one.status.value, one.reason) for one in found), None)


SERVING: Final = a_version("1.0.0")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"f1": "0.89"}, "f1 on test is 0.89 (production: 0.91, tolerance 0.01)"),
        ({"loss": "0.61"}, "loss is 0.61 (production: 0.5, tolerance 0.1)"),
        ({"f1": None}, "f1 on test is not stated (production: 0.91)"),
    ],
)
def test_a_metric_that_is_worse_than_productions_needs_a_word(fields: dict[str, Any], sentence: str) -> None:
    result = reviewed(a_version("1.1.0", **fields), production=SERVING)
    assert finding(result) == ("False", "MetricsWorse")
    assert result.block is not None
    assert (result.block.reason, result.block.temporary) == ("MetricsWorse", False)
    assert sentence in result.block.message
    assert "annotate it with serinus.dev/accept-worse-metrics: <reason>" in result.block.message


def test_an_acknowledgement_admits_the_version_and_is_told() -> None:
    result = reviewed(a_version("1.1.0", f1="0.8"), production=SERVING, worse_metrics="half the latency")
    assert (result.block, result.metrics_acknowledged, finding(result)) == (None, True, ("True", "Acknowledged"))


def test_an_unnecessary_acknowledgement_acknowledges_nothing() -> None:
    result = reviewed(a_version("1.1.0"), production=SERVING, worse_metrics="just in case")
    assert (result.metrics_acknowledged, finding(result)) == (False, ("True", "WithinTolerance"))


def test_the_policy_may_only_warn() -> None:
    result = reviewed(a_version("1.1.0", f1="0.8"), production=SERVING, enforcement=Enforcement.WARN)
    assert (result.block, finding(result)) == (None, ("False", "MetricsWorse"))


@pytest.mark.parametrize("fields", [{"f1": "0.901"}, {"f1": "0.99", "loss": "0.1"}, {"loss": "0.6"}])
def test_within_the_tolerance_or_better_is_accepted(fields: dict[str, Any]) -> None:
    result = reviewed(a_version("1.1.0", **fields), production=SERVING)
    assert (result.block, finding(result)) == (None, ("True", "WithinTolerance"))


def test_without_a_policy_or_with_it_off_nothing_is_said() -> None:
    worse = a_version("1.1.0", f1="0.1")
    assert finding(reviewed(worse, production=SERVING, tolerances=())) is None
    assert finding(reviewed(worse, production=SERVING, enforcement=Enforcement.OFF)) is None
    asked = reviewed(worse, production=SERVING, tolerances=(), metrics_compared=True)
    assert (asked.block, finding(asked)) == (None, ("Unknown", "NotAsked"))


@pytest.mark.parametrize("number", ["0.9.0", "1.0.0-rc.1"])
def test_an_earlier_release_is_no_successor_and_a_prerelease_of_what_serves_is(number: str) -> None:
    result = reviewed(a_version(number, f1="0.1"), production=SERVING)
    assert finding(result) == (("True", "NothingToCompare") if number == "0.9.0" else ("False", "MetricsWorse"))


def test_a_version_that_has_served_stays_a_rollback_target() -> None:
    result = reviewed(a_version("1.1.0", f1="0.1"), production=SERVING, has_served=True)
    assert (result.block, finding(result)) == (None, None)


def test_the_first_version_is_compared_with_nothing() -> None:
    assert finding(reviewed(a_version("1.0.0", f1="0.1"))) == ("True", "NothingToCompare")
