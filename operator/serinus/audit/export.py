"""Exports of audit records: a file of lines, and beside it a manifest that describes its content.

A line of a JSON Lines export is a record exactly as stored, in canonical JSON (RFC 8785), so that the same records
always give the same file, and the chain can be verified from the file alone.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
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
from serinus.engine.audit.chain import NO_CLUSTER, ChainOwner, Content, StoredRecord
from serinus.errors import ConfigurationError, InvalidObjectError

FORMAT: Final = 1
"""The version of the manifest format."""

_MANIFEST_BYTES: Final = 64 * 1024


MANIFEST: Final = ".manifest.json"
"""The suffix of a manifest's name, after the name of its export."""


class Form(StrEnum):
    """The format of an export."""

    JSONL = "jsonl"
    CSV = "csv"


class Manifest(Model, frozen=True, kw_only=True, omit_defaults=False):
    """The description of an export.

    Attributes:
        format: the version of the manifest format.
        form: the format of the export.
        file: the export's name, in the same folder.
        namespace: the model's namespace.
        model: the model's name.
        records: the number of records.
        first_sequence: the number of the first record; 0 where there is none.
        last_sequence: the number of the last record.
        previous_hash: the hash before the first record; empty at the beginning of the chain.
        first_hash: the hash of the first record.
        last_hash: the hash of the last record.
        bytes: the file's length.
        sha256: the file's hash.
        exported_at: the time (UTC).
        exported_by: the version of Serinus.
        cluster: the cluster that the last record names; empty where it names none.
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
    cluster: str = ""

    def has_content_of(self, other: "Manifest") -> bool:
        """Return whether two manifests describe the same content, apart from time and exporter."""
        at, by = self.exported_at, self.exported_by
        return self == msgspec.structs.replace(other, exported_at=at, exported_by=by)


def manifest_file(export: Path) -> Path:
    """Return the path of an export's manifest."""
    return export.with_name(f"{export.name}{MANIFEST}")


def canonical_line(record: StoredRecord) -> bytes:
    """Return a record's line in canonical JSON; a record without a canonical form is written as plain JSON."""
    try:
        return rfc8785.dumps(dict(record.content)) + b"\n"
    except rfc8785.CanonicalizationError:
        return json.dumps(_with_text_keys(record.content), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _with_text_keys(value: object) -> object:
    """Return damaged content with keys that can be sorted."""
    if isinstance(value, Mapping):
        return {str(key): _with_text_keys(each) for key, each in value.items()}
    return [_with_text_keys(each) for each in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The parameters of an export: model, format, time, exporter, and the first line of formats that have one."""

    model: ObjectKey
    form: Form
    at: datetime
    by: str
    first_line: bytes = b""
    line: Callable[[StoredRecord], bytes] = canonical_line


async def write_export(records: AsyncIterator[StoredRecord], file: Path, what: Export) -> Manifest:
    """Write the records to a file and the manifest beside it, with one record in memory at a time.

    An existing file is replaced after all records are written, the manifest last.

    Raises:
        ConfigurationError: the file cannot be written.
        SerinusError: the records could not be read; an existing file is unchanged.
    """
    if not file.name:
        raise ConfigurationError(f"{file} is a folder: name a file with -o")
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
            cluster=str(last.get("cluster", "")),
        )
        part.replace(file)
        manifest_file(file).write_bytes(json.dumps(encode(manifest), indent=2).encode() + b"\n")
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be written: {problem.strerror}; name another with -o") from problem
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return manifest


def _number(content: Content) -> int:
    sequence = content.get("sequence", 0)
    return sequence if isinstance(sequence, int) else 0


def read_manifest(export: Path) -> Manifest | None:
    """Return the manifest beside an export; None where there is none.

    Raises:
        ConfigurationError: it cannot be read or is invalid.
    """
    if not export.name:
        raise ConfigurationError(f"{export} is a folder: name an export")
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
        raise ConfigurationError(f"{file} is not the manifest of an export: {problem}") from problem


def archive_folder(model: ObjectKey, owner: ChainOwner = NO_CLUSTER) -> str:
    """Return the folder of a model's exports in an archive; clusters that share one have folders of their own."""
    # A chain that began before clusters had names goes on where its first records are. No namespace begins with a dot.
    cluster = "" if owner.unnamed else f".clusters/{owner.cluster}/"
    return f"{cluster}{model.namespace or '_'}/{model.name}/"
