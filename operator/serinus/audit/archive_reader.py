"""Reads the records that retention has removed from the exports in an archive."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from serinus.api.names import ObjectKey
from serinus.audit.archive import ArchivePlace
from serinus.audit.export import MANIFEST, Manifest, archive_folder, read_manifest
from serinus.audit.export_reader import ExportReading
from serinus.engine.audit.chain import NO_CLUSTER, ChainFault, ChainFinding, ChainOwner, StoredRecord
from serinus.errors import ConfigurationError, NotFoundError


class ArchivedRecords:
    """The removed records of a model in order, from one or more exports, of which one is on the disk at a time.

    Attributes:
        findings: the defects of the exports themselves, complete after the iteration.
    """

    def __init__(self, archive: ArchivePlace, model: ObjectKey, through: int, owner: ChainOwner = NO_CLUSTER) -> None:
        """Read the records of the owner's chain up to ``through``."""
        self._archive, self._folder, self._through = archive, archive_folder(model, owner), through
        self.findings: list[ChainFinding] = []

    async def __aiter__(self) -> AsyncIterator[StoredRecord]:
        """Yield the records; those that no export contains are skipped, and the verification finds them missing."""
        with TemporaryDirectory(prefix="serinus-") as temporary:
            folder, at = Path(temporary), 0
            manifests = await self._manifests(folder)
            while at < self._through:
                following = [
                    manifest
                    for manifest in manifests
                    if manifest.first_sequence <= at + 1 and manifest.last_sequence > at
                ]
                if not following:
                    return
                best = max(following, key=lambda manifest: manifest.last_sequence)
                reading = await self._fetched(best, folder)
                for record in reading:
                    if at < record.sequence <= self._through:
                        yield record
                self._check(best, reading)
                at = best.last_sequence

    async def _manifests(self, folder: Path) -> list[Manifest]:
        under, manifests = self._folder, []
        async for name in self._archive.names(under):
            if name.endswith(MANIFEST):
                file = folder / Path(name).name
                await self._archive.fetch(name, file)
                try:
                    manifests.append(read_manifest(file.with_name(file.name.removesuffix(MANIFEST))))
                except ConfigurationError as problem:
                    self.findings.append(
                        ChainFinding(ChainFault.UNREADABLE, 0, f"{self._archive.address}: {name}: {problem}")
                    )
        return [manifest for manifest in manifests if manifest is not None]

    async def _fetched(self, manifest: Manifest, folder: Path) -> ExportReading:
        file = folder / "export"
        name = f"{self._folder}{Path(manifest.file).name}"
        try:
            await self._archive.fetch(name, file)
        except NotFoundError as problem:
            self.findings.append(ChainFinding(ChainFault.MISSING, manifest.first_sequence, str(problem)))
            file.write_bytes(b"")
        return ExportReading(file, manifest.first_sequence - 1)

    def _check(self, manifest: Manifest, reading: ExportReading) -> None:
        self.findings.extend(reading.findings)
        if reading.sha256 != manifest.sha256:
            message = f"{manifest.file} is not the file that its manifest describes: {reading.sha256}"
            self.findings.append(ChainFinding(ChainFault.ALTERED, manifest.first_sequence, message))
