"""The registry's head: the effect of each record on it, and the evaluation of clients' change requests.

The head is the fold of the audit chain: one provable source of truth. Facts reported by the operator are always
accepted, whatever the head says, because they have already happened. Change requests of clients are checked first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from msgspec import structs

from serinus.api.audit_record import (
    FORMAT,
    PROMOTED_BECAUSE,
    PROMOTED_BY,
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
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import sealed

_PROMOTIONS: Final = frozenset({AuditEvent.PROMOTED, AuditEvent.STABLE_ADOPTED})
_SERVING: Final = _PROMOTIONS | {AuditEvent.ROLLED_BACK}
_SHOWN: Final = 3
_ENDINGS: Final = frozenset({AuditEvent.RUN_SUPERSEDED, AuditEvent.RUN_CANCELLED})


MOST_BEHIND: Final = 4
"""So many records a head may be behind where it is written apart from them."""

_STEPS: Final = frozenset(
    {
        AuditEvent.ROLLOUT_STARTED,
        AuditEvent.TEST_PASSED,
        AuditEvent.TEST_FAILED,
        AuditEvent.ANALYSIS_PASSED,
        AuditEvent.APPROVED,
        AuditEvent.TRAFFIC_SHIFTED,
        AuditEvent.ROLLBACK_STARTED,
    }
)


def head_may_follow(event: AuditEvent) -> bool:
    """Return whether the head may be written with a later record: a step of a run changes nothing in who may serve."""
    return event in _STEPS


def apply(head: Head, record: AuditRecordSpec) -> Head:
    """Return the head after a record. Total: it never fails, whatever the record and the head."""
    changed = _effect(head, record)
    generation = changed.generation + (_production(head) != _production(changed))
    recent = (Recent(id=record.id, sequence=record.sequence, at=record.recorded_at), *head.recent)[:MAX_RECENT]
    audit = structs.replace(_pruned(head.audit, record), sequence=record.sequence, hash=record.hash)
    return structs.replace(changed, generation=generation, audit=audit, recent=recent)


def _pruned(audit: ChainHead, record: AuditRecordSpec) -> ChainHead:
    """Return the chain's end with the removal that a valid RecordsPruned record documents; unchanged for any other."""
    details = record.details
    if record.event is not AuditEvent.RECORDS_PRUNED or not details.keys() >= {"through", "hash", "archive"}:
        return audit
    text = details["through"]
    if not (text.isascii() and text.isdecimal() and audit.pruned_through < int(text) <= audit.sequence):
        return audit
    return structs.replace(audit, pruned_through=int(text), pruned_hash=details["hash"], archive=details["archive"])


def _effect(head: Head, record: AuditEntry) -> Head:
    """Return the head with the entry's changes to versions; the chain's end and the generation stay."""
    version, event = record.version, record.event
    if event in _ENDINGS:
        return structs.replace(head, candidate=None)
    if not version:
        return head
    if event in _PROMOTIONS:
        head = _managed(head, record)
        return _with_production(structs.replace(head, candidate=None), version, record)
    if event is AuditEvent.ROLLED_BACK:
        return _rolled_back(head, record)
    if event is AuditEvent.ROLLOUT_STARTED:
        candidate = CandidateVersion(version=version, traffic=record.traffic, stage=_stage(record), since=record.at)
        return structs.replace(_managed(head, record), candidate=candidate)
    if event is AuditEvent.TRAFFIC_SHIFTED:
        return _shifted(head, record)
    if event is AuditEvent.QUARANTINE_LIFTED:
        return structs.replace(head, quarantined=_without(head.quarantined, version))
    return head


def _stage(record: AuditEntry) -> str:
    return record.rollout.stage if record.rollout is not None else ""


def _managed(head: Head, record: AuditEntry) -> Head:
    if record.rollout is None:
        return head
    return structs.replace(head, managed_by=record.rollout.name)


def _shifted(head: Head, record: AuditEntry) -> Head:
    candidate = head.candidate
    if candidate is None or candidate.version != record.version:
        return head
    return structs.replace(head, candidate=structs.replace(candidate, traffic=record.traffic, stage=_stage(record)))


def _with_production(head: Head, version: str, record: AuditEntry) -> Head:
    """Make a version the production version; its predecessor, unless quarantined, becomes the first good version."""
    before = head.production
    if before is not None and before.version == version:
        return structs.replace(head, quarantined=_without(head.quarantined, version))
    good = _without(head.good, version)
    if before is not None and before.version not in head.quarantined:
        good = (before.version, *_without(good, before.version))[:MAX_GOOD]
    return structs.replace(
        head,
        production=ProductionVersion(
            version=version,
            digest=record.digest,
            since=record.at,
            promoted_by=record.details.get(PROMOTED_BY, ""),
            promoted_because=record.details.get(PROMOTED_BECAUSE, ""),
        ),
        good=good,
        quarantined=_without(head.quarantined, version),
    )


