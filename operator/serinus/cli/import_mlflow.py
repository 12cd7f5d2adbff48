"""``serinus import``: writes a ModelVersion from MLflow's data, and lists on stderr the fields that MLflow lacks."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from re import compile as pattern
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from serinus.api.modelversion import BackendRef
from serinus.api.schema import NAME, SUBDOMAIN
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.manifests import to_yaml
from serinus.cli.output import echo
from serinus.cli.session import CliContext
from serinus.errors import ConfigurationError, NotFoundError, RefusedError
from serinus.settings import ArtifactS3Settings, ArtifactSettings

if TYPE_CHECKING:
    from serinus.artifacts.fetch import Measured
    from serinus.mlflow.client import Reference, Tracking
    from serinus.mlflow.manifest import Known
    from serinus.mlflow.responses import Metric, Run, VersionInfo

# The clients of MLflow and of artifact stores are imported by the functions that use them: requests and boto3 take
# 0.3 s to load, for which other verbs must not wait.

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
            backend=_backend(args.backend) if args.backend else None,
            artifact_uri=args.artifact_uri,
            repository=args.repository,
            with_digest=args.hash,
            output=args.output,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerImportOptions:
    """Options of ``serinus import mlflow``.

    Attributes:
        reference: of the registered version, such as ``models:/fraud-detector/7``.
        tracking_uri: of the server; None for MLflow's own environment variable.
        version: the SemVer; None for that in the version's tags.
        model: the name of the model; None for that of the registered model.
    """

    reference: str
    tracking_uri: str | None
    version: str | None
    model: str | None
    manifest: ManifestOptions

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; RefusedError if the backend is invalid."""
        return cls(
            reference=args.reference,
            tracking_uri=args.tracking_uri,
            version=args.version,
            model=args.model,
            manifest=ManifestOptions.from_args(args),
        )


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
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; RefusedError if the backend is invalid."""
        manifest = ManifestOptions.from_args(args)
        return cls(path=args.path, version=args.version, model=args.model, manifest=manifest)


def add_parser(verbs: Subparsers) -> None:
    """Add ``import`` and its sources."""
    about = "write a ModelVersion from MLflow's data"
    parser = verbs.add_parser("import", help=about, description=about)
    sources = parser.add_subparsers(required=True, metavar="SOURCE")
    server = sources.add_parser("mlflow", help="from a version registered at an MLflow tracking server")
    server.add_argument("reference", help="models:/fraud-detector/7 or models:/fraud-detector@champion")
    server.add_argument("--tracking-uri", help="tracking server (default: MLFLOW_TRACKING_URI)")
    server.add_argument("--version", help="SemVer of the version (default: its tag `semver` or `version`)")
    server.add_argument("--model", help="name of the model (default: that of the registered model)")
    _add_manifest(server)
    set_handler(server, ServerImportOptions.from_args, _import_from_server)
    file = sources.add_parser("mlmodel", help="from an MLmodel file, without a server")
    file.add_argument("path", type=Path, help="MLmodel file")
    file.add_argument("--version", required=True, help="SemVer of the version, such as 2.3.1")
    file.add_argument("--model", required=True, help="name of the model")
    _add_manifest(file)
    set_handler(file, FileImportOptions.from_args, _import_from_file)


def _add_manifest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--namespace", default="", help="namespace of the ModelVersion")
    parser.add_argument("--backend", help="Service that serves the version, as name:port")
    parser.add_argument("--artifact-uri", default="", help="URI of the model's files, if not that in MLflow")
    parser.add_argument("--repository", default="", help="repository of the code, if MLflow does not have it")
    parser.add_argument(
        "--hash", action="store_true", help="read all files of the model to compute its digest and size"
    )
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: standard output)")


def _import_from_server(options: ServerImportOptions, context: CliContext) -> int:
    return _write(_from_server(options, context.environment), options.manifest)


def _import_from_file(options: FileImportOptions, _: CliContext) -> int:
    return _write(_from_file(options), options.manifest)


# ---- from a server ----------------------------------------------------------------------------


def _from_server(options: ServerImportOptions, variables: Mapping[str, str]) -> "Known":
    from serinus.mlflow.client import Login, Reference, Tracking  # noqa: PLC0415 - requests

    uri = options.tracking_uri or variables.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise ConfigurationError("no tracking server: give --tracking-uri or set MLFLOW_TRACKING_URI")
    reference = Reference.parse(options.reference)
    login = Login(
        variables.get("MLFLOW_TRACKING_USERNAME", ""),
        variables.get("MLFLOW_TRACKING_PASSWORD", ""),
        variables.get("MLFLOW_TRACKING_TOKEN", ""),
    )
    tracking = Tracking(uri, login, certificates=variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    try:
        return _known(tracking, reference, options, variables)
    finally:
        tracking.close()


def _known(
    tracking: "Tracking", reference: "Reference", options: ServerImportOptions, variables: Mapping[str, str]
) -> "Known":
    from serinus.mlflow.manifest import Known, semver_of  # noqa: PLC0415 - likewise
    from serinus.mlflow.model_file import read_model_file  # noqa: PLC0415 - likewise

    registered = tracking.version(reference)
    version = semver_of(registered, options.version)
    model = _checked_name(options.model or registered.name)
    file = read_model_file(tracking.model_file(registered), f"{reference}, MLmodel")
    run = _run_of(tracking, registered)
    place = _folder(tracking.place_of(registered))
    return Known(
        model=model,
        version=version,
        file=file,
        artifact_uri=options.manifest.artifact_uri or place,
        hashed=_hashed(tracking, place, variables) if options.manifest.with_digest else None,
        registered=registered,
        run=run,
        run_url=_run_url(tracking, run) if run is not None else "",
        metrics=_metrics(tracking, registered, run),
    )


def _run_of(tracking: "Tracking", registered: "VersionInfo") -> "Run | None":
    """Return the run that made the version; None if MLflow has none, or has permanently deleted it."""
    if not registered.run_id:
        return None
    try:
        return tracking.run(registered.run_id)
    except NotFoundError:
        return None


def _run_url(tracking: "Tracking", run: "Run") -> str:
    return f"{tracking.place}/#/experiments/{quote(run.info.experiment_id)}/runs/{quote(run.info.run_id)}"


def _metrics(tracking: "Tracking", registered: "VersionInfo", run: "Run | None") -> "Sequence[Metric]":
    """Return the metrics of this model: its own, and those of its run if the run logged no other model.

    Where both have a metric, the run's is taken: a logged model's NaN is returned as 0 (MLflow 3.17 on SQLite).
    """
    of_run = run.data.metrics if run is not None else []
    if not registered.logged_model:
        return of_run
    of_model = tracking.logged_metrics(registered.logged_model)
    if run is None or len(run.outputs.model_outputs) > 1:
        return of_model
    measured = {metric.key for metric in of_run}
    return of_run + [metric for metric in of_model if metric.key not in measured]


def _folder(place: str) -> str:
    """Return the URI of a folder as the verifier expects it: in S3 only the final slash makes it a folder."""
    return f"{place.rstrip('/')}/" if place.startswith("s3://") else place


def _hashed(tracking: "Tracking", place: str, variables: Mapping[str, str]) -> "Measured":
    from serinus.artifacts.fetch import Inspection, measure  # noqa: PLC0415 - with what else reads artifacts
    from serinus.artifacts.verifier import measured  # noqa: PLC0415 - boto3
    from serinus.mlflow.files import SCHEME, ProxiedFiles  # noqa: PLC0415 - requests

    if place.startswith(f"{SCHEME}:"):
        inspection = Inspection()
        with ProxiedFiles(tracking).stat(place, inspection) as artifact:
            return measure(artifact, inspection, most=ArtifactSettings().max_bytes)
    s3 = ArtifactS3Settings(endpoint=variables.get("MLFLOW_S3_ENDPOINT_URL") or None)
    return measured(ArtifactSettings(s3=s3, local_root="/"), place)


# ---- from a file ------------------------------------------------------------------------------


def _from_file(options: FileImportOptions) -> "Known":
    from serinus.artifacts.verifier import measured  # noqa: PLC0415 - boto3
    from serinus.mlflow.client import MOST_MODEL_FILE_BYTES  # noqa: PLC0415 - requests
    from serinus.mlflow.manifest import Known, semver  # noqa: PLC0415 - likewise
    from serinus.mlflow.model_file import read_model_file  # noqa: PLC0415 - likewise

    if options.manifest.with_digest and not options.manifest.artifact_uri:
        raise RefusedError("--hash needs --artifact-uri: a digest is of no use without the place of the files")
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
        model=_checked_name(options.model),
        version=semver(options.version, "--version"),
        file=file,
        artifact_uri=options.manifest.artifact_uri or _folder(file.artifact_uri),
        hashed=measured(ArtifactSettings(local_root=folder), folder) if options.manifest.with_digest else None,
    )


# ---- input and output -------------------------------------------------------------------------


def _checked_name(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise RefusedError(
            f"invalid model name {name!r}: Kubernetes allows lower-case letters, digits and dashes: "
            "give --model, such as --model fraud-detector"
        )
    return name


def _backend(text: str) -> BackendRef:
    match = _BACKEND.fullmatch(text)
    if match is None or int(match["port"]) not in _PORTS:
        raise RefusedError(f"--backend: invalid Service and port {text!r}: write name:port, such as fraud-v2-3-1:80")
    return BackendRef(name=match["name"], port=int(match["port"]))


def _write(known: "Known", options: ManifestOptions) -> int:
    from serinus.mlflow.manifest import compose  # noqa: PLC0415 - likewise

    imported = compose(
        replace(known, backend=options.backend, namespace=options.namespace, repository=options.repository)
    )
    text, output = to_yaml(imported.manifest), options.output
    if output is None:
        echo(text.removesuffix("\n"))
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as problem:
            raise RefusedError(f"{output} cannot be written: {problem.strerror}") from problem
    for line in imported.left_out:
        echo(f"left out: {line}", err=True)
    if imported.unknown:
        paths = (f"{path} (--hash finds it)" if path == "artifact.digest" else path for path in imported.unknown)
        echo(f"not known to MLflow: {', '.join(paths)}", err=True)
    return OK
