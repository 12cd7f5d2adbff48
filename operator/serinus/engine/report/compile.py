"""The report of a model: all that its auditor asks, from what the registry holds, as typed values.

Everything that is said comes from records, and each can be found by its number. What records do not tell is said to be
missing; nothing is guessed. The pages are made of it in :mod:`serinus.cli.report.command`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import Head, ModelSpec
from serinus.api.modelversion import Governance, VersionStage
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import Anchor, ChainFinding, StoredRecord
from serinus.engine.report.chain import Proof, examine, head_at
from serinus.engine.report.open_items import OpenItem, Reviewed, open_items
from serinus.engine.report.people import Exceptional, Person, exceptional, people
from serinus.engine.report.periods import Live, Period, live_at, periods
from serinus.engine.report.rollbacks import Rollback, rollbacks
from serinus.engine.report.runs import Run, runs
from serinus.engine.report.versions import Sources, VersionStory, version_stories
from serinus.engine.versions.catalogue import VersionEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInput:
    """What the registry holds of a model, read in this order: head, records, versions.

    Attributes:
        records: those after the removed ones, up to the head's.
        anchors: checkpoints with good signatures.
        findings: what is wrong with the checkpoints themselves.
        notes: what is not wrong with the checkpoints, but an auditor should know.
        policy: what the team's Model says; None where there is none, or nobody could be asked.
    """

    model: ObjectKey
    head: Head
    records: Sequence[StoredRecord]
    entries: Sequence[VersionEntry]
    anchors: Sequence[Anchor] = ()
    findings: Sequence[ChainFinding] = ()
    notes: Sequence[str] = ()
    policy: ModelSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """All that an auditor asks of one model, as of a time.

    Attributes:
        live: the version in production; None where none is.
        since: since when; None where it began before the first record that is kept.
        trial: what is on trial beside it.
        described_by: the version whose words describe the model: the one in production, else the newest.
        told: the records that all of this is made of, in order.
        later: how many records are later than ``as_of`` and therefore left out.
    """

    model: ObjectKey
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
    told: tuple[AuditRecordSpec, ...]
    later: int

    @property
    def governance(self) -> Governance:
        """Who answers for the model; all empty where nobody says."""
        return self.described_by.governance if self.described_by is not None else Governance()

    @property
    def records(self) -> int:
        """How many records this is made of."""
        return len(self.told)

    def live_at(self, at: datetime) -> Live:
        """Return which version was live at a time."""
        return live_at(self.told, self.periods, at)


def compile_report(report_input: ReportInput, as_of: datetime) -> AuditReport:
    """Return the report of a model.

    The whole chain is verified, whatever ``as_of`` is; all else is bounded by it: what happened or was registered later
    is left out.

    Args:
        report_input: what the registry holds.
        as_of: a time, aware; the present for a report of today.
    """
    examined = examine(report_input.head, report_input.records, report_input.anchors, report_input.findings)
    records = tuple(record for record in examined.records if record.at <= as_of)
    head = head_at(report_input.head, examined.records, as_of)
    served, walked, undone = periods(records), runs(records), rollbacks(records)
    entries = tuple(entry for entry in report_input.entries if entry.registered_at <= as_of)
    sources = Sources(head=head, entries=entries, records=records, periods=served, runs=walked, as_of=as_of)
    stories = version_stories(sources)
    live = _in_production(stories)
    reviewed = Reviewed(
        proof=examined.proof,
        records=records,
        periods=served,
        versions=stories,
        runs=walked,
        rollbacks=undone,
        as_of=as_of,
    )
    return AuditReport(
        model=report_input.model,
        as_of=as_of,
        proof=examined.proof,
        head=head,
        live=live,
        since=head.production.since if head.production is not None else None,
        trial=live_at(records, served, as_of),
        described_by=live or next(iter(stories), None),
        periods=served,
        versions=stories,
        runs=walked,
        rollbacks=undone,
        exceptional=exceptional(records),
        people=people(records),
        items=open_items(reviewed),
        notes=tuple(report_input.notes),
        policy=report_input.policy,
        told=records,
        later=len(examined.records) - len(records),
    )


def _in_production(stories: Iterable[VersionStory]) -> VersionStory | None:
    return next((story for story in stories if story.stage is VersionStage.PRODUCTION), None)
