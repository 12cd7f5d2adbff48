"""Histories of a model as the operator writes them: registered, verified, walked through stages, promoted, rolled back.

Each step seals its record with the engine itself, so that every history is a whole chain unless a test breaks it.
"""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from msgspec import json, structs

from serinus.api.audit_record import (
    Actor,
    ActorKind,
    ApprovalEvidence,
    AuditEvent,
    AuditRecordSpec,
    Authentication,
    Evidence,
    Happening,
    OnBehalfOf,
    OperatorIdentity,
    RolloutReference,
)
from serinus.api.model import Head
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode, encode
from serinus.engine.catalogue import VersionEntry, spec_hash
from serinus.engine.chain import StoredRecord
from serinus.engine.dossier import Dossier, Material, compile_dossier
from serinus.engine.registry import seal
from support.registry_memory import MemoryStore, ModelData

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


class History:
    """A history that grows record by record; every step takes time."""

    def __init__(self, model: ObjectKey = MODEL, begin: datetime = BEGIN) -> None:
        self.model = model
        self.now = begin
        self.head = Head()
        self.records: list[AuditRecordSpec] = []
        self.entries: dict[str, VersionEntry] = {}
        self.run_number = 0

    # ---- single steps --------------------------------------------------------------------------

    def wait(self, **length: float) -> Self:
        self.now += timedelta(**length)
        return self

    def tell(self, event: AuditEvent, version: str = "", *, stage: str | None = None, **fields: Any) -> AuditRecordSpec:
        """Append a record; with a stage it belongs to the present run."""
        reference = None
        if stage is not None:
            reference = RolloutReference(
                name=self.model.name, uid="b1d0", generation=self.run_number, run=self.run_number, stage=stage
            )
        happening = Happening(
            **{
                "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.model}/{len(self.records)}")),
                "event": event,
                "at": self.now,
                "version": version,
                "digest": self.entries[version].digest if version in self.entries else "",
                "actor": OPERATOR,
                "rollout": reference,
                **fields,
            }
        )
        delay = timedelta(milliseconds=240)
        record, self.head = seal(self.head, happening, self.model, by=BY, now=self.now + delay)
        self.records.append(record)
        return record

    def register(self, version: str, *, details: dict[str, str] | None = None, **fields: Any) -> Self:
        self.entries[version] = an_entry(version, self.now, **fields)
        self.tell(
            AuditEvent.VERSION_REGISTERED,
            version,
            actor=ARGO,
            on_behalf_of=OnBehalfOf(
                name="Carol Jansen", commit="4be91d0", url="https://git.bank.example/ml/fraud/pulls/88"
            ),
            message=f"{version} is known.",
            details=details or {},
        )
        return self.wait(minutes=1)

    def verify_artifact(self, version: str) -> Self:
        self.tell(AuditEvent.ARTIFACT_VERIFIED, version, message="51,200,000 bytes, SHA-256 as the spec says.")
        return self.wait(minutes=4)

    def adopt(self, version: str) -> Self:
        self.tell(AuditEvent.STABLE_ADOPTED, version, stage="", message=f"{version} serves already: adopted as stable.")
        return self.wait(minutes=2)

    # ---- whole runs ----------------------------------------------------------------------------

    def start(self, version: str, actor: Actor = ARGO, plan: list[dict[str, Any]] | None = None) -> Self:
        self.run_number += 1
        stable = self.head.production.version if self.head.production is not None else ""
        self.tell(
            AuditEvent.ROLLOUT_STARTED,
            version,
            stage="staging",
            traffic="0%",
            actor=actor,
            on_behalf_of=OnBehalfOf(name="Carol Jansen", commit="4be91d0") if actor is ARGO else None,
            message=f"Run {self.run_number}: {version} is on trial against {stable or 'nothing'}.",
            details={"plan": json.encode(PLAN if plan is None else plan).decode(), "from": stable},
        )
        return self.wait(minutes=6)

    def shift(self, version: str, stage: str, traffic: str) -> Self:
        message = f"The gateway sends {traffic} to {version}."
        self.tell(AuditEvent.TRAFFIC_SHIFTED, version, stage=stage, traffic=traffic, message=message)
        return self

    def passes(self, version: str, stage: str, traffic: str, *, latency: str = "1.8% over 200ms") -> Self:
        evidence = (
            measured(LATENCY, latency, at=self.now, requests=43_210),
            measured(ERRORS, "0.09%", at=self.now, requests=43_210),
        )
        message = f"Stage {stage} has passed."
        self.tell(AuditEvent.ANALYSIS_PASSED, version, stage=stage, traffic=traffic, evidence=evidence, message=message)
        return self

    def approve(self, version: str, stage: str, *, actor: Actor = BOB, digest: str | None = None) -> ApprovalEvidence:
        given = ApprovalEvidence(
            by=actor.name,
            at=self.now,
            stage=stage,
            reason="Validation report and canary figures read.",
            digest=self.entries[version].digest if digest is None else digest,
        )
        message = f"{actor.name} lets {version} leave {stage}."
        self.tell(
            AuditEvent.APPROVED,
            version,
            stage=stage,
            actor=actor,
            reason=given.reason,
            approvals=(given,),
            message=message,
            traffic="50%",
        )
        return given

    def promote(self, version: str, *, actor: Actor = ARGO, approver: Actor = BOB) -> Self:
        """Walk the whole plan to production."""
        self.start(version, actor)
        for stage, share, hours in (("canary", "5%", 2.0), ("half", "50%", 1.0)):
            self.shift(version, stage, share).wait(hours=hours).passes(version, stage, share)
        self.wait(minutes=38)
        given = self.approve(version, "half", actor=approver)
        self.wait(minutes=1).shift(version, "production", "100%").wait(minutes=30)
        evidence = (
            measured(LATENCY, "188ms", at=self.now, requests=212_004),
            measured(ERRORS, "0.11%", at=self.now, requests=212_004),
        )
        self.tell(
            AuditEvent.PROMOTED,
            version,
            stage="production",
            evidence=evidence,
            approvals=(given,),
            message=f"{version} is the production version.",
        )
        return self

    def breach(self, version: str, to: str, *, value: str = "412ms", condition: str = LATENCY) -> Self:
        """Start a run that is rolled back in its canary stage after 23 minutes."""
        self.start(version).shift(version, "canary", "5%").wait(minutes=23, seconds=11)
        return self.roll_back(version, to, value=value, condition=condition)

    def roll_back(self, version: str, to: str, *, value: str = "412ms", condition: str = LATENCY) -> Self:
        decided = self.now
        other = ERRORS if condition == LATENCY else LATENCY
        evidence = (
            measured(condition, value, verdict="Breach", at=decided),
            measured(other, "0.2%" if other == ERRORS else "2.1% over 200ms", at=decided),
        )
        message = f"{condition.split(' ', maxsplit=1)[0]} {value}, limit {condition.split(' ', 1)[1]} (1,843 requests)"
        self.tell(
            AuditEvent.ROLLBACK_STARTED,
            version,
            stage="canary",
            to=to,
            traffic="5%",
            evidence=evidence,
            message=message,
        )
        self.wait(seconds=1.34)
        self.tell(
            AuditEvent.ROLLED_BACK,
            version,
            stage="canary",
            to=to,
            digest=self.entries[to].digest if to in self.entries else "",
            evidence=evidence,
            message=f"{to} has all the traffic.",
            details={
                "cause": "MetricBreached",
                "atWeight": "5%",
                "decidedAt": decided.isoformat().replace("+00:00", "Z"),
                "trafficSafeAt": self.now.isoformat().replace("+00:00", "Z"),
            },
        )
        return self

    # ---- what becomes of it --------------------------------------------------------------------

    @property
    def stored(self) -> list[StoredRecord]:
        return [StoredRecord(record.sequence, encode(record)) for record in self.records]

    def material(self, **fields: Any) -> Material:
        given = Material(model=self.model, head=self.head, records=self.stored, entries=tuple(self.entries.values()))
        return replace(given, **fields)

    def dossier(self, as_of: datetime | None = None, **fields: Any) -> Dossier:
        return compile_dossier(self.material(**fields), as_of or self.now)

    def data(self) -> ModelData:
        contents = {record.sequence: encode(record) for record in self.records}
        numbers = {record.id: record.sequence for record in self.records}
        return ModelData(head=self.head, versions=dict(self.entries), records=contents, numbers=numbers)

    def store(self) -> MemoryStore:
        return MemoryStore({self.model: self.data()})

    def prune(self, through: int, archive: str = "s3://audit/fraud-detector/2026") -> Self:
        """Remove the first records as retention does: the head says so first."""
        last = self.records[through - 1]
        details = {"through": str(through), "hash": last.hash, "archive": archive}
        self.tell(AuditEvent.RECORDS_PRUNED, details=details, message=f"Records 1 to {through} are archived.")
        self.records = [record for record in self.records if record.sequence > through]
        return self


