"""The part that all sources of ``serinus import`` share: options of the manifest, and its output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from re import compile as pattern
from typing import TYPE_CHECKING, Any, Final, Self

import click

from serinus.api.modelversion import BackendRef
from serinus.api.schema import NAME
from serinus.cli.backend import parse_backend
from serinus.cli.command import FILE, Decorator, Params, together
from serinus.cli.output import echo
from serinus.cli.session import parse_version_argument
from serinus.errors import RefusedError
from serinus.yaml_output import to_yaml

if TYPE_CHECKING:
    from serinus.mlflow.manifest import Known

OK: Final = 0
_NAME: Final = pattern(NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestOptions:
    """Fields of the ModelVersion that add to MLflow's data, and where the manifest is written.

    Attributes:
        namespace: of the ModelVersion; empty for none.
        backend: the Service that serves it.
        artifact_uri: of the model's files; empty for MLflow's.
        repository: of the code; empty for MLflow's.
        with_digest: read all files of the model to compute its digest and size.
        output: the file to write; None for standard output.
    """

    namespace: str
    backend: BackendRef | None
    artifact_uri: str
    repository: str
    with_digest: bool
    output: Path | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(
            namespace=params["namespace"],
            backend=params["backend"],
            artifact_uri=params["artifact_uri"],
            repository=params["repository"],
            with_digest=params["hash"],
            output=params["output"],
        )


def identity_options(version: str, model: str, *, required: bool = False) -> Decorator:
    """Return the options ``--version`` and ``--model``, with their help."""
    return together(
        click.option("--version", type=parse_version_argument, required=required, metavar="VERSION", help=version),
        click.option("--model", type=_parse_model_name, required=required, metavar="NAME", help=model),
    )


output_option: Final = click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="file to write (default: standard output)"
)
namespace_option: Final = click.option(
    "-n", "--namespace", default="", metavar="NAMESPACE", help="namespace of the object"
)
backend_option: Final = click.option(
    "--backend", type=parse_backend, metavar="NAME:PORT", help="Service that serves the version"
)
manifest_options: Final = together(
    namespace_option,
    backend_option,
    click.option("--artifact-uri", default="", metavar="URI", help="URI of the model's files, if not that in MLflow"),
    click.option("--repository", default="", metavar="URL", help="repository of the code, if MLflow does not have it"),
    click.option("--hash", is_flag=True, help="read all files of the model to compute its digest and size"),
    output_option,
)
"""The options of what adds to MLflow's data."""


def checked_name(name: str) -> str:
    """Return the name of the model; RefusedError if Kubernetes has no such name."""
    if _NAME.fullmatch(name) is None:
        raise RefusedError(
            f"invalid model name {name!r}: Kubernetes allows lower-case letters, digits and dashes: "
            "give --model, such as --model fraud-detector"
        )
    return name


def _parse_model_name(text: str) -> str:
    """Return the text if Kubernetes has such a name, else raise click.BadParameter."""
    try:
        return checked_name(text)
    except RefusedError as problem:
        raise click.BadParameter(str(problem)) from problem


def write_composed(known: "Known", options: ManifestOptions) -> int:
    """Write the ModelVersion of what is known, and what is missing in it to standard error."""
    from serinus.mlflow.manifest import compose  # noqa: PLC0415 - only these commands need it

    imported = compose(
        replace(known, backend=options.backend, namespace=options.namespace, repository=options.repository)
    )
    write_manifests([imported.manifest], options.output)
    for line in imported.left_out:
        echo(f"left out: {line}", err=True)
    if imported.unknown:
        paths = (f"{path} (--hash finds it)" if path == "artifact.digest" else path for path in imported.unknown)
        echo(f"not known to MLflow: {', '.join(paths)}", err=True)
    return OK


def write_manifests(manifests: Iterable[Mapping[str, Any]], output: Path | None) -> None:
    """Write manifests to a file, or to standard output; RefusedError if the file cannot be written."""
    write_text("---\n".join(to_yaml(manifest) for manifest in manifests), output)


def write_text(text: str, output: Path | None) -> None:
    """Write a text to a file, or to standard output; RefusedError if the file cannot be written."""
    if output is None:
        echo(text.removesuffix("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise RefusedError(f"{output} cannot be written: {problem.strerror}") from problem
    echo(f"{output} is written", err=True)
