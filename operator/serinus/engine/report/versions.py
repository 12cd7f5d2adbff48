"""The versions of a model: lineage, schema compatibility, artifact verification, approvals and production periods."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from serinus.api.audit_record import ApprovalEvidence, AuditEvent, AuditRecordSpec
from serinus.api.model import Head
from serinus.api.modelversion import Bump, Governance, VersionStage
from serinus.engine.report.facts import FactsSource, VersionFacts
from serinus.engine.report.people import vouched_for
from serinus.engine.report.periods import Period
from serinus.engine.report.runs import Run, RunKey
from serinus.engine.semver import declared_bump, greatest, parse_version
from serinus.engine.versions.catalogue import VersionEntry
from serinus.engine.versions.lifecycle import version_stage

_CHANGE: Final = re.compile(r"^(?P<rule>\S+) (?P<bump>none|patch|minor|major) (?P<reason>.+)$", re.DOTALL)
_YANKS: Final = frozenset({AuditEvent.VERSION_YANKED, AuditEvent.VERSION_UNYANKED})
_UNKNOWN: Final = VersionFacts(None, FactsSource.NOTHING)
_REGISTRATIONS: Final = (AuditEvent.VERSION_REGISTERED, AuditEvent.SCHEMA_WAIVED)


@dataclass(frozen=True, slots=True)
class SchemaLine:
    """One difference of the schema, as recorded."""

    path: str
    rule: str
    bump: Bump
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaStory:
    """The bump that a version's number declares, and the bump that its schema requires.

    Attributes:
        against: the version compared with; empty for the first one.
        declared: the bump of the number; None for the first one.
        required: the bump that the changes require; None where no difference was recorded.
        changes: the recorded differences, most severe first.
        waiver: the record that waives the incompatibility; None where there is none.
        notes: the other details of its registration, by name.
    """

    against: str
    declared: Bump | None
    required: Bump | None
    changes: tuple[SchemaLine, ...]
    waiver: AuditRecordSpec | None
    notes: tuple[tuple[str, str], ...]


class ArtifactState(StrEnum):
    """The recorded result of verifying the artifact."""

    VERIFIED = "Verified"
    FAILED = "Failed"
    OTHER_BYTES = "Verified for another digest"
    NOT_VERIFIED = "Verification not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """An approval, the run that relies on it, and whether it was given for this artifact.

    Attributes:
        bound: False where it names another digest than the version's; None where one of them names none.
        vouched: whether anybody vouches for the approver's name.
    """

    given: ApprovalEvidence
    run: RunKey
    bound: bool | None
    vouched: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionStory:
    """One version.

    Attributes:
        entry: its facts; None where no record holds them and no entry of the registry is the recorded one.
        source: where they come from.
        stage: its stage.
        registered: the record of its registration; None where it is not kept.
        checked: the record of its artifact's last verification.
        production: its periods in production.
        in_production: their total length; None where a beginning is not known, or it never was in production.
        runs: its runs.
        approvals: of all its runs.
        yanked: why it must never serve again; empty where it may.
    """

    version: str
    entry: VersionEntry | None
    source: FactsSource
    stage: VersionStage
    registered: AuditRecordSpec | None
    schema: SchemaStory
    artifact: ArtifactState
    checked: AuditRecordSpec | None
    production: tuple[Period, ...]
    in_production: timedelta | None
    runs: tuple[Run, ...]
    approvals: tuple[Approval, ...]
    yanked: str

    @property
    def digest(self) -> str:
        """Its artifact's digest; empty where it has none."""
        return self.entry.digest if self.entry is not None else ""

    @property
    def governance(self) -> Governance:
        """Its governance; all fields empty where none is stated."""
        spec = self.entry.spec if self.entry is not None else None
        return (spec.governance if spec is not None else None) or Governance()

    @property
    def lineage_gaps(self) -> tuple[str, ...]:
        """The missing facts of its lineage, in words."""
        return tuple(_lineage_gaps(self.entry)) if self.entry is not None else ("its facts are not known",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The facts that the versions' sections are compiled from."""

    head: Head
    facts: Mapping[str, VersionFacts]
    records: Sequence[AuditRecordSpec]
    periods: Sequence[Period]
    runs: Sequence[Run]
    as_of: datetime


def version_stories(sources: Sources) -> tuple[VersionStory, ...]:
    """Return every version that is registered or was in production, newest first in SemVer order."""
    named = {period.version for period in sources.periods if period.version}
    named |= {record.version for record in sources.records if record.event in _REGISTRATIONS and record.version}
    by_version: dict[str, list[AuditRecordSpec]] = {}
    for record in sources.records:
        by_version.setdefault(record.version, []).append(record)
    every = sources.facts.keys() | named
    order = sorted((version for version in every if _is_version(version)), key=parse_version, reverse=True)
    invalid = sorted(version for version in every if not _is_version(version))
    return tuple(
        _story(version, sources.facts.get(version, _UNKNOWN), by_version.get(version, []), order, sources)
        for version in (*order, *invalid)
    )


def _is_version(text: str) -> bool:
    try:
        parse_version(text)
    except ValueError:
        return False
    return True


def _story(
    version: str, facts: VersionFacts, records: Sequence[AuditRecordSpec], known: Sequence[str], sources: Sources
) -> VersionStory:
    entry = facts.entry
    own = tuple(run for run in sources.runs if run.version == version)
    served = tuple(period for period in sources.periods if period.version == version)
    artifact, checked = _artifact(entry, records)
    digest = entry.digest if entry is not None else ""
    return VersionStory(
        version=version,
        entry=entry,
        source=facts.source,
        stage=version_stage(sources.head, version),
        registered=next((record for record in records if record.event is AuditEvent.VERSION_REGISTERED), None),
        schema=_schema(version, records, known, sources),
        artifact=artifact,
        checked=checked,
        production=served,
        in_production=_total(served, sources.as_of),
        runs=own,
        approvals=tuple(_approvals(own, digest)),
        yanked=_yanked(entry, records),
    )


def _last(records: Sequence[AuditRecordSpec], event: AuditEvent) -> AuditRecordSpec | None:
    return next((record for record in reversed(records) if record.event is event), None)


def _total(served: Iterable[Period], as_of: datetime) -> timedelta | None:
    lengths = [period.length(as_of) for period in served]
    known = [length for length in lengths if length is not None]
    return sum(known, timedelta(0)) if known and len(known) == len(lengths) else None


def _artifact(
    entry: VersionEntry | None, records: Sequence[AuditRecordSpec]
) -> tuple[ArtifactState, AuditRecordSpec | None]:
    kinds = {AuditEvent.ARTIFACT_VERIFIED, AuditEvent.ARTIFACT_FAILED}
    last = next((record for record in reversed(records) if record.event in kinds), None)
    if last is None:
        return ArtifactState.NOT_VERIFIED, None
    if last.event is AuditEvent.ARTIFACT_FAILED:
        return ArtifactState.FAILED, last
    same = entry is None or not last.digest or last.digest == entry.digest
    return (ArtifactState.VERIFIED if same else ArtifactState.OTHER_BYTES), last


def _yanked(entry: VersionEntry | None, records: Sequence[AuditRecordSpec]) -> str:
    changes = [record for record in records if record.event in _YANKS]
    if not changes:
        return entry.yanked if entry is not None else ""
    last = changes[-1]
    return (last.reason or last.message or "no reason was given") if last.event is AuditEvent.VERSION_YANKED else ""


def _approvals(own: Iterable[Run], digest: str) -> Iterable[Approval]:
    for run in own:
        vouched = {
            record.actor.name
            for record in run.records
            if record.event is AuditEvent.APPROVED and vouched_for(record.actor)
        }
        unique = {approval: None for record in run.records for approval in record.approvals}
        for approval in unique:
            bound = approval.digest == digest if approval.digest and digest else None
            yield Approval(given=approval, run=run.key, bound=bound, vouched=approval.by in vouched)


# ---- schema compatibility ---------------------------------------------------------------------


def _schema(version: str, records: Sequence[AuditRecordSpec], known: Sequence[str], sources: Sources) -> SchemaStory:
    registrations = [record for record in records if record.event in _REGISTRATIONS]
    details: Mapping[str, str] = {name: text for record in registrations for name, text in record.details.items()}
    lines = [line for name, text in details.items() if (line := _line(name, text)) is not None]
    paths = {line.path for line in lines}
    notes = {name: text for name, text in details.items() if name not in paths}
    against = notes.pop("against", "") or _before(version, known, sources)
    declared = _bump(notes.pop("declared", "")) or _declared(against, version)
    required = _bump(notes.pop("required", "")) or (greatest(line.bump for line in lines) if lines else None)
    ladder = list(Bump)
    return SchemaStory(
        against=against,
        declared=declared,
        required=required,
        changes=tuple(sorted(lines, key=lambda line: (-ladder.index(line.bump), line.path))),
        waiver=_last(records, AuditEvent.SCHEMA_WAIVED),
        notes=tuple(sorted(notes.items())),
    )


def _line(path: str, text: str) -> SchemaLine | None:
    parts = _CHANGE.match(text)
    return SchemaLine(path, parts["rule"], Bump(parts["bump"]), parts["reason"]) if parts is not None else None


def _bump(text: str) -> Bump | None:
    return next((bump for bump in Bump if bump.value == text), None)


def _before(version: str, known: Sequence[str], sources: Sources) -> str:
    """Return the highest lower version registered before this one: the base of its bump; empty where there is none."""
    if version not in known:
        return ""
    entries = (facts.entry for facts in sources.facts.values())
    since = {entry.version: entry.registered_at for entry in entries if entry is not None}
    at = since.get(version)
    lower = known[known.index(version) + 1 :]
    return next((other for other in lower if at is None or since.get(other, at) <= at), "")


def _declared(against: str, version: str) -> Bump | None:
    return declared_bump(against, version) if _is_version(against) and _is_version(version) else None


# ---- lineage ----------------------------------------------------------------------------------


def _lineage_gaps(entry: VersionEntry) -> Iterable[str]:
    spec = entry.spec
    code = spec.lineage.code if spec.lineage is not None else None
    if code is None:
        yield "no code repository"
    elif code.commit is None:
        yield "no commit of the code"
    if not spec.training_data:
        yield "no training data"
    without_digest = sum(1 for dataset in spec.training_data if dataset.digest is None)
    if without_digest:
        yield f"{without_digest} of {len(spec.training_data)} data sets without a digest"