def _rolled_back(head: Head, record: AuditEntry) -> Head:
    """Quarantine the bad version and make the rollback target the production version.

    The record of a rollback contains the digest of the target.
    """
    bad, target = record.version, record.to
    quarantined = (bad, *_without(head.quarantined, bad))[:MAX_QUARANTINED]
    head = structs.replace(head, candidate=None, good=_without(head.good, bad), quarantined=quarantined)
    return _with_production(head, target, record) if target else head


def _without(versions: tuple[str, ...], version: str) -> tuple[str, ...]:
    return tuple(other for other in versions if other != version)


def _production(head: Head) -> str:
    return head.production.version if head.production is not None else ""


def summary_of(head: Head) -> HeadSummary:
    """Return the summary of a head that records contain as ``before`` and ``after``."""
    candidate = head.candidate
    return HeadSummary(
        production=_production(head),
        candidate=candidate.version if candidate is not None else "",
        traffic=candidate.traffic if candidate is not None else "",
        stage=candidate.stage if candidate is not None else "",
        generation=head.generation,
    )


def _with_promotion(audit_entry: AuditEntry) -> dict[str, str]:
    """Return the details with who made the version the production version, and why.

    A run says who asked for its version: its Promoted record is the operator's own act.
    """
    if audit_entry.event not in _SERVING:
        return audit_entry.details
    because = audit_entry.reason or audit_entry.message
    return {PROMOTED_BY: audit_entry.actor.name, PROMOTED_BECAUSE: because, **audit_entry.details}


def seal(  # noqa: PLR0913 - what the registry adds to an entry
    head: Head, audit_entry: AuditEntry, key: ObjectKey, *, by: OperatorIdentity, now: datetime, cluster: str = ""
) -> tuple[AuditRecordSpec, Head]:
    """Return the entry's record as the next link of the model's chain, and the resulting head.

    Args:
        head: the current head.
        audit_entry: the entry to record.
        key: the model.
        by: the process that records it.
        now: the time, aware, UTC.
        cluster: the cluster whose chain it is; empty where the store is a cluster's own.
    """
    draft = AuditRecordSpec(
        **{**structs.asdict(audit_entry), "details": _with_promotion(audit_entry)},
        format=FORMAT,
        sequence=head.audit.sequence + 1,
        namespace=key.namespace,
        model=key.name,
        cluster=cluster,
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
    """Return the head that results from a complete chain."""
    head = Head()
    for record in records:
        head = apply(head, record)
    return head


# ---- change requests ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promote:
    """Make this version the production version.

    ``generation`` is the one that the client has read: the request is rejected if production has changed since.
    """

    version: str
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class RollBack:
    """Go back to this version, by default the last known good one; ``generation`` as for :class:`Promote`.

    ``passed_over`` are good versions that must not serve any more, such as yanked ones.
    """

    to: str | None = None
    generation: int | None = None
    passed_over: tuple[str, ...] = ()


ChangeRequest = Promote | RollBack


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a request is rejected, with the remedy."""

    message: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The effect of an accepted request: its event, the version that it concerns and a rollback's target."""

    event: AuditEvent
    version: str
    to: str = ""

    @property
    def serves(self) -> str:
        """The production version afterwards."""
        return self.to or self.version


def evaluate(head: Head, request: ChangeRequest) -> Accepted | Rejected:
    """Evaluate a client's request against the current head."""
    if request.generation is not None and request.generation != head.generation:
        return Rejected(
            f"the production version has changed since: generation {head.generation}, not {request.generation}, and "
            f"{_production(head) or 'nothing'} serves. Read the head again, then decide."
        )
    match request:
        case Promote():
            return _evaluate_promotion(head, request.version)
        case RollBack():
            return _evaluate_rollback(head, request)
        case _:
            assert_never(request)


def _evaluate_promotion(head: Head, version: str) -> Accepted | Rejected:
    if _production(head) == version:
        return Rejected(f"{version} is the production version already")
    if version in head.quarantined:
        return Rejected(f"{version} was rolled back: lift its quarantine first, with a reason")
    return Accepted(AuditEvent.PROMOTED, version)


def _evaluate_rollback(head: Head, request: RollBack) -> Accepted | Rejected:
    bad = _production(head)
    if not bad:
        return Rejected("nothing is in production, so there is nothing to go back from")
    good = (version for version in head.good if version not in request.passed_over)
    target = request.to or next(good, None)
    if target is None:
        yanked = f" ({', '.join(request.passed_over)}: yanked)" if request.passed_over else ""
        return Rejected(f"no earlier good version is known{yanked}: name one to go back to from {bad}")
    if target == bad:
        return Rejected(f"{bad} is the production version already")
    if target in head.quarantined:
        return Rejected(f"{target} was rolled back itself: name another version")
    if target not in head.good:
        return Rejected(
            f"{target} has never been in production here, so that nothing is known of it: go back to "
            f"{' or '.join(head.good[:_SHOWN]) or 'nothing'}, or promote it"
        )
    return Accepted(AuditEvent.ROLLED_BACK, bad, target)
