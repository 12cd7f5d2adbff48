"""The examination of one model's chain with everything that a store shows beside it. Pure; one record at a time.

People read heads, versions and the attributes that records are searched by. All of them follow from the chain, so each
difference is a finding: a chain that verifies says nothing of what stands beside it unless that is compared.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import DecodeError, json

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.engine.audit.chain import Anchor, ChainFault, ChainFinding, ChainOwner, ChainWalk, StoredRecord
from serinus.engine.audit.contents import StoredContents, compare_contents, unverifiable
from serinus.engine.audit.head import apply, head_may_follow
from serinus.engine.audit.registrations import RegisteredVersions, text_hash
from serinus.errors import InvalidObjectError

_SERVING: Final = frozenset({AuditEvent.PROMOTED, AuditEvent.STABLE_ADOPTED, AuditEvent.ROLLED_BACK})


def pruned_anchor(head: Head) -> Anchor:
    """Return the record after which the stored chain begins."""
    return Anchor(head.audit.pruned_through, head.audit.pruned_hash, "the last removed record")


class Examination:
    """One pass over a chain: its links, its records' content, the head and the versions that they fold to.

    Attributes:
        records: the number of records that were read, those beyond the head left out.
        decoded: the records that could be decoded, in order; only where ``keep`` is given.
        last: the last record that was read, up to the head.
        beyond: the number of the last record beyond the head; 0 where there is none.
    """

    def __init__(  # noqa: PLR0913 - what a chain is compared with
        self,
        model: ObjectKey | None,
        head: Head,
        *,
        begin: Anchor | None = None,
        anchors: Iterable[Anchor] = (),
        owner: ChainOwner | None = None,
        keep: bool = False,
    ) -> None:
        """Begin.

        Args:
            model: whose records they must be; None not to compare.
            head: read before the records.
            begin: the record before the first one; by default the last that retention has removed.
            anchors: checkpoints with valid signatures.
            owner: the cluster whose records they must be; None not to compare.
            keep: whether to keep the decoded records.
        """
        start = begin if begin is not None else pruned_anchor(head)
        self._model, self._stored, self._owner = model, head, owner
        self._walk = ChainWalk(start, anchors)
        # The links of those that the head has not followed yet: it may still do so after a crash between two writes.
        self._walk_beyond = ChainWalk(Anchor(head.audit.sequence, head.audit.hash, "the head"))
        self._head: Head | None = Head() if start.sequence == 0 else None
        self._versions = RegisteredVersions(complete=start.sequence == 0)
        self._ids: dict[str, int] = {}
        self._served: dict[tuple[str, str], int] = {}
        self._findings: list[ChainFinding] = []
        self._keep, self._readable = keep, True
        self.decoded: list[AuditRecordSpec] = []
        self.records, self.beyond, self._passed = 0, 0, 0
        self.last = start

    def add(self, stored: StoredRecord) -> None:
        """Examine the next record in the order of the keys."""
        if stored.sequence > self._stored.audit.sequence:
            self._add_beyond(stored)
            return
        self._walk.add(stored)
        self.records += 1
        self.last = Anchor(stored.sequence, str(stored.content.get("hash", "")), "the chain")
        for defect in stored.defects:
            self._report(ChainFault.ATTRIBUTE_DIFFERS, stored.sequence, defect)
        try:
            record = decode(AuditRecordSpec, dict(stored.content), "spec")
        except InvalidObjectError as problem:
            self._report(ChainFault.UNREADABLE, stored.sequence, f"the record cannot be read: {problem}")
            self._head, self._readable = None, False
            return
        self._examine(record)
        self._head = apply(self._head, record) if self._head is not None else None
        self._versions.add(record)
        if self._keep:
            self.decoded.append(record)

    def _add_beyond(self, stored: StoredRecord) -> None:
        """Note the record, and the first one that the head must have followed before the next one was written."""
        self._walk_beyond.add(stored)
        self.beyond = stored.sequence
        try:
            follows = head_may_follow(decode(AuditRecordSpec, dict(stored.content), "spec").event)
        except InvalidObjectError:
            follows = False
        if not follows and not self._passed:
            self._passed = stored.sequence

    def _examine(self, record: AuditRecordSpec) -> None:
        owner = ObjectKey(record.namespace, record.model)
        if self._model is not None and owner != self._model:
            self._report(ChainFault.MISPLACED, record.sequence, f"it is a record of {owner}")
        if self._owner is not None and not self._owner.owns(record.cluster):
            named = f"the cluster {record.cluster}" if record.cluster else "no cluster"
            self._report(ChainFault.MISPLACED, record.sequence, f"it is a record of {named}")
        first = self._ids.setdefault(record.id, record.sequence)
        if first != record.sequence:
            self._report(ChainFault.DUPLICATE, record.sequence, f"it has the id of record {first}: {record.id}")
        if record.event is AuditEvent.VERSION_REGISTERED:
            self._examine_registration(record)
        for carried in record.standing:
            known = self._versions.get(carried.version)
            if known is not None and known.spec_hash and carried.spec_hash != known.spec_hash:
                message = f"it repeats {carried.version} with {carried.spec_hash}, not {known.spec_hash}"
                self._report(ChainFault.VERSION_DIFFERS, record.sequence, message)
        if record.event in _SERVING:
            self._examine_serving(record)

    def _examine_registration(self, record: AuditRecordSpec) -> None:
        held, known = record.registration, self._versions.get(record.version)
        if held is not None and text_hash(held) != record.spec_hash:
            message = f"the spec that it holds hashes to {text_hash(held)}, not to its specHash {record.spec_hash}"
            self._report(ChainFault.VERSION_DIFFERS, record.sequence, message)
        elif held is not None and _artifact_digest(held.spec) != record.digest:
            message = f"the spec that it holds has another artifact's digest than {record.digest or 'none'}"
            self._report(ChainFault.VERSION_DIFFERS, record.sequence, message)
        if known is not None and known.spec_hash and record.spec_hash not in {"", known.spec_hash}:
            message = (
                f"it registers {record.version} with {record.spec_hash}, record {known.sequence} with {known.spec_hash}"
            )
            self._report(ChainFault.VERSION_DIFFERS, record.sequence, message)

    def _examine_serving(self, record: AuditRecordSpec) -> None:
        serving = record.to or record.version
        if record.digest:
            self._served.setdefault((serving, record.digest), record.sequence)

    def finish(
        self, contents: StoredContents | None = None, *, latest: int | None = None
    ) -> tuple[tuple[ChainFinding, ...], tuple[str, ...]]:
        """Return all findings in the order of the records, and notes on what could not be compared.

        Args:
            contents: what the store shows beside the chain, read before the head; None not to compare.
            latest: the head's number, read again after the records; by default that of the head given first.
        """
        audit = self._stored.audit
        in_chain = self._walk.finish(Anchor(audit.sequence, audit.hash, "the head"))
        self._findings += self._walk_beyond.finish(None)
        self._report_beyond(contents, audit.sequence if latest is None else latest)
        self._report_served()
        if not in_chain and self._head is not None:
            self._report_head(self._head)
        notes: tuple[str, ...] = ()
        if contents is not None:
            complete = self._versions.complete and self._readable
            self._findings += compare_contents(self._versions, contents, complete=complete)
            notes = tuple(unverifiable(self._versions, contents, complete=complete))
        found = sorted((*in_chain, *self._findings), key=lambda finding: finding.sequence)
        return tuple(found), notes

    def _report_beyond(self, contents: StoredContents | None, latest: int) -> None:
        head, slack = self._stored.audit.sequence, contents.slack if contents is not None else 0
        passed = latest < self._passed < self.beyond
        # A model's first record is followed by its head before there is a second one.
        if contents is not None and not contents.has_head and max(self.records, self.beyond) > min(slack, 1):
            message = "there are records, but no head: restore it with serinus audit restore"
            self._report(ChainFault.HEAD_MISSING, max(head, self.beyond), message)
        elif self.beyond > latest + slack or passed:
            message = (
                f"the head says that record {latest} is the last, but there are records up to {self.beyond}: it was "
                "set back, or records were added past the registry"
            )
            self._report(ChainFault.HEAD_DIFFERS, self.beyond, message)

    def _report_served(self) -> None:
        for (version, digest), sequence in self._served.items():
            known = self._versions.get(version)
            if known is not None and known.digest not in {"", digest}:
                message = f"{version} served with {digest}, but was registered with {known.digest}"
                self._report(ChainFault.DIGEST_DIFFERS, sequence, message)

    def _report_head(self, folded: Head) -> None:
        names = [name for name in Head.__struct_fields__ if getattr(folded, name) != getattr(self._stored, name)]
        if names:
            message = f"the head differs from the fold of the chain in {', '.join(names)}"
            self._report(ChainFault.HEAD_DIFFERS, self._stored.audit.sequence, message)

    def _report(self, fault: ChainFault, sequence: int, message: str) -> None:
        self._findings.append(ChainFinding(fault, sequence, message))


def _artifact_digest(spec: str) -> str:
    try:
        artifact = json.decode(spec).get("artifact", {})
        return str(artifact.get("digest", ""))
    except (DecodeError, AttributeError):
        return "none: it is not a spec"
