"""The CRDs in a real API server: what it accepts, what it refuses, and with which messages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.kubectl import Kubectl
from support.manifests.accepted import ACCEPTED
from support.manifests.builders import Manifest, changed, model_version, rollout
from support.manifests.refused import REFUSED, Refused
from support.manifests.registry import UPDATE_RULES

_ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_valid_manifest_is_stored_unchanged(user: Kubectl, manifest: Manifest) -> None:
    stored = user.json("create", "--dry-run=server", "-f", "-", given=manifest)
    assert stored["spec"] == manifest["spec"]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.title)
def test_an_invalid_manifest_is_refused_with_the_field_and_the_reason(user: Kubectl, case: Refused) -> None:
    error = user.refusal("create", "--dry-run=server", "-f", "-", given=case.manifest)
    assert case.field in error
    assert case.message in error


def test_every_rule_of_the_crds_is_violated_by_some_invalid_manifest() -> None:
    messages = [case.message for case in REFUSED] + ["metadata.name must be", *_ON_UPDATE]
    rules = list(_rules())
    assert len(rules) > 10
    untested = [rule for rule in rules if not any(message in rule or rule in message for message in messages)]
    assert untested == []


_ON_UPDATE = (
    "a ModelVersion's spec is immutable: create another ModelVersion",
    "spec.model cannot be changed",
    "status.epoch never falls: this writer has lost the leadership",
    "managed cannot be switched on or off",
    *UPDATE_RULES,
)
"""The rules on updates, which are tested below and in test_crd_transitions."""


def _rules() -> Iterator[str]:
    for file in sorted((_ROOT / "deploy" / "crds").glob("*.yaml")):
        yield from _messages(yaml.safe_load(file.read_text(encoding="utf-8")))


def _messages(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for member in node:
            yield from _messages(member)
    elif isinstance(node, dict):
        for rule in node.get("x-kubernetes-validations", ()):
            yield rule.get("message") or rule["messageExpression"]
        for member in node.values():
            yield from _messages(member)


@pytest.mark.parametrize(
    "change",
    [
        {"spec.version": "2.3.2"},
        {"spec.artifact.uri": "s3://models/fraud/other.onnx"},
        {"spec.serving.backendRef.port": 8080},
        {"spec.changes": "Only the notes."},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_model_version_is_immutable(user: Kubectl, change: dict[str, Any]) -> None:
    user("apply", "-f", "-", given=model_version())
    error = user.refusal("apply", "-f", "-", given=model_version(change))
    assert "spec: Invalid value" in error
    assert _ON_UPDATE[0] in error


def test_a_rollout_stays_with_its_model(user: Kubectl) -> None:
    user("apply", "-f", "-", given=rollout({"metadata.name": "faithful"}))
    error = user.refusal("apply", "-f", "-", given=rollout({"metadata.name": "faithful", "spec.model": "another"}))

    assert "spec.model: Invalid value" in error
    assert _ON_UPDATE[1] in error


@pytest.mark.parametrize("first", ["managed", "referenced"])
def test_a_route_stays_managed_or_not(user: Kubectl, first: str) -> None:
    managed = {"name": "fraud", "managed": True, "template": {"parentRefs": [{"name": "public"}]}}
    routes = [{"httpRoute": managed}, {"httpRoute": {"name": "fraud"}}]
    name = {"metadata.name": f"switched-{first}"}
    before, after = routes if first == "managed" else routes[::-1]
    user("apply", "-f", "-", given=rollout({**name, "spec.route": before}))

    error = user.refusal("apply", "-f", "-", given=rollout({**name, "spec.route": after}))

    assert "spec.route.httpRoute: Invalid value" in error
    assert _ON_UPDATE[3] in error
    renamed = changed(rollout({**name, "spec.route": before}), {"spec.route.httpRoute.name": "other"})
    user("apply", "-f", "-", given=renamed)


def test_a_model_version_may_get_labels(user: Kubectl) -> None:
    user("apply", "-f", "-", given=model_version())
    user("apply", "-f", "-", given=model_version({"metadata.labels": {"team": "payments-ml"}}))
    assert (
        user("get", "mv", "-l", "team=payments-ml", "-o", "name") == "modelversion.serinus.dev/fraud-detector-v2.3.1\n"
    )


def test_the_status_of_a_deposed_leader_is_refused(user: Kubectl) -> None:
    user("apply", "-f", "-", given=rollout({"metadata.name": "epochs"}))
    for epoch in (7, 7, 8):
        _write_status(user, "epochs", {"epoch": epoch})
    error = user.refusal(*_status_patch("epochs", '{"status": {"epoch": 7}}'))
    assert "status: Invalid value" in error
    assert _ON_UPDATE[2] in error
    assert _ON_UPDATE[2] in user.refusal(*_status_patch("epochs", '{"status": {"epoch": null}}'))


def test_an_unknown_phase_is_refused(user: Kubectl) -> None:
    user("apply", "-f", "-", given=rollout({"metadata.name": "phases"}))
    error = user.refusal(*_status_patch("phases", '{"status": {"phase": "Fine"}}'))
    assert 'status.phase: Unsupported value: "Fine"' in error


def test_a_user_who_writes_the_object_does_not_touch_its_status(user: Kubectl) -> None:
    user("apply", "-f", "-", given=rollout({"metadata.name": "apart"}))
    _write_status(user, "apart", {"phase": "Healthy"})
    user("apply", "-f", "-", given=changed(rollout({"metadata.name": "apart"}), {"status": {"phase": "Invalid"}}))
    assert user.json("get", "mro", "apart")["status"] == {"observedGeneration": -1, "phase": "Healthy"}


def _write_status(user: Kubectl, name: str, status: Manifest) -> None:
    user(*_status_patch(name, yaml.safe_dump({"status": status})))


def _status_patch(name: str, patch: str) -> tuple[str, ...]:
    return "patch", "mro", name, "--subresource=status", "--type=merge", "--patch", patch
