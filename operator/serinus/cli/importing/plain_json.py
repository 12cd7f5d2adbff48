"""``serinus import json``, and the versions of a file for ``serinus registry register``: manifests or plain JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import click

from serinus.api.modelversion import BackendRef
from serinus.api.names import MODEL_VERSION
from serinus.api.parsing import encode
from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.importing.manifest import (
    backend_option,
    identity_options,
    namespace_option,
    output_option,
    write_manifests,
)
from serinus.cli.importing.metadata import Adopted, adopt, parse_plain
from serinus.cli.manifests import read_manifests
from serinus.cli.output import echo
from serinus.errors import ConfigurationError, RefusedError

OK: Final = 0
_MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonImportOptions:
    """Options of ``serinus import json``.

    Attributes:
        path: the JSON file.
        version: SemVer; None for that in the file.
        model: name of the model; None for that in the file.
        namespace: of the ModelVersion; empty for none.
        backend: the Service that serves it.
        output: the file to write; None for standard output.
    """

    path: Path
    version: str | None
    model: str | None
    namespace: str
    backend: BackendRef | None
    output: Path | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(
            path=params["path"],
            version=params["version"],
            model=params["model"],
            namespace=params["namespace"],
            backend=params["backend"],
            output=params["output"],
        )


@command(
    "json",
    JsonImportOptions.from_params,
    "write ModelVersions from the metadata that a training script keeps as plain JSON",
)
@click.argument("path", type=FILE, metavar="FILE", help="file with one version's metadata, or a list of them")
@identity_options(
    "SemVer of the version (default: the one in the file)", "name of the model (default: the one in the file)"
)
@namespace_option
@backend_option
@output_option
def import_json(options: JsonImportOptions, _: CliContext) -> int:
    """Run the command."""
    members = parse_plain(_read(options.path), str(options.path))
    if options.version is not None and len(members) > 1:
        raise RefusedError(f"{options.path} has {len(members)} versions: --version is for one")
    manifests = [
        _told(adopt(member, str(options.path), model=options.model, version=options.version)) for member in members
    ]
    write_manifests([_placed(manifest, options) for manifest in manifests], options.output)
    return OK


def _placed(manifest: Mapping[str, Any], options: JsonImportOptions) -> Mapping[str, Any]:
    metadata, spec = dict(manifest["metadata"]), dict(manifest["spec"])
    if options.namespace:
        metadata["namespace"] = options.namespace
    if options.backend is not None:
        spec["serving"] = {"backendRef": encode(options.backend)}
    return {**manifest, "metadata": metadata, "spec": spec}


def read_versions(file: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the ModelVersions in a file: manifests as for kubectl apply, or a training script's plain JSON.

    Raises:
        ConfigurationError: the file cannot be read, or contains another kind.
        RefusedError: the JSON names no model or version.
        InvalidObjectError: a value of the JSON does not fit a ModelVersion.
    """
    text = _read(file)
    if not text.lstrip().startswith(("{", "[")):
        yield from read_manifests(file, MODEL_VERSION)
        return
    members = parse_plain(text, str(file))
    if any("apiVersion" in member for member in members):
        yield from read_manifests(file, MODEL_VERSION)
        return
    yield from (_told(adopt(member, str(file))) for member in members)


def _told(adopted: Adopted) -> Mapping[str, Any]:
    for line in adopted.left_out:
        echo(f"left out: {line}", err=True)
    return adopted.manifest


def _read(file: Path) -> str:
    try:
        with file.open("rb") as source:
            content = source.read(_MAX_BYTES + 1)
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be read: {problem.strerror}") from problem
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{file} is larger than {_MAX_BYTES >> 20} MiB: name a file of model versions")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ConfigurationError(f"{file} is not UTF-8 text") from problem
