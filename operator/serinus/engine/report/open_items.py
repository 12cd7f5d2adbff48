"""The open items of a report: what is missing, overdue, unproven or still under way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.modelversion import VersionStage
from serinus.engine.report.chain import Proof
from serinus.engine.report.facts import FactsSource
from serinus.engine.report.people import vouched_for
from serinus.engine.report.periods import Period, PeriodKind
from serinus.engine.report.rollbacks import Rollback
from serinus.engine.report.runs import Run, RunEnd
from serinus.engine.report.versions import ArtifactState, VersionStory

_OPEN_ENDS: Final = {
    RunEnd.UNDER_WAY: "is under way",
    RunEnd.ROLLING_BACK: "is rolling back: the traffic was not safe yet",
    RunEnd.STRANDED: "IS BAD AND HAS NO VERSION TO GO BACK TO",
    RunEnd.NOT_RECORDED: "has no recorded end",
}
_SHOWN_NAMES: Final = 3
_DEPLOYED: Final = frozenset({VersionStage.PRODUCTION, VersionStage.CANARY, VersionStage.STAGING})


@dataclass(frozen=True, slots=True)
class OpenItem:
    """One open item.

    Attributes:
        grave: whether the report is unreliable, or traffic at stake, until it is closed.
        subject: what it concerns, such as a version.
        message: a full sentence.
    """

    grave: bool
    subject: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """The parts of a report that are searched for open items."""

    proof: Proof
    records: Sequence[AuditRecordSpec]
    periods: Sequence[Period]
    versions: Sequence[VersionStory]
    runs: Sequence[Run]
    rollbacks: Sequence[Rollback]
    as_of: datetime


def open_items(facts: ReportFacts) -> tuple[OpenItem, ...]:
    """Return every open item, the grave ones first."""
    items = [
        *_of_the_chain(facts),
        *_of_runs(facts),
        *_of_overrides(facts),
        *_of_versions(facts),
        *_of_people(facts),
    ]
    return tuple(sorted(items, key=lambda item: not item.grave))


def _grave(subject: str, message: str) -> OpenItem:
    return OpenItem(grave=True, subject=subject, message=message)


def _note(subject: str, message: str) -> OpenItem:
    return OpenItem(grave=False, subject=subject, message=message)


def counted(number: int, noun: str) -> str:
    """Write a count with its noun: ``1 record``, ``1,843 records``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _of_the_chain(facts: ReportFacts) -> Iterable[OpenItem]:
    proof, chain = facts.proof, "Audit chain"
    if not proof.ok:
        yield _grave(chain, f"The chain does not verify: {counted(len(proof.findings), 'finding')}.")
    if proof.unreadable:
        many = counted(len(proof.unreadable), "record")
        yield _grave(chain, f"{many} missing or unreadable: what they told is not on this page.")
    if any(period.kind is PeriodKind.UNKNOWN for period in facts.periods):
        yield _grave("Timeline", "There are times for which nobody can tell what was in production.")
    if proof.head.pruned_through:
        where = proof.head.archive or "an archive that is not named"
        yield _note(chain, f"Records 1 to {proof.head.pruned_through:,} were removed by retention; kept in {where}.")
    if not proof.anchors:
        yield _note(chain, "Not compared with any checkpoint: a chain rewritten as a whole would not be noticed.")


def _of_runs(facts: ReportFacts) -> Iterable[OpenItem]:
    for run in facts.runs:
        if run.result in _OPEN_ENDS:
            message = f"The run of {run.version} {_OPEN_ENDS[run.result]}."
            yield OpenItem(grave=run.result is RunEnd.STRANDED, subject=f"Run {run.key.run}", message=message)
        if run.plan_problem:
            yield _note(f"Run {run.key.run}", f"Its plan cannot be shown: {run.plan_problem}.")
    for rollback in facts.rollbacks:
        if rollback.safe_at is None and rollback.run:
            message = f"No record says when the traffic was safe after {rollback.version} was judged bad."
            yield _note(f"Run {rollback.run}", message)


def _of_overrides(facts: ReportFacts) -> Iterable[OpenItem]:
    """Name each act that did without the approval that the plan asks for: somebody must look at it afterwards."""
    for record in facts.records:
        if record.details.get("override") == "true":
            act = "promoted" if record.event is AuditEvent.APPROVED else "rolled back"
            message = (
                f"{record.actor.name} {act} BY OVERRIDE, without the approval that the plan asks for, on "
                f"{record.at:%Y-%m-%d %H:%M:%SZ} (#{record.sequence}): {record.reason or 'no reason is recorded'}."
            )
            yield _note(f"Version {record.version}", message)


def _of_versions(facts: ReportFacts) -> Iterable[OpenItem]:
    for story in facts.versions:
        if story.stage in _DEPLOYED:
            yield from _of_deployed(story, facts.as_of)
        if story.production or story.stage in _DEPLOYED:
            yield from _of_served(story)


def _of_deployed(story: VersionStory, as_of: datetime) -> Iterable[OpenItem]:
    subject, governance = f"Version {story.version}", story.governance
    due = _day(governance.review_by)
    if due is not None and due < as_of.date():
        yield _grave(subject, f"Its review was due on {due} and no later version has taken its place.")
    if story.yanked:
        yield _grave(subject, f"It is marked never to serve again ({story.yanked}), yet it does.")
    required = {
        "owner": governance.owner,
        "purpose": governance.purpose,
        "limitations": governance.limitations,
        "risk tier": governance.risk_tier,
        "validation": governance.validated_by,
        "review date": governance.review_by,
    }
    missing = [name for name, value in required.items() if not value]
    if missing:
        yield _note(subject, f"It names no {', no '.join(missing)}.")
    if story.entry is not None and story.entry.spec.signature is None:
        yield _note(subject, "It has no signature: nobody can tell whether its clients can go back.")


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _of_served(story: VersionStory) -> Iterable[OpenItem]:
    subject = f"Version {story.version}"
    if story.source is FactsSource.CONTRADICTED:
        yield _grave(subject, "The registry's entry is not the version that the record registers: it was replaced.")
        return
    if story.entry is None:
        yield _note(subject, "Its facts are not known: it is not in the registry, and its record holds none.")
        return
    if story.source is FactsSource.ENTRY:
        yield _note(subject, "No record that is kept vouches for its facts: they are the registry's entry of today.")
    if not story.digest:
        yield _note(subject, "It names no artifact digest: nobody can tell which bytes served.")
    if story.artifact is not ArtifactState.VERIFIED:
        yield OpenItem(
            grave=story.artifact is not ArtifactState.NOT_VERIFIED,
            subject=subject,
            message=f"Its artifact: {story.artifact.value.lower()}.",
        )
    if story.lineage_gaps:
        yield _note(subject, f"Its lineage is incomplete: {', '.join(story.lineage_gaps)}.")
    for approval in story.approvals:
        if approval.bound is False:
            message = f"The approval by {approval.given.by or 'nobody named'} was given for other bytes."
            yield _grave(subject, message)


def _of_people(facts: ReportFacts) -> Iterable[OpenItem]:
    acts = [record for record in facts.records if not vouched_for(record.actor)]
    if acts:
        names = sorted({record.actor.name for record in acts})
        more = len(names) - _SHOWN_NAMES
        shown = ", ".join(names[:_SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")
        yield _note("Actors", f"{counted(len(acts), 'act')} by names that nobody vouches for: {shown}.")
