"""The audit report of a model as typed values.

Every statement comes from a record and refers to it by number. What the records do not contain is reported as missing;
nothing is guessed. :mod:`serinus.cli.report.page` renders it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import Head, ModelSpec
from serinus.api.modelversion import Governance, VersionStage
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import NO_CLUSTER, Anchor, ChainFinding, ChainOwner, StoredRecord
from serinus.engine.audit.contents import StoredContents
from serinus.engine.report.chain import Proof, examine, head_at
from serinus.engine.report.facts import facts_of
from serinus.engine.report.open_items import OpenItem, ReportFacts, open_items
from serinus.engine.report.people import Exceptional, Person, exceptional, people
from serinus.engine.report.periods import Live, Period, live_at, periods
from serinus.engine.report.rollbacks import Rollback, rollbacks
from serinus.engine.report.runs import Run, runs
from serinus.engine.report.versions import Sources, VersionStory, version_stories
from serinus.engine.versions.catalogue import VersionEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """A model's data from the registry, read in this order: contents, head, records, versions.

    Attributes:
        records: those after the removed ones, also those beyond the head.
        entries: the registered versions as they are today; what their records hold takes precedence.
        anchors: checkpoints with valid signatures.
        findings: defects of the checkpoints themselves.
        notes: remarks about the checkpoints that are not defects.
        policy: the policy of the team's Model; None where there is none, or it could not be read.
        contents: what the store shows beside the chain, read before the head; None not to compare.
        latest: the head's number, read after the records; None for that of ``head``.
        owner: the cluster whose chain it is.
    """

    model: ObjectKey
    head: Head
    records: Sequence[StoredRecord]
    entries: Sequence[VersionEntry]
    anchors: Sequence[Anchor] = ()
    findings: Sequence[ChainFinding] = ()
    notes: Sequence[str] = ()
    policy: ModelSpec | None = None
    contents: StoredContents | None = None
    latest: int | None = None
    owner: ChainOwner = NO_CLUSTER


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """The audit report of one model as of a time.

    Attributes:
        cluster: the cluster whose production and chain these are; empty where the registry is a cluster's own.
        live: the version in production; None where there is none.
        since: the start of its production; None where that precedes the first record that is kept.
        trial: the production version and the candidate at ``as_of``.
        described_by: the version whose governance describes the model: the one in production, else the newest.
        included: the records that the report is compiled from, in order.
        later: the number of records later than ``as_of``, which are left out.
    """

    model: ObjectKey
    cluster: str
    as_of: datetime
    proof: Proof
    head: Head
    live: VersionStory | None
    since: datetime | None
    trial: Live
    described_by: VersionStory | None
    periods: tuple[Period, ...]
    versions: tuple[VersionStory, ...]
    runs: tuple[Run, ...]
    rollbacks: tuple[Rollback, ...]
    exceptional: tuple[Exceptional, ...]
    people: tuple[Person, ...]
    items: tuple[OpenItem, ...]
    notes: tuple[str, ...]
    policy: ModelSpec | None
    included: tuple[AuditRecordSpec, ...]
    later: int

    @property
    def governance(self) -> Governance:
        """The model's governance; all fields empty where none is stated."""
        return self.described_by.governance if self.described_by is not None else Governance()

    @property
    def records(self) -> int:
        """The number of records that the report is compiled from."""
        return len(self.included)

    def live_at(self, at: datetime) -> Live:
        """Return the versions that were live at a time."""
        return live_at(self.included, self.periods, at)


def compile_report(report_input: ReportInput, as_of: datetime) -> AuditReport:
    """Compile the report of a model.

    The whole chain is verified, whatever ``as_of`` is; everything else ignores later records and registrations.

    Args:
        report_input: the model's data from the registry.
        as_of: the time to report on, aware.
    """
    examined = examine(
        report_input.head,
        report_input.records,
        report_input.anchors,
        report_input.findings,
        report_input.contents,
        report_input.latest,
        report_input.owner,
    )
    records = tuple(record for record in examined.records if record.at <= as_of)
    head = head_at(report_input.head, examined.records, as_of)
    served, all_runs, all_rollbacks = periods(records), runs(records), rollbacks(records)
    facts = facts_of(report_input.entries, records, as_of)
    sources = Sources(head=head, facts=facts, records=records, periods=served, runs=all_runs, as_of=as_of)
    stories = version_stories(sources)
    live = _in_production(stories)
    found = ReportFacts(
        proof=examined.proof,
        records=records,
        periods=served,
        versions=stories,
        runs=all_runs,
        rollbacks=all_rollbacks,
        as_of=as_of,
    )
    return AuditReport(
        model=report_input.model,
        cluster=report_input.owner.cluster,
        as_of=as_of,
        proof=examined.proof,
        head=head,
        live=live,
        since=head.production.since if head.production is not None else None,
        trial=live_at(records, served, as_of),
        described_by=live or next(iter(stories), None),
        periods=served,
        versions=stories,
        runs=all_runs,
        rollbacks=all_rollbacks,
        exceptional=exceptional(records),
        people=people(records),
        items=open_items(found),
        notes=(*report_input.notes, *examined.proof.notes),
        policy=report_input.policy,
        included=records,
        later=len(examined.records) - len(records),
    )


def _in_production(stories: Iterable[VersionStory]) -> VersionStory | None:
    return next((story for story in stories if story.stage is VersionStage.PRODUCTION), None)
