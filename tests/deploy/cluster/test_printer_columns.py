"""Output of kubectl: columns, short names, categories."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from serinus.api.conditions import Condition, ConditionStatus
from serinus.api.model import CandidateVersion, ChainHead, Head, ProductionVersion
from serinus.api.parsing import encode
from serinus.api.rollout_status import CurrentStage, Phase, RolloutStatus, Serving, StageState
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, model_version, rollout
from support.manifests.registry import EVERY_RECORD_FIELD, audit_record, model

_DIGEST = "sha256:" + "ab" * 32
_NEXT = "Goes to production at 14:32:00Z if all 2 conditions hold."


@pytest.fixture(scope="module", autouse=True)
def _a_canary_at_five_percent(user: Kubectl) -> None:
    user("apply", "-f", "-", given=[rollout(), model_version({"spec.artifact.digest": _DIGEST})])
    user(*_status("mro", "fraud-detector", _canary()))
    accepted = _condition("Accepted")
    compatibility = {"against": "2.2.4", "declared": "minor", "required": "patch", "rollbackSafe": True}
    status = {"stage": "Canary", "traffic": "5%", "compatibility": compatibility, "conditions": [accepted]}
    user(*_status("mv", "fraud-detector-v2.3.1", status))
    records = [
        model("fraud-detector", {"owner": "payments-ml"}),
        audit_record("fraud-detector", 3, **EVERY_RECORD_FIELD),
    ]
    user("apply", "-f", "-", given=records)
    user(*_status("mdl", "fraud-detector", encode(_head())))


def _began() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=11)


def _canary() -> Manifest:
    began = _began()
    status = RolloutStatus(
        phase=Phase.PROGRESSING,
        reason="Analyzing",
        next_action=_NEXT,
        stable=Serving(version="2.2.4", weight=95, since=began),
        candidate=Serving(version="2.3.1", weight=5, since=began),
        stage=CurrentStage(index=1, name="canary", state=StageState.ANALYZING, since=began, state_since=began),
        phase_since=began,
    )
    return encode(status)


def _condition(kind: str) -> Manifest:
    condition = Condition(
        type=kind,
        status=ConditionStatus.TRUE,
        reason=kind,
        message="why",
        observed_generation=1,
        last_transition_time=_began(),
    )
    return encode(condition)


def _head() -> Head:
    return Head(
        production=ProductionVersion(version="2.2.4", since=_began()),
        candidate=CandidateVersion(version="2.3.1", stage="canary", traffic="5%", since=_began()),
        good=("2.2.3", "2.2.2"),
        generation=4,
        audit=ChainHead(sequence=3),
    )


def _status(kind: str, name: str, status: Manifest) -> tuple[str, ...]:
    return "patch", kind, name, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status})


def _rows(output: str) -> list[list[str]]:
    # kubectl separates columns by at least three spaces.
    return [re.split(r"\s{3,}", line.strip()) for line in output.splitlines()]


def test_kubectl_get_shows_serving_version_and_progress(user: Kubectl) -> None:
    head, row = _rows(user("get", "mro"))
    assert head == ["NAME", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "STAGE", "REASON", "AGE"]
    assert row[:-1] == ["fraud-detector", "Progressing", "2.2.4", "2.3.1", "5", "canary", "Analyzing"]


def test_kubectl_get_wide_adds_the_time_in_phase_and_the_next_action(user: Kubectl) -> None:
    head, row = _rows(user("get", "mro", "-o", "wide"))
    assert head[-2:] == ["SINCE", "NEXT"]
    assert row[-2:] == ["11m", _NEXT]


def test_kubectl_get_shows_the_stage_of_each_version(user: Kubectl) -> None:
    head, row = _rows(user("get", "mv"))
    assert head == ["NAME", "MODEL", "VERSION", "STAGE", "TRAFFIC", "BACKEND", "BUMP", "ACCEPTED", "AGE"]
    expected = ["fraud-detector-v2.3.1", "fraud-detector", "2.3.1", "Canary", "5%", "fraud-detector-v2-3-1"]
    assert row[:-1] == [*expected, "patch", "True"]


def test_kubectl_get_shows_production_candidate_and_rollback_target_of_a_model(user: Kubectl) -> None:
    head, row = _rows(user("get", "mdl", "-o", "wide"))
    columns = ["PRODUCTION", "SINCE", "CANDIDATE", "TRAFFIC", "PREVIOUS", "RECORDS", "AGE", "OWNER", "GENERATION"]
    assert head == ["NAME", *columns]
    assert row[:7] == ["fraud-detector", "2.2.4", "11m", "2.3.1", "5%", "2.2.3", "3"]
    assert row[8:] == ["payments-ml", "4"]


def test_kubectl_get_shows_event_actor_and_reason_of_a_record(user: Kubectl) -> None:
    head, row = _rows(user("get", "mar"))
    assert head == ["NAME", "MODEL", "AT", "EVENT", "VERSION", "ACTOR", "REASON"]
    assert row[0] == "fraud-detector-000000000003"
    assert (row[1], *row[3:]) == ("fraud-detector", "RolledBack", "2.3.1", "alice", "INC-1")


def test_kubectl_get_wide_adds_artifact_and_digest_of_a_version(user: Kubectl) -> None:
    head, row = _rows(user("get", "mv", "-o", "wide"))
    assert head[-2:] == ["ARTIFACT", "DIGEST"]
    assert row[-2:] == ["s3://models/fraud/2.3.1.onnx", _DIGEST]


@pytest.mark.parametrize(
    ("category", "more"), [("all", set()), ("serinus", {"auditrecord.serinus.dev/fraud-detector-000000000003"})]
)
def test_the_category_all_lists_the_kinds_and_serinus_the_records_as_well(
    user: Kubectl, category: str, more: set[str]
) -> None:
    ours = {name for name in user("get", category, "-o", "name").split() if ".serinus.dev/" in name}
    named = {f"{kind}.serinus.dev/fraud-detector" for kind in ("model", "rollout")}
    assert ours == {"modelversion.serinus.dev/fraud-detector-v2.3.1", *named, *more}


@pytest.mark.parametrize(
    ("kind", "field", "name"),
    [
        ("mro", "spec.model=fraud-detector", "rollout.serinus.dev/fraud-detector"),
        ("mro", "status.phase=Progressing", "rollout.serinus.dev/fraud-detector"),
        ("mv", "spec.version=2.3.1", "modelversion.serinus.dev/fraud-detector-v2.3.1"),
        ("mar", "spec.event=RolledBack", "auditrecord.serinus.dev/fraud-detector-000000000003"),
    ],
)
def test_lists_support_field_selectors(user: Kubectl, kind: str, field: str, name: str) -> None:
    assert user("get", kind, f"--field-selector={field}", "-o", "name").split() == [name]
    assert user("get", kind, f"--field-selector={field}x", "-o", "name") == ""


def test_kubectl_explain_describes_a_field(user: Kubectl) -> None:
    assert "A share of traffic between 0% and 100%" in user("explain", "mro.spec.stages.traffic")