SCHEMA_MINOR = {"inputs.merchant_risk": "I1 minor a client that does not send it is served with its default"}
SCHEMA_MAJOR = {
    "inputs.amount.dtype": "I7 major a client that sends float64 is refused by float32",
    "outputs.score.range": "O9 minor no client sees a value that it did not expect",
}


def a_first_version() -> History:
    """One version, adopted: the smallest history."""
    return History().register("1.0.0").verify_artifact("1.0.0").adopt("1.0.0").wait(days=30)


def a_year() -> History:
    """Twelve versions with two rollbacks, a waiver, a drift, a rollback by hand and a run under way."""
    history = History().register("2.0.0").verify_artifact("2.0.0").adopt("2.0.0").wait(days=12)
    for minor in range(1, 5):
        version = f"2.{minor}.0"
        history.register(version, details=SCHEMA_MINOR).verify_artifact(version).promote(version).wait(days=17 + minor)
    history.register("2.4.1").verify_artifact("2.4.1").breach("2.4.1", "2.4.0").wait(days=2)
    history.register("2.4.2").verify_artifact("2.4.2").promote("2.4.2", actor=ALICE).wait(days=9)
    history.tell(
        AuditEvent.TRAFFIC_DRIFT_CORRECTED,
        "2.4.2",
        stage="production",
        message="The route's weights were changed by kubectl-edit: put right.",
    )
    history.wait(days=8).register("2.5.0", details=SCHEMA_MAJOR)
    history.tell(
        AuditEvent.SCHEMA_WAIVED,
        "2.5.0",
        actor=ALICE,
        reason="The only client sends float32 already; agreed in change 1187.",
        details=SCHEMA_MAJOR,
    )
    history.verify_artifact("2.5.0").promote("2.5.0", approver=NOBODY).wait(days=21)
    history.register("2.5.1").verify_artifact("2.5.1").breach("2.5.1", "2.5.0", value="3.4%", condition=ERRORS)
    history.wait(hours=5)
    history.tell(
        AuditEvent.QUARANTINE_LIFTED, "2.5.1", actor=ALICE, reason="The errors came from the feature store, now mended."
    )
    history.promote("2.5.1").wait(days=30)
    history.register("2.6.0", artifact={"uri": "s3://models/fraud/2.6.0.onnx"}, trainingData=[]).promote("2.6.0")
    history.wait(days=6)
    history.tell(AuditEvent.ROLLED_BACK, "2.6.0", to="2.5.1", actor=NOBODY, reason="Complaints from the call centre.")
    history.wait(days=14).register("2.6.1", details=SCHEMA_MINOR).verify_artifact("2.6.1").promote("2.6.1").wait(
        days=25
    )
    history.register("2.7.0", details=SCHEMA_MINOR).verify_artifact("2.7.0").start("2.7.0")
    history.shift("2.7.0", "canary", "5%").wait(minutes=52)
    return history


