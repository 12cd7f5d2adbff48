"""The registry's head: how each record changes it, what it says of a version, and what a client may ask of it.

The head is the fold of the audit chain, so that there is one truth and it can be proven. Facts of the operator are
always taken in, whatever the head says: what happened, happened. Wishes of clients are checked first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from msgspec import structs

from serinus.api.audit_record import (
    FORMAT,
    AuditEntry,
    AuditEvent,
    AuditRecordSpec,
    HeadSummary,
    OperatorIdentity,
)
from serinus.api.model import (
    MAX_GOOD,
    MAX_QUARANTINED,
    MAX_RECENT,
    CandidateVersion,
    ChainHead,
    Head,
    ProductionVersion,
    Recent,
)
from serinus.api.modelversion import VersionStage
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import sealed

_PROMOTIONS: Final = frozenset({AuditEvent.PROMOTED, AuditEvent.STABLE_ADOPTED})
_ENDINGS: Final = frozenset({AuditEvent.RUN_SUPERSEDED, AuditEvent.RUN_CANCELLED})


def apply(head: Head, record: AuditRecordSpec) -> Head:
    """Return the head after a record. Total: every record of the chain has its effect, or none, on every head."""
    changed = _effect(head, record)
    grown = changed.generation + (_serving(head) != _serving(changed))
    recent = (Recent(id=record.id, sequence=record.sequence, at=record.recorded_at), *head.recent)[:MAX_RECENT]
    audit = structs.replace(_pruned(head.audit, record), sequence=record.sequence, hash=record.hash)
    return structs.replace(changed, generation=grown, audit=audit, recent=recent)


def _pruned(audit: ChainHead, record: AuditRecordSpec) -> ChainHead:
    """Return the chain's end with what has been removed of its beginning, where the record says that as it must."""
    details = record.details
    if record.event is not AuditEvent.RECORDS_PRUNED or not details.keys() >= {"through", "hash", "archive"}:
        return audit
    text = details["through"]
    if not (text.isascii() and text.isdecimal() and audit.pruned_through < int(text) <= audit.sequence):
        return audit
    return structs.replace(audit, pruned_through=int(text), pruned_hash=details["hash"], archive=details["archive"])


def _effect(head: Head, record: AuditEntry) -> Head:
    """Return the head with what the entry changes of versions; the chain's end and the generation stay."""
    version, event = record.version, record.event
    if event in _ENDINGS:
        return structs.replace(head, candidate=None)
    if not version:
        return head
    if event in _PROMOTIONS:
        head = _managed(head, record)
        return _serve(structs.replace(head, candidate=None), version, record)
    if event is AuditEvent.ROLLED_BACK:
        return _fall_back(head, record)
    if event is AuditEvent.ROLLOUT_STARTED:
        candidate = CandidateVersion(version=version, traffic=record.traffic, stage=_stage(record), since=record.at)
        return structs.replace(_managed(head, record), candidate=candidate)
    if event is AuditEvent.TRAFFIC_SHIFTED:
        return _shift(head, record)
    if event is AuditEvent.QUARANTINE_LIFTED:
        return structs.replace(head, quarantined=_without(head.quarantined, version))
    return head


def _stage(record: AuditEntry) -> str:
    return record.rollout.stage if record.rollout is not None else ""


def _managed(head: Head, record: AuditEntry) -> Head:
    if record.rollout is None:
        return head
    return structs.replace(head, managed_by=record.rollout.name)


def _shift(head: Head, record: AuditEntry) -> Head:
    candidate = head.candidate
    if candidate is None or candidate.version != record.version:
        return head
    moved = structs.replace(candidate, traffic=record.traffic, stage=_stage(record))
    return structs.replace(head, candidate=moved)


def _serve(head: Head, version: str, record: AuditEntry) -> Head:
    """Make a version the production version; the one that served well until now comes first among the good."""
    before = head.production
    if before is not None and before.version == version:
        return structs.replace(head, quarantined=_without(head.quarantined, version))
    good = _without(head.good, version)
    if before is not None and before.version not in head.quarantined:
        good = (before.version, *_without(good, before.version))[:MAX_GOOD]
    return structs.replace(
        head,
        production=ProductionVersion(version=version, digest=record.digest, since=record.at),
        good=good,
        quarantined=_without(head.quarantined, version),
    )


