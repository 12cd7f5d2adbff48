"""Exports of audit records: a file of lines, and a manifest beside it that says what must be in it.

A line of a JSON Lines export is a record exactly as it is stored, in canonical JSON (RFC 8785), so that the same
records always make the same file and the chain can be verified from the file alone.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import rfc8785

from serinus.api.names import ObjectKey
from serinus.api.parsing import decode, encode
from serinus.api.schema import Model
from serinus.engine.audit.chain import Content, StoredRecord
from serinus.errors import ConfigurationError, InvalidObjectError

FORMAT: Final = 1
"""The form of a manifest."""

_MANIFEST_BYTES: Final = 64 * 1024


MANIFEST: Final = ".manifest.json"
"""What a manifest's name adds to that of its export."""


class Form(StrEnum):
    """What an export's lines are."""

    JSONL = "jsonl"
    CSV = "csv"


class Manifest(Model, frozen=True, kw_only=True, omit_defaults=False):
    """What an export holds.

    Attributes:
        format: the form of this manifest.
        form: what the lines are.
        file: the export's name, beside the manifest.
        namespace: the model's.
        model: its name.
        records: how many there are.
        first_sequence: the number of the first; 0 where there is none.
        last_sequence: the number of the last.
        previous_hash: what the first one follows; empty at the beginning of the chain.
        first_hash: of the first record.
        last_hash: of the last record.
        bytes: the file's length.
        sha256: of the file.
        exported_at: when (UTC).
        exported_by: the version of Serinus.
    """

    format: int
    form: Form
    file: str
    namespace: str
    model: str
    records: int
    first_sequence: int
    last_sequence: int
    previous_hash: str
    first_hash: str
    last_hash: str
    bytes: int
    sha256: str
    exported_at: datetime
    exported_by: str

    def says_the_same(self, other: "Manifest") -> bool:
        """Say whether two manifests are of the same content, whoever exported it when."""
        at, by = self.exported_at, self.exported_by
        return self == msgspec.structs.replace(other, exported_at=at, exported_by=by)


def manifest_file(export: Path) -> Path:
    """Return where an export's manifest is."""
    return export.with_name(f"{export.name}{MANIFEST}")


def canonical_line(record: StoredRecord) -> bytes:
    """Return a record's line, exactly as it is stored; one that has no canonical form is written as JSON writes it."""
    try:
        return rfc8785.dumps(dict(record.content)) + b"\n"
    except rfc8785.CanonicalizationError:
        return json.dumps(record.content, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What is to be exported: of which model, in which form, when and by what, and a first line if the form has one."""

    model: ObjectKey
    form: Form
    at: datetime
    by: str
    first_line: bytes = b""
    line: Callable[[StoredRecord], bytes] = canonical_line


async def write_export(records: AsyncIterator[StoredRecord], file: Path, what: Export) -> Manifest:
    """Write the records to a file and its manifest beside it, one record in memory at a time.

    A file of that name is replaced when all records are written, the manifest last.

    Raises:
        ConfigurationError: the file cannot be written.
        SerinusError: the records could not be read; the file is as it was.
    """
    part = file.with_name(f"{file.name}.part")
    hasher, count, size = sha256(what.first_line), 0, len(what.first_line)
    first: Content = {}
    last: Content = {}
    try:
        with part.open("wb") as out:
            out.write(what.first_line)
            async for record in records:
                line = what.line(record)
                out.write(line)
                hasher.update(line)
                first, last = first or record.content, record.content
                count, size = count + 1, size + len(line)
        manifest = Manifest(
            format=FORMAT,
            form=what.form,
            file=file.name,
            namespace=what.model.namespace,
            model=what.model.name,
            records=count,
            first_sequence=_number(first),
            last_sequence=_number(last),
            previous_hash=str(first.get("previousHash", "")),
            first_hash=str(first.get("hash", "")),
            last_hash=str(last.get("hash", "")),
            bytes=size,
            sha256=f"sha256:{hasher.hexdigest()}",
            exported_at=what.at,
            exported_by=what.by,
        )
        part.replace(file)
        manifest_file(file).write_bytes(json.dumps(encode(manifest), indent=2).encode() + b"\n")
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be written: {problem.strerror}; name another with -o") from problem
    finally:
        part.unlink(missing_ok=True)
    return manifest


def _number(content: Content) -> int:
    found = content.get("sequence", 0)
    return found if isinstance(found, int) else 0


def read_manifest(export: Path) -> Manifest | None:
    """Return the manifest beside an export; None where there is none.

    Raises:
        ConfigurationError: it cannot be read, or is none.
    """
    file = manifest_file(export)
    try:
        with file.open("rb") as source:
            content = source.read(_MANIFEST_BYTES)
        return decode(Manifest, msgspec.json.decode(content), "manifest")
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be read: {problem.strerror}") from problem
    except (msgspec.DecodeError, InvalidObjectError) as problem:
        raise ConfigurationError(f"{file} is no manifest of an export: {problem}") from problem


def archive_folder(model: ObjectKey) -> str:
    """Return where in an archive a model's exports are."""
    return f"{model.namespace or '_'}/{model.name}/"
