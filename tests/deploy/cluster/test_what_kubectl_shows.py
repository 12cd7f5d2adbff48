"""What a person sees at a terminal: the columns, the short names, the categories."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from serinus.api.parsing import encode
from serinus.api.rollout_status import CurrentStage, Phase, RolloutStatus, Serving, StageState
from support.kubectl import Kubectl
from support.manifests import Manifest, model_version, rollout

_DIGEST = "sha256:" + "ab" * 32
_NEXT = "Goes to production at 14:32:00Z if all 2 conditions hold."


@pytest.fixture(scope="module", autouse=True)
def _a_canary_at_five_percent(user: Kubectl) -> None:
    user("apply", "-f", "-", given=[rollout(), model_version({"spec.artifact.digest": _DIGEST})])
    user(*_status("mro", "fraud-detector", _canary()))
    user(*_status("mv", "fraud-detector-v2.3.1", {"stage": "Canary", "traffic": "5%"}))


def _canary() -> Manifest:
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=11)
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


def _status(kind: str, name: str, status: Manifest) -> tuple[str, ...]:
    return "patch", kind, name, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status})


def _rows(output: str) -> list[list[str]]:
    # kubectl parts columns by at least three spaces.
    return [re.split(r"\s{3,}", line.strip()) for line in output.splitlines()]


def test_the_short_list_of_rollouts_answers_what_serves_and_how_far_the_run_is(user: Kubectl) -> None:
    head, row = _rows(user("get", "mro"))
    assert head == ["NAME", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "STAGE", "REASON", "AGE"]
    assert row[:-1] == ["fraud-detector", "Progressing", "2.2.4", "2.3.1", "5", "canary", "Analyzing"]


def test_the_wide_list_of_rollouts_says_since_when_and_what_comes_next(user: Kubectl) -> None:
    head, row = _rows(user("get", "mro", "-o", "wide"))
    assert head[-2:] == ["SINCE", "NEXT"]
    assert row[-2:] == ["11m", _NEXT]


def test_the_short_list_of_versions_says_where_each_stands(user: Kubectl) -> None:
    head, row = _rows(user("get", "mv"))
    assert head == ["NAME", "MODEL", "VERSION", "STAGE", "TRAFFIC", "BACKEND", "AGE"]
    expected = ["fraud-detector-v2.3.1", "fraud-detector", "2.3.1", "Canary", "5%", "fraud-detector-v2-3-1"]
    assert row[:-1] == expected


def test_the_wide_list_of_versions_shows_the_bytes(user: Kubectl) -> None:
    head, row = _rows(user("get", "mv", "-o", "wide"))
    assert head[-2:] == ["ARTIFACT", "DIGEST"]
    assert row[-2:] == ["s3://models/fraud/2.3.1.onnx", _DIGEST]


@pytest.mark.parametrize("category", ["serinus", "all"])
def test_one_word_lists_both_kinds(user: Kubectl, category: str) -> None:
    listed = user("get", category, "-o", "name").split()
    assert {"modelversion.serinus.dev/fraud-detector-v2.3.1", "rollout.serinus.dev/fraud-detector"} <= set(listed)


@pytest.mark.parametrize(
    ("kind", "field", "name"),
    [
        ("mro", "spec.model=fraud-detector", "rollout.serinus.dev/fraud-detector"),
        ("mro", "status.phase=Progressing", "rollout.serinus.dev/fraud-detector"),
        ("mv", "spec.version=2.3.1", "modelversion.serinus.dev/fraud-detector-v2.3.1"),
    ],
)
def test_a_list_can_be_narrowed_by_a_field(user: Kubectl, kind: str, field: str, name: str) -> None:
    assert user("get", kind, f"--field-selector={field}", "-o", "name").split() == [name]
    assert user("get", kind, f"--field-selector={field}x", "-o", "name") == ""


def test_explain_tells_what_a_field_means(user: Kubectl) -> None:
    assert "A share of traffic between 0% and 100%" in user("explain", "mro.spec.stages.traffic")