def many_versions(number: int = 150) -> History:
    """A history as long as a busy team's decade: every eighth version is rolled back."""
    history = History().register("1.0.0").verify_artifact("1.0.0").adopt("1.0.0").wait(days=3)
    good = "1.0.0"
    for count in range(1, number):
        version = f"{1 + count // 40}.{count // 4 % 10}.{count % 4}"
        details = SCHEMA_MINOR if count % 4 == 0 else {}
        history.register(version, details=details).verify_artifact(version)
        if count % 8 == 5:
            history.breach(version, good)
        else:
            history.promote(version, approver=NOBODY if count % 30 == 7 else BOB)
            good = version
        history.wait(days=3 + count % 5, hours=count % 11)
    return history


HOSTILE = "<script>alert(1)</script> | `x` [a](http://evil.example) \u202e\x07 \"q\" 's' & {{ 7 * 7 }}\n# heading"


def a_hostile_history() -> History:
    """Every text that somebody outside can choose is chosen by somebody hostile."""
    history = History()
    governance = {
        "owner": HOSTILE,
        "purpose": HOSTILE,
        "modelCard": "javascript:alert(1)",
        "validationReport": "http://evil.example/x",
    }
    history.register("1.0.0", governance=governance, changes=HOSTILE, details={"inputs.a": f"I1 minor {HOSTILE}"})
    history.adopt("1.0.0")
    mallory = structs.replace(NOBODY, name=HOSTILE)
    history.register("1.1.0").start(
        "1.1.0", actor=mallory, plan=[{"name": HOSTILE, "traffic": HOSTILE, HOSTILE: HOSTILE}]
    )
    history.tell(
        AuditEvent.TRAFFIC_DRIFT_CORRECTED, "1.1.0", stage=HOSTILE[:40], actor=mallory, reason=HOSTILE, message=HOSTILE
    )
    return history
