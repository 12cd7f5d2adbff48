"""Reads an export and recomputes its chain offline, without trusting the file."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NoReturn

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.parsing import decode
from serinus.audit.export import Form, Manifest, read_manifest
from serinus.engine.audit.chain import Anchor, ChainFault, ChainFinding, ChainWalk, Content, StoredRecord
from serinus.errors import ConfigurationError, InvalidObjectError

LONGEST_LINE: Final = 4 * 1024 * 1024
"""The most bytes of a record; etcd stores at most 1.5 MiB and DynamoDB at most 400 KiB."""

_MOST_MISSING: Final = 10_000
"""The largest accepted gap of numbers: a forged number must not produce a thousand million findings."""


class _LineError(Exception):
    """A line is invalid."""

    def __init__(self, fault: ChainFault, message: str) -> None:
        """Keep the kind of the fault."""
        super().__init__(message)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedExport:
    """The result of verifying a file; ``manifest`` is None where there is none beside it."""

    records: int
    last: Anchor
    findings: tuple[ChainFinding, ...]
    manifest: Manifest | None


class ExportReading:
    """One pass over a JSON Lines export: its records in order, the defects of its lines, and its hash."""

    def __init__(self, file: Path, begin: int | None) -> None:
        """Read a file whose first record follows number ``begin``; None where that is unknown."""
        self._file = file
        self._last = begin
        self._hasher = sha256()
        self.findings: list[ChainFinding] = []
        self.count = 0

    @property
    def sha256(self) -> str:
        """The hash of everything read so far."""
        return f"sha256:{self._hasher.hexdigest()}"

    def __iter__(self) -> Iterator[StoredRecord]:
        """Yield the records; ConfigurationError where the file cannot be read."""
        try:
            with self._file.open("rb") as source:
                for number, line in enumerate(iter(lambda: source.readline(LONGEST_LINE), b""), start=1):
                    self._hasher.update(line)
                    try:
                        record = self._record(number, line)
                    except _LineError as problem:
                        self.findings.append(ChainFinding(problem.fault, (self._last or 0) + 1, str(problem)))
                        continue
                    self.count += 1
                    yield record
        except OSError as problem:
            raise ConfigurationError(f"{self._file} cannot be read: {problem.strerror}") from problem

    def _record(self, number: int, line: bytes) -> StoredRecord:
        try:
            content = json.loads(line, object_pairs_hook=_unique, parse_constant=_reject_constant)
        except (ValueError, RecursionError) as problem:
            raise _LineError(
                ChainFault.UNREADABLE, f"line {number} is not the JSON of a record: {problem}"
            ) from problem
        if not isinstance(content, dict):
            raise _LineError(ChainFault.UNREADABLE, f"line {number} is not a record")
        sequence = content.get("sequence")
        if not isinstance(sequence, int) or isinstance(sequence, bool):
            raise _LineError(ChainFault.UNREADABLE, f"line {number} has no number of its record")
        last = self._last if self._last is not None else sequence - 1
        if not last < sequence <= last + _MOST_MISSING:
            raise _LineError(
                ChainFault.MISPLACED, f"line {number} says that it is record {sequence}, after record {last}"
            )
        self._last = sequence
        return StoredRecord(sequence, content)


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    """Refuse duplicate names: two readers might use two different values."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("it has a duplicate name")
    return members


def _reject_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def check_export(file: Path, anchors: Iterable[Anchor] = ()) -> CheckedExport:
    """Recompute the chain in a file, and compare it with its manifest and with checkpoints.

    Raises:
        ConfigurationError: the file or its manifest cannot be read, or the export is a CSV.
    """
    manifest = read_manifest(file)
    if manifest is not None and manifest.form is not Form.JSONL:
        raise ConfigurationError(f"{file} is a CSV, which does not contain the complete records: export as jsonl")
    begin = manifest.first_sequence - 1 if manifest is not None and manifest.records else None
    reading = ExportReading(file, begin)
    walk, last = None, Anchor(0, "", "the file")
    for record in reading:
        if walk is None:
            start = begin if begin is not None else record.sequence - 1
            walk = ChainWalk(Anchor(start, _follows(record.content, manifest, start), "the file"), anchors)
        walk.add(record)
        if (problem := unreadable(record)) is not None:
            reading.findings.append(problem)
        last = Anchor(record.sequence, str(record.content.get("hash", "")), "the file")
    findings = [*(walk.finish(None) if walk is not None else ()), *reading.findings]
    if manifest is not None:
        findings.extend(_against(manifest, reading, last))
    return CheckedExport(records=reading.count, last=last, findings=tuple(findings), manifest=manifest)


def _follows(content: Content, manifest: Manifest | None, start: int) -> str:
    if start == 0:
        return ""
    return manifest.previous_hash if manifest is not None else str(content.get("previousHash", ""))


def unreadable(record: StoredRecord) -> ChainFinding | None:
    """Return the finding for a record that does not match the schema of records; None where it does."""
    try:
        decode(AuditRecordSpec, dict(record.content), "record")
    except InvalidObjectError as problem:
        return ChainFinding(ChainFault.UNREADABLE, record.sequence, str(problem))
    return None


def _against(manifest: Manifest, reading: ExportReading, last: Anchor) -> Iterator[ChainFinding]:
    if reading.sha256 != manifest.sha256:
        yield ChainFinding(
            ChainFault.ALTERED, 0, f"the manifest says {manifest.sha256} of the file, it is {reading.sha256}"
        )
    if last.sequence < manifest.last_sequence:
        message = f"the file ends at {last.sequence}, its manifest says {manifest.last_sequence}"
        yield ChainFinding(ChainFault.TRUNCATED, manifest.last_sequence, message)
    elif (last.sequence, last.hash) != (manifest.last_sequence, manifest.last_hash):
        expected = f"{manifest.last_sequence} {manifest.last_hash}"
        message = f"the file ends with {last.sequence} {last.hash}, its manifest says {expected}"
        yield ChainFinding(ChainFault.HEAD_DIFFERS, last.sequence, message)
