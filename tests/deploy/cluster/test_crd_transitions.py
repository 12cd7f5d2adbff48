"""AuditRecords are immutable and chains only grow: the API server's rules for records and for the head of a chain."""

import json
import uuid

import pytest

from support.kubectl import Kubectl
from support.manifests.builders import Manifest, changed
from support.manifests.registry import EVERY_RECORD_FIELD, UPDATE_RULES, audit_record, model

_IMMUTABLE, _SEQUENCE_FELL, _GENERATION_FELL = UPDATE_RULES


@pytest.fixture
def fraud() -> str:
    """An unused model name."""
    return f"fraud-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize(
    "change",
    [
        {"spec.reason": "another"},
        {"spec.actor.name": "mallory"},
        {"spec.evidence[0].value": "0.1%"},
        {"spec.details": {"through": "3", "more": "1"}},
        {"spec.hash": "sha256:" + "cd" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_record_is_immutable(user: Kubectl, fraud: str, change: Manifest) -> None:
    record = audit_record(fraud, **EVERY_RECORD_FIELD)
    user("create", "-f", "-", given=record)
    assert _IMMUTABLE in user.refusal("apply", "-f", "-", given=changed(record, change))


def test_a_sequence_number_is_used_once(user: Kubectl, fraud: str) -> None:
    user("create", "-f", "-", given=audit_record(fraud, 3))
    assert "already exists" in user.refusal("create", "-f", "-", given=audit_record(fraud, 3, reason="another"))


@pytest.mark.parametrize(
    "name", ["{model}-000000000004", "{model}-3", "{model}-0000000000003", "x{model}-000000000003"]
)
def test_the_name_of_a_record_is_determined_by_its_sequence_number(user: Kubectl, fraud: str, name: str) -> None:
    record = changed(audit_record(fraud, 3), {"metadata.name": name.format(model=fraud)})
    assert "metadata.name must be <model>-<sequence in twelve digits>" in user.refusal(
        "create", "-f", "-", given=record
    )


def test_the_head_of_a_chain_only_grows(user: Kubectl, fraud: str) -> None:
    user("create", "-f", "-", given=model(fraud))
    _set_status(user, fraud, {"generation": 2, "audit": {"sequence": 5}})
    _set_status(user, fraud, {"generation": 2, "audit": {"sequence": 6}})
    assert _SEQUENCE_FELL in user.refusal(*_patch(fraud, {"audit": {"sequence": 5}}))
    assert _SEQUENCE_FELL in user.refusal(*_patch(fraud, {"audit": None}))
    assert _GENERATION_FELL in user.refusal(*_patch(fraud, {"generation": 1}))
    assert _GENERATION_FELL in user.refusal(*_patch(fraud, {"generation": None}))


def test_writing_a_model_does_not_change_its_head(user: Kubectl, fraud: str) -> None:
    user("apply", "-f", "-", given=model(fraud))
    _set_status(user, fraud, {"generation": 2, "audit": {"sequence": 5}})
    user("apply", "-f", "-", given={**model(fraud, {"owner": "payments-ml"}), "status": {"generation": 9}})
    stored = user.json("get", "mdl", fraud)
    assert (stored["spec"]["owner"], stored["status"]["generation"]) == ("payments-ml", 2)


def _set_status(user: Kubectl, name: str, status: Manifest) -> None:
    user(*_patch(name, status))


def _patch(name: str, status: Manifest) -> tuple[str, ...]:
    return "patch", "mdl", name, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status})
