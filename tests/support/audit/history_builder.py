"""Builder of a model's history as the operator records it: registration, verification, stages, promotion, rollback.

Each step seals its record with the engine itself, so that every history is an intact chain unless a test breaks it.
"""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Self

from msgspec import json

from serinus.api.audit_record import (
    Actor,
    ApprovalEvidence,
    AuditEvent,
    AuditRecordSpec,
    OnBehalfOf,
    RegistryEntry,
    RolloutReference,
)
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import encode
from serinus.engine.audit.chain import StoredRecord
from serinus.engine.audit.head import seal
from serinus.engine.report.compile import AuditReport, ReportInput, compile_report
from serinus.engine.versions.catalogue import VersionEntry, registration_of
from support.audit.specs import (
    ARGO,
    BEGIN,
    BOB,
    BY,
    ERRORS,
    LATENCY,
    MODEL,
    OPERATOR,
    PLAN,
    an_entry,
    measured,
)
from support.registry.memory import MemoryStore, ModelData


class Held(Enum):
    """What the record of a registration holds of the version: earlier releases held less."""

    FACTS = "every fact"
    HASH = "the hash of its spec"
    NOTHING = "its number"


class History:
    """A history that grows record by record; most steps advance the time."""

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

    def record(
        self, event: AuditEvent, version: str = "", *, stage: str | None = None, **fields: Any
    ) -> AuditRecordSpec:
        """Append a record; with a stage it belongs to the current run."""
        reference = None
        if stage is not None:
            reference = RolloutReference(
                name=self.model.name, uid="b1d0", generation=self.run_number, run=self.run_number, stage=stage
            )
        audit_entry = RegistryEntry(
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
        record, self.head = seal(self.head, audit_entry, self.model, by=BY, now=self.now + delay)
        self.records.append(record)
        return record

    def register(
        self, version: str, *, details: dict[str, str] | None = None, held: Held = Held.FACTS, **fields: Any
    ) -> Self:
        entry = self.entries[version] = an_entry(version, self.now, **fields)
        self.record(
            AuditEvent.VERSION_REGISTERED,
            version,
            actor=ARGO,
            spec_hash="" if held is Held.NOTHING else entry.spec_hash,
            registration=registration_of(entry) if held is Held.FACTS else None,
            on_behalf_of=OnBehalfOf(
                name="Carol Jansen", commit="4be91d0", url="https://git.bank.example/ml/fraud/pulls/88"
            ),
            message=f"{version} is known.",
            details=details or {},
        )
        return self.wait(minutes=1)

    def verify_artifact(self, version: str) -> Self:
        self.record(AuditEvent.ARTIFACT_VERIFIED, version, message="51,200,000 bytes, SHA-256 as the spec says.")
        return self.wait(minutes=4)

    def adopt(self, version: str) -> Self:
        self.record(
            AuditEvent.STABLE_ADOPTED, version, stage="", message=f"{version} serves already: adopted as stable."
        )
        return self.wait(minutes=2)

    # ---- whole runs ----------------------------------------------------------------------------

    def start(self, version: str, actor: Actor = ARGO, plan: list[dict[str, Any]] | None = None) -> Self:
        self.run_number += 1
        stable = self.head.production.version if self.head.production is not None else ""
        self.record(
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
        self.record(AuditEvent.TRAFFIC_SHIFTED, version, stage=stage, traffic=traffic, message=message)
        return self

    def passes(self, version: str, stage: str, traffic: str, *, latency: str = "1.8% over 200ms") -> Self:
        evidence = (
            measured(LATENCY, latency, at=self.now, requests=43_210),
            measured(ERRORS, "0.09%", at=self.now, requests=43_210),
        )
        message = f"Stage {stage} has passed."
        self.record(
            AuditEvent.ANALYSIS_PASSED, version, stage=stage, traffic=traffic, evidence=evidence, message=message
        )
        return self

    def approve(self, version: str, stage: str, *, actor: Actor = BOB, digest: str | None = None) -> ApprovalEvidence:
        approval = ApprovalEvidence(
            by=actor.name,
            at=self.now,
            stage=stage,
            reason="Validation report and canary figures read.",
            digest=self.entries[version].digest if digest is None else digest,
        )
        message = f"{actor.name} lets {version} leave {stage}."
        self.record(
            AuditEvent.APPROVED,
            version,
            stage=stage,
            actor=actor,
            reason=approval.reason,
            approvals=(approval,),
            message=message,
            traffic="50%",
        )
        return approval

    def promote(self, version: str, *, actor: Actor = ARGO, approver: Actor = BOB) -> Self:
        """Walk the whole plan to production."""
        self.start(version, actor)
        for stage, share, hours in (("canary", "5%", 2.0), ("half", "50%", 1.0)):
            self.shift(version, stage, share).wait(hours=hours).passes(version, stage, share)
        self.wait(minutes=38)
        approval = self.approve(version, "half", actor=approver)
        self.wait(minutes=1).shift(version, "production", "100%").wait(minutes=30)
        evidence = (
            measured(LATENCY, "188ms", at=self.now, requests=212_004),
            measured(ERRORS, "0.11%", at=self.now, requests=212_004),
        )
        self.record(
            AuditEvent.PROMOTED,
            version,
            stage="production",
            evidence=evidence,
            approvals=(approval,),
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
        self.record(
            AuditEvent.ROLLBACK_STARTED,
            version,
            stage="canary",
            to=to,
            traffic="5%",
            evidence=evidence,
            message=message,
        )
        self.wait(seconds=1.34)
        self.record(
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

    # ---- results -------------------------------------------------------------------------------

    @property
    def stored(self) -> list[StoredRecord]:
        return [StoredRecord(record.sequence, encode(record)) for record in self.records]

    def report_input(self, **fields: Any) -> ReportInput:
        complete = ReportInput(
            model=self.model, head=self.head, records=self.stored, entries=tuple(self.entries.values())
        )
        return replace(complete, **fields)

    def report(self, as_of: datetime | None = None, **fields: Any) -> AuditReport:
        return compile_report(self.report_input(**fields), as_of or self.now)

    def data(self) -> ModelData:
        contents = {record.sequence: encode(record) for record in self.records}
        numbers = {record.id: record.sequence for record in self.records}
        return ModelData(head=self.head, versions=dict(self.entries), records=contents, numbers=numbers)

    def store(self) -> MemoryStore:
        return MemoryStore({self.model: self.data()})

    def prune(self, through: int, archive: str = "s3://audit/fraud-detector/2026") -> Self:
        """Remove the first records as retention does: the removal is recorded first."""
        last = self.records[through - 1]
        details = {"through": str(through), "hash": last.hash, "archive": archive}
        self.record(AuditEvent.RECORDS_PRUNED, details=details, message=f"Records 1 to {through} are archived.")
        self.records = [record for record in self.records if record.sequence > through]
        return self
