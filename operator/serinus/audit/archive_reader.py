"""Reads the records that retention has removed, out of the exports in an archive."""

from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from serinus.api.names import ObjectKey
from serinus.audit.archive import ArchivePlace
from serinus.audit.export import MANIFEST, Manifest, archive_folder, read_manifest
from serinus.audit.export_reader import ExportReading
from serinus.engine.audit.chain import ChainFault, ChainFinding, StoredRecord
from serinus.errors import ConfigurationError, NotFoundError


class ArchivedRecords:
    """The removed records of a model, in order, out of as many exports as it takes, one file on the disk at a time.

    Attributes:
        findings: what is wrong with the exports themselves, when all have been read.
    """

    def __init__(self, archive: ArchivePlace, model: ObjectKey, through: int) -> None:
        """Read those up to ``through``."""
        self._archive, self._model, self._through = archive, model, through
        self.findings: list[ChainFinding] = []

    async def __aiter__(self) -> AsyncIterator[StoredRecord]:
        """Yield them; what no export has is left out, so that the walk over them finds it missing."""
        with TemporaryDirectory(prefix="serinus-") as room:
            folder, at = Path(room), 0
            manifests = await self._manifests(folder)
            while at < self._through:
                fitting = [one for one in manifests if one.first_sequence <= at + 1 and one.last_sequence > at]
                if not fitting:
                    return
                best = max(fitting, key=lambda one: one.last_sequence)
                reading = await self._fetched(best, folder)
                for record in reading:
                    if at < record.sequence <= self._through:
                        yield record
                self._judge(best, reading)
                at = best.last_sequence

    async def _manifests(self, folder: Path) -> list[Manifest]:
        under, found = archive_folder(self._model), []
        async for name in self._archive.names(under):
            if name.endswith(MANIFEST):
                file = folder / Path(name).name
                await self._archive.fetch(name, file)
                try:
                    found.append(read_manifest(file.with_name(file.name.removesuffix(MANIFEST))))
                except ConfigurationError as problem:
                    self.findings.append(
                        ChainFinding(ChainFault.UNREADABLE, 0, f"{self._archive.address}: {name}: {problem}")
                    )
        return [one for one in found if one is not None]

    async def _fetched(self, manifest: Manifest, folder: Path) -> ExportReading:
        file = folder / "export"
        name = f"{archive_folder(self._model)}{Path(manifest.file).name}"
        try:
            await self._archive.fetch(name, file)
        except NotFoundError as problem:
            self.findings.append(ChainFinding(ChainFault.MISSING, manifest.first_sequence, str(problem)))
            file.write_bytes(b"")
        return ExportReading(file, manifest.first_sequence - 1)

    def _judge(self, manifest: Manifest, reading: ExportReading) -> None:
        self.findings.extend(reading.findings)
        if reading.sha256 != manifest.sha256:
            message = f"{manifest.file} is not the file that its manifest tells of: {reading.sha256}"
            self.findings.append(ChainFinding(ChainFault.ALTERED, manifest.first_sequence, message))
