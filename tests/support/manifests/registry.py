"""Manifests of the registry's kinds."""

import uuid
from typing import Any, Final

from serinus.api.names import API_VERSION, audit_record_name
from support.manifests.builders import Manifest

_HASH: Final = "sha256:" + "ab" * 32
_AT: Final = "2026-11-23T14:07:31Z"

UPDATE_RULES: Final = (
    "an AuditRecord never changes",
    "status.audit.sequence never falls: nothing that happened is forgotten",
    "status.generation never falls",
)
"""The API server's messages for updates that would change history."""

EVERY_MODEL_FIELD: Final[dict[str, Any]] = {
    "versioning": {"enforcement": "Warn", "retraining": "Enforce", "allowMajorInPlace": True},
    "metrics": {"enforcement": "Warn", "tolerances": [{"name": "f1", "better": "Higher", "worseBy": "0.01"}]},
    "require": {"lineage": True, "signature": True, "digest": True, "reason": True},
    "approvals": {"fourEyes": True},
    "verification": "Full",
    "retentionDays": 3653,
    "owner": "payments-ml",
    "description": "Card fraud.",
}

EVERY_RECORD_FIELD: Final[dict[str, Any]] = {
    "event": "RolledBack",
    "version": "2.3.1",
    "to": "2.2.4",
    "digest": _HASH,
    "specHash": _HASH,
    "traffic": "5%",
    "onBehalfOf": {"name": "carol", "commit": "4f2a9c1", "url": "https://git.example/changes/7"},
    "reason": "INC-1",
    "message": "2.3.1 was rolled back.",
    "rollout": {"name": "fraud", "uid": "1", "generation": 7, "run": 3, "stage": "canary", "specHash": _HASH},
    "approvals": [{"by": "dave", "at": _AT, "stage": "canary", "reason": "CHG-1", "digest": _HASH, "specHash": _HASH}],
    "evidence": [
        {
            "metric": "error_rate",
            "condition": "error_rate > 1%",
            "verdict": "Breach",
            "cause": "",
            "value": "3%",
            "threshold": "> 1%",
            "requests": 412,
            "at": _AT,
            "source": "default",
            "query": "contour",
            "window": "1m",
        }
    ],
    "details": {"through": "3"},
    "registration": {"spec": "{}", "labels": {"team": "payments"}, "registeredAt": _AT},
    "cluster": "prod-eu",
    "standing": [{"version": "2.2.4", "specHash": _HASH, "digest": _HASH, "yanked": "CVE-1", "yankChanges": 1}],
    "before": {"production": "2.2.4", "candidate": "2.3.1", "traffic": "5%", "stage": "canary", "generation": 4},
    "after": {"production": "2.2.4", "candidate": "", "traffic": "", "stage": "", "generation": 4},
    "previousHash": _HASH,
}


def model(name: str, spec: Manifest | None = None) -> Manifest:
    """Return a Model with this policy."""
    return {"apiVersion": API_VERSION, "kind": "Model", "metadata": {"name": name}, "spec": spec or {}}


def audit_record(model: str, sequence: int = 1, **changes: object) -> Manifest:
    """Return a well-formed record as the operator would create it, without a valid chain."""
    spec = {
        "format": 1,
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{model}/{sequence}")),
        "sequence": sequence,
        "namespace": "",
        "model": model,
        "version": "2.3.1",
        "event": "VersionRegistered",
        "at": _AT,
        "recordedAt": _AT,
        "recordedBy": {"version": "0.1.0", "instance": "tried"},
        "actor": {"name": "alice", "kind": "Person", "authentication": "Admission"},
        "before": {},
        "after": {},
        "previousHash": "",
        "hash": _HASH,
    }
    name = audit_record_name(model, sequence)
    return {"apiVersion": API_VERSION, "kind": "AuditRecord", "metadata": {"name": name}, "spec": {**spec, **changes}}
