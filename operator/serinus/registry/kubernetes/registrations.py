"""The versions that the chains say are registered, kept up to date by reading only the records that are new.

A ModelVersion can be deleted and made anew with another spec; its record cannot. So the chain decides, not the object.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import Head
from serinus.api.names import ObjectKey, audit_record_name
from serinus.engine.audit.chain import StoredRecord
from serinus.engine.audit.registrations import RegisteredVersions
from serinus.registry.kubernetes.objects import readable
from serinus.registry.kubernetes.reads import RegistryObjects

_MOST_HASHES: Final = 64
"""Of so many records the hash is kept, to know a head that was read a moment ago."""

_MOST_MODELS: Final = 1024
"""So many models are kept; the chain of another one is read again when it is asked for."""


@dataclass(slots=True)
class _Known:
    """The versions of one model as of record ``through``."""

    through: int
    versions: RegisteredVersions = field(default_factory=RegisteredVersions)
    hashes: dict[int, str] = field(default_factory=dict)

    @classmethod
    def before(cls, head: Head) -> "_Known":
        """Return what is known before any record of this head's chain was read."""
        return cls(head.audit.pruned_through, RegisteredVersions(complete=head.audit.pruned_through == 0))

    def is_outdated(self, head: Head) -> bool:
        """Whether the chain cannot be read on from here.

        One that ends here or before with another record is another one: the namespace was deleted and made anew, or
        restored from a backup. Of one that was pruned further than it was read, the next records are gone, and those
        that are left repeat what they said.
        """
        another = self.through >= head.audit.sequence and self._contradicts(head.audit.sequence, head.audit.hash)
        return another or self.through < head.audit.pruned_through

    def is_followed_by(self, sequence: int, record: AuditRecordSpec) -> bool:
        """Whether the next record that was read is of the same chain; one that is not the next may be of any."""
        return sequence != self.through + 1 or not self._contradicts(self.through, record.previous_hash)

    def _contradicts(self, sequence: int, digest: str) -> bool:
        """Whether another record with this number was read, or none, as what is known was not read from records."""
        return bool(self.hashes) and self.hashes.get(sequence) != digest


class RegistrationIndex:
    """The registered versions by model, the ones asked for last."""

    def __init__(self, objects: RegistryObjects) -> None:
        """Read through ``objects``; nothing is read before the first question."""
        self._objects = objects
        # Else each of several clients would read the same chain from its beginning.
        self._reading = asyncio.Lock()
        self._models: OrderedDict[ObjectKey, _Known] = OrderedDict()

    async def through(self, model: ObjectKey, head: Head) -> RegisteredVersions:
        """Return the versions as of a head.

        Raises:
            RefusedError: a record of the chain cannot be decoded.
            TransientError: the API server is unavailable.
        """
        async with self._reading:
            return await self._through(model, head)

    async def _through(self, model: ObjectKey, head: Head) -> RegisteredVersions:
        known = self._models.pop(model, None)
        if known is None or known.is_outdated(head) or not await self._read(model, known, head.audit.sequence):
            known = _Known.before(head)
            await self._read(model, known, head.audit.sequence)
        self._models[model] = known
        if len(self._models) > _MOST_MODELS:
            self._models.popitem(last=False)
        return known.versions

    async def _read(self, model: ObjectKey, known: _Known, last: int) -> bool:
        """Read on, and return whether the records follow what is known; where they do not, none is added."""
        if known.through >= last:
            return True
        if not await self._add(model, known, self._objects.following(model, known.through), last):
            return False
        # Where records were removed since the head was read, a list passes over the gap.
        return known.through >= last or await self._add(
            model, known, self._objects.records(model, known.through, last), last
        )

    async def _add(self, model: ObjectKey, known: _Known, records: AsyncIterator[StoredRecord], last: int) -> bool:
        begin = known.through
        async for stored in records:
            if stored.sequence > last:
                return True
            what = f"AuditRecord {model.namespace}/{audit_record_name(model.name, stored.sequence)}"
            record = readable(AuditRecordSpec, stored.content, "spec", what)
            # Within what is read now a broken chain is for ``verify`` to find: reading it again would find it again.
            if known.through == begin and not known.is_followed_by(stored.sequence, record):
                return False
            known.versions.add(record)
            known.through = stored.sequence
            known.hashes[stored.sequence] = record.hash
            known.hashes.pop(stored.sequence - _MOST_HASHES, None)
        return True
