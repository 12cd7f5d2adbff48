"""The parts of sample histories: actors, plan, versions and measurements."""

import uuid
from datetime import UTC, datetime
from typing import Any

from serinus.api.audit_record import Actor, ActorKind, Authentication, Evidence, OperatorIdentity
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.engine.versions.catalogue import VersionEntry, spec_hash

MODEL = ObjectKey("payments", "fraud-detector")
BEGIN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BY = OperatorIdentity(version="0.2.0", instance="serinus-7c9f")

OPERATOR = Actor(name="serinus", kind=ActorKind.OPERATOR, authentication=Authentication.OPERATOR)
ALICE = Actor(name="alice@bank.example", kind=ActorKind.PERSON, authentication=Authentication.ADMISSION)
BOB = Actor(name="bob@bank.example", kind=ActorKind.PERSON, authentication=Authentication.ADMISSION)
ARGO = Actor(
    name="system:serviceaccount:argocd:application-controller",
    kind=ActorKind.SERVICE_ACCOUNT,
    authentication=Authentication.ADMISSION,
)
NOBODY = Actor(name="unverified", kind=ActorKind.UNKNOWN, authentication=Authentication.NONE)

LATENCY, ERRORS = "latency_p95 > 200ms", "error_rate > 0.5%"
PLAN: list[dict[str, Any]] = [
    {"name": "staging", "traffic": "0%"},
    {"name": "canary", "traffic": "5%", "duration": "2h", "abortOn": [LATENCY, ERRORS]},
    {"name": "half", "traffic": "50%", "duration": "1h", "abortOn": [LATENCY, ERRORS]},
    {"name": "production", "traffic": "100%", "bake": "30m", "approval": "Required", "abortOn": [LATENCY, ERRORS]},
]


def digest_of_bytes(text: str) -> str:
    return f"sha256:{uuid.uuid5(uuid.NAMESPACE_OID, text).hex * 2}"


def a_version_spec(version: str, **fields: Any) -> ModelVersionSpec:
    raw = {
        "model": MODEL.name,
        "version": version,
        "artifact": {
            "uri": f"s3://models/fraud/{version}.onnx",
            "digest": digest_of_bytes(version),
            "sizeBytes": 51_200_000,
            "format": "onnx",
        },
        "framework": {"name": "pytorch", "version": "2.1.0"},
        "trainingData": [
            {
                "uri": "s3://data/fraud/2026-02",
                "version": "v2.3",
                "digest": digest_of_bytes("february"),
                "range": "2025-03-01/2026-02-28",
                "rows": 41_300_000,
            }
        ],
        "training": {"duration": "3h24m", "by": "training-pipeline"},
        "lineage": {
            "code": {"repository": "https://git.bank.example/ml/fraud", "commit": digest_of_bytes(version)[7:47]},
            "featureCommit": "8c1f0a2",
            "hyperparameters": {"learning_rate": "0.001", "trees": "400"},
            "run": {"system": "mlflow", "id": f"run-{version}", "url": f"https://mlflow.bank.example/runs/{version}"},
        },
        "metrics": [
            {"name": "precision", "value": "0.941", "dataset": "test"},
            {"name": "recall", "value": "0.887", "dataset": "test"},
            {"name": "recall", "value": "0.861", "dataset": "test", "segment": "country=NL"},
            {"name": "recall", "value": "0.902", "dataset": "test", "segment": "country=DE"},
        ],
        "signature": {
            "profile": "columnar",
            "inputs": [
                {"name": "amount", "dtype": "float64", "unit": "EUR", "min": "0"},
                {"name": "merchant_risk", "dtype": "float64", "featureRef": "merchant_risk@3"},
                {"name": "country", "dtype": "string", "optional": True, "default": "NL"},
            ],
            "outputs": [{"name": "score", "dtype": "float32", "min": "0", "max": "1", "unit": "probability"}],
        },
        "governance": {
            "owner": "payments-ml",
            "purpose": "Scores card payments for fraud before they are authorised.",
            "intendedUse": "The authorisation service; scores above 0.9 are declined, above 0.6 reviewed by a person.",
            "limitations": "Not for account opening. Not validated for payments above EUR 50,000.",
            "riskTier": 1,
            "modelCard": "https://models.bank.example/fraud-detector",
            "validatedBy": "model-risk@bank.example",
            "validationReport": f"https://models.bank.example/reports/fraud-detector-{version}",
            "reviewBy": "2027-03-01",
            "license": "LicenseRef-Bank",
        },
        "changes": "Retrained on a year of payments; merchant risk is read from the new feature.",
    }
    return decode(ModelVersionSpec, {**raw, **fields}, "spec")


def an_entry(version: str, at: datetime = BEGIN, **fields: Any) -> VersionEntry:
    spec = a_version_spec(version, **fields)
    return VersionEntry(spec=spec, spec_hash=spec_hash(spec), registered_at=at)


def measured(condition: str, value: str, *, verdict: str = "Pass", at: datetime = BEGIN, **fields: Any) -> Evidence:
    name, _, limit = condition.partition(" ")
    raw = {
        "metric": name,
        "condition": condition,
        "verdict": verdict,
        "value": value,
        "threshold": limit,
        "requests": 1843,
        "at": at,
        "source": "default",
        "query": "preset contour",
        "window": "1m",
    }
    return decode(Evidence, {**raw, **fields}, "evidence")
