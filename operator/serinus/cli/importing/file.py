"""``serinus import mlmodel``: a ModelVersion from an MLmodel file, without a server."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.importing.manifest import (
    ManifestOptions,
    identity_options,
    manifest_options,
    write_composed,
)
from serinus.errors import ConfigurationError, NotFoundError, RefusedError
from serinus.settings import ArtifactSettings

if TYPE_CHECKING:
    from serinus.mlflow.manifest import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class FileImportOptions:
    """Options of ``serinus import mlmodel``.

    Attributes:
        path: the MLmodel file.
    """

    path: Path
    version: str
    model: str
    manifest: ManifestOptions

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError for a digest of files whose place is not named."""
        manifest = ManifestOptions.from_params(params)
        if manifest.with_digest and not manifest.artifact_uri:
            raise ConfigurationError(
                "--hash needs --artifact-uri: a digest is of no use without the place of the files"
            )
        return cls(path=params["path"], version=params["version"], model=params["model"], manifest=manifest)


@command("mlmodel", FileImportOptions.from_params, "write a ModelVersion from an MLmodel file, without a server")
@click.argument("path", type=FILE, metavar="FILE", help="MLmodel file")
@identity_options("SemVer of the version, such as 2.3.1", "name of the model", required=True)
@manifest_options
def mlmodel(options: FileImportOptions, _: CliContext) -> int:
    """Run the command."""
    return write_composed(_from_file(options), options.manifest)


def _from_file(options: FileImportOptions) -> "Known":
    from serinus.artifacts.verifier import measured  # noqa: PLC0415 - boto3
    from serinus.mlflow.client import MOST_MODEL_FILE_BYTES  # noqa: PLC0415 - requests
    from serinus.mlflow.manifest import Known, as_folder, semver  # noqa: PLC0415 - likewise
    from serinus.mlflow.model_file import read_model_file  # noqa: PLC0415 - likewise

    path = options.path
    try:
        with path.open("rb") as opened:
            content = opened.read(MOST_MODEL_FILE_BYTES + 1)
    except OSError as problem:
        raise NotFoundError(f"{path} cannot be read: {problem.strerror}: name the MLmodel file itself") from problem
    if len(content) > MOST_MODEL_FILE_BYTES:
        raise RefusedError(f"{path} is over {MOST_MODEL_FILE_BYTES >> 20} MiB: name the MLmodel file itself")
    file = read_model_file(content, str(path))
    folder = str(path.resolve().parent)
    return Known(
        model=options.model,
        version=semver(options.version, "--version"),
        file=file,
        artifact_uri=options.manifest.artifact_uri or as_folder(file.artifact_uri),
        hashed=measured(ArtifactSettings(local_root=folder), folder) if options.manifest.with_digest else None,
    )