def _fall_back(head: Head, record: AuditEntry) -> Head:
    """Put the bad version away; the one that was gone back to serves, if it does not yet.

    A record of a rollback bears the digest of the version that it went back to.
    """
    bad, to = record.version, record.to
    quarantined = (bad, *_without(head.quarantined, bad))[:MAX_QUARANTINED]
    head = structs.replace(head, candidate=None, good=_without(head.good, bad), quarantined=quarantined)
    return _serve(head, to, record) if to else head


def _without(versions: tuple[str, ...], version: str) -> tuple[str, ...]:
    return tuple(one for one in versions if one != version)


def _serving(head: Head) -> str:
    return head.production.version if head.production is not None else ""


def summary_of(head: Head) -> HeadSummary:
    """Return what a record says of the head before and after it."""
    candidate = head.candidate
    return HeadSummary(
        production=_serving(head),
        candidate=candidate.version if candidate is not None else "",
        traffic=candidate.traffic if candidate is not None else "",
        stage=candidate.stage if candidate is not None else "",
        generation=head.generation,
    )


def seal(
    head: Head, audit_entry: AuditEntry, key: ObjectKey, *, by: OperatorIdentity, now: datetime
) -> tuple[AuditRecordSpec, Head]:
    """Return the record of an entry as the next link of the model's chain, and the head that it leads to.

    Args:
        head: what is true until now.
        audit_entry: what is to be recorded.
        key: the model.
        by: the process that records it.
        now: the time, aware, UTC.
    """
    draft = AuditRecordSpec(
        **structs.asdict(audit_entry),
        format=FORMAT,
        sequence=head.audit.sequence + 1,
        namespace=key.namespace,
        model=key.name,
        recorded_at=now,
        recorded_by=by,
        before=summary_of(head),
        after=summary_of(head),
        previous_hash=head.audit.hash,
        hash="",
    )
    after = summary_of(apply(head, draft))
    record = sealed(structs.replace(draft, after=after))
    return record, apply(head, record)


def fold(records: Iterable[AuditRecordSpec]) -> Head:
    """Return the head that a whole chain comes to."""
    head = Head()
    for record in records:
        head = apply(head, record)
    return head


def version_stage(head: Head, version: str) -> VersionStage:
    """Return where a version stands."""
    if _serving(head) == version:
        return VersionStage.PRODUCTION
    candidate = head.candidate
    if candidate is not None and candidate.version == version:
        return VersionStage.STAGING if candidate.traffic in {"", "0%"} else VersionStage.CANARY
    if version in head.quarantined:
        return VersionStage.ROLLED_BACK
    return VersionStage.SUPERSEDED if version in head.good else VersionStage.REGISTERED


# ---- what a client may ask --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promote:
    """Make this version the production version.

    ``generation`` is the one that the client has seen: where the production version has changed since, it is refused.
    """

    version: str
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class RollBack:
    """Go back to this version; to the last known good one where none is given."""

    to: str | None = None
    generation: int | None = None


ChangeRequest = Promote | RollBack


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a wish is not granted: what is, and what to do."""

    message: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the wish comes to: the event, the version that it is about and where a rollback goes."""

    event: AuditEvent
    version: str
    to: str = ""

    @property
    def serves(self) -> str:
        """The version that serves afterwards."""
        return self.to or self.version


def evaluate(head: Head, wish: ChangeRequest) -> Accepted | Rejected:
    """Say whether a client's wish can be granted as the head is now."""
    if wish.generation is not None and wish.generation != head.generation:
        return Rejected(
            f"the production version has changed since: generation {head.generation}, not {wish.generation}, and "
            f"{_serving(head) or 'nothing'} serves. Look again, then decide."
        )
    match wish:
        case Promote():
            return _consider_promotion(head, wish.version)
        case RollBack():
            return _consider_rollback(head, wish.to)
        case _:
            assert_never(wish)


def _consider_promotion(head: Head, version: str) -> Accepted | Rejected:
    if _serving(head) == version:
        return Rejected(f"{version} is the production version already")
    if version in head.quarantined:
        return Rejected(f"{version} was rolled back: lift its quarantine first, with a reason")
    return Accepted(AuditEvent.PROMOTED, version)


def _consider_rollback(head: Head, to: str | None) -> Accepted | Rejected:
    bad = _serving(head)
    if not bad:
        return Rejected("nothing is in production, so there is nothing to go back from")
    target = to or next(iter(head.good), None)
    if target is None:
        return Rejected(f"no earlier good version is known: name one to go back to from {bad}")
    if target == bad:
        return Rejected(f"{bad} is the production version already")
    if target in head.quarantined:
        return Rejected(f"{target} was rolled back itself: name another version")
    return Accepted(AuditEvent.ROLLED_BACK, bad, target)
