"""The part that all sources of ``serinus import`` share: options of the manifest, and its output."""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from re import compile as pattern
from typing import TYPE_CHECKING, Any, Final, Self

from serinus.api.modelversion import BackendRef
from serinus.api.schema import NAME, SUBDOMAIN
from serinus.cli.output import echo
from serinus.errors import RefusedError
from serinus.yaml_output import to_yaml

if TYPE_CHECKING:
    from serinus.mlflow.manifest import Known

OK: Final = 0
_NAME: Final = pattern(NAME)
_BACKEND: Final = pattern(rf"(?P<name>{SUBDOMAIN.strip('^$')}):(?P<port>[0-9]{{1,5}})")
_PORTS: Final = range(1, 65536)


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
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; RefusedError if the backend is invalid."""
        return cls(
            namespace=args.namespace,
            backend=parse_backend(args.backend) if args.backend else None,
            artifact_uri=args.artifact_uri,
            repository=args.repository,
            with_digest=args.hash,
            output=args.output,
        )


def add_manifest_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every source has."""
    parser.add_argument("-n", "--namespace", default="", help="namespace of the ModelVersion")
    parser.add_argument("--backend", help="Service that serves the version, as name:port")
    parser.add_argument("--artifact-uri", default="", help="URI of the model's files, if not that in MLflow")
    parser.add_argument("--repository", default="", help="repository of the code, if MLflow does not have it")
    parser.add_argument(
        "--hash", action="store_true", help="read all files of the model to compute its digest and size"
    )
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: standard output)")


def checked_name(name: str) -> str:
    """Return the name of the model; RefusedError if Kubernetes has no such name."""
    if _NAME.fullmatch(name) is None:
        raise RefusedError(
            f"invalid model name {name!r}: Kubernetes allows lower-case letters, digits and dashes: "
            "give --model, such as --model fraud-detector"
        )
    return name


def parse_backend(text: str) -> BackendRef:
    """Return the Service of ``name:port``; RefusedError for any other text."""
    match = _BACKEND.fullmatch(text)
    if match is None or int(match["port"]) not in _PORTS:
        raise RefusedError(f"--backend: invalid Service and port {text!r}: write name:port, such as fraud-v2-3-1:80")
    return BackendRef(name=match["name"], port=int(match["port"]))


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
