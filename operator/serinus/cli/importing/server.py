"""``serinus import mlflow``: a ModelVersion from a tracking server's registered version or logged model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import click

from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from serinus.cli.importing.manifest import (
    ManifestOptions,
    checked_name,
    identity_options,
    manifest_options,
    write_composed,
)
from serinus.errors import ConfigurationError, NotFoundError, RefusedError
from serinus.settings import ArtifactS3Settings, ArtifactSettings

if TYPE_CHECKING:
    from serinus.artifacts.fetch import Measured
    from serinus.mlflow.client import Tracking
    from serinus.mlflow.manifest import Known
    from serinus.mlflow.reference import Reference
    from serinus.mlflow.responses import Metric, Run, VersionInfo

# The clients of MLflow and of artifact stores are imported by the functions that use them: requests and boto3 take
# 0.3 s to load, for which other verbs must not wait.


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
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(
            reference=params["reference"],
            tracking_uri=params["tracking_uri"],
            version=params["version"],
            model=params["model"],
            manifest=ManifestOptions.from_params(params),
        )


@command(
    "mlflow",
    ServerImportOptions.from_params,
    "write a ModelVersion from a version that is registered at an MLflow tracking server",
)
@click.argument(
    "reference",
    metavar="REFERENCE",
    help="models:/fraud-detector/7, models:/fraud-detector@champion, or a logged model, models:/m-4f2a",
)
@click.option("--tracking-uri", metavar="URL", help="tracking server (default: MLFLOW_TRACKING_URI)")
@identity_options(
    "SemVer of the version (default: its tag `semver` or `version`)",
    "name of the model (default: that of the registered model)",
)
@manifest_options
def mlflow(options: ServerImportOptions, context: CliContext) -> int:
    """Run the command."""
    return write_composed(_from_server(options, context.environment), options.manifest)


def _from_server(options: ServerImportOptions, variables: Mapping[str, str]) -> "Known":
    from serinus.mlflow.client import Login, Tracking  # noqa: PLC0415 - requests
    from serinus.mlflow.reference import Reference  # noqa: PLC0415 - likewise

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
    from serinus.mlflow.manifest import Known, as_folder, semver_of  # noqa: PLC0415 - likewise
    from serinus.mlflow.model_file import read_model_file  # noqa: PLC0415 - likewise

    registered = tracking.version(reference)
    version = semver_of(registered, options.version)
    model, remarks = _named(reference, registered, options.model)
    file = read_model_file(tracking.model_file(registered), f"{reference}, MLmodel")
    run = _run_of(tracking, registered)
    place = as_folder(tracking.place_of(registered))
    return Known(
        model=model,
        version=version,
        file=file,
        artifact_uri=options.manifest.artifact_uri or place,
        hashed=_hashed(tracking, place, variables) if options.manifest.with_digest else None,
        registered=registered,
        run=run,
        run_url=run.page(tracking.place) if run is not None else "",
        metrics=_metrics(tracking, registered, run),
        remarks=remarks,
    )


def _named(reference: "Reference", registered: "VersionInfo", given: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the model's name, and a remark where it is not the one in MLflow."""
    if given is not None:
        return checked_name(given), ()
    if reference.logged:
        raise RefusedError(f"{reference} is a logged model, which has no name in a registry: give --model")
    if not reference.in_catalog:
        return checked_name(registered.name), ()
    name = checked_name(registered.name.rpartition(".")[2].replace("_", "-").lower())
    return name, (f"the catalog and schema of {registered.name}: the model is {name} (--model names it otherwise)",)


def _run_of(tracking: "Tracking", registered: "VersionInfo") -> "Run | None":
    """Return the run that made the version; None if MLflow has none, or has permanently deleted it."""
    if not registered.run_id:
        return None
    try:
        return tracking.run(registered.run_id)
    except NotFoundError:
        return None


def _metrics(tracking: "Tracking", registered: "VersionInfo", run: "Run | None") -> "Sequence[Metric]":
    """Return the metrics of the version's logged model and of its run; those of the run where no model was logged."""
    if not registered.logged_model:
        return run.data.metrics if run is not None else []
    of_model = tracking.logged_model(registered.logged_model).data.metrics
    return run.metrics_with(of_model) if run is not None else of_model


def _hashed(tracking: "Tracking", place: str, variables: Mapping[str, str]) -> "Measured":
    from serinus.artifacts.fetch import Inspection, measure  # noqa: PLC0415 - with what else reads artifacts
    from serinus.artifacts.verifier import measured  # noqa: PLC0415 - boto3
    from serinus.mlflow.files import SCHEME, ProxiedFiles  # noqa: PLC0415 - requests
    from serinus.mlflow.manifest import is_windows_path  # noqa: PLC0415 - likewise

    if place.startswith(f"{SCHEME}:"):
        inspection = Inspection()
        with ProxiedFiles(tracking).stat(place, inspection) as artifact:
            return measure(artifact, inspection, most=ArtifactSettings().max_bytes)
    if is_windows_path(place):
        raise RefusedError(f"{place} is a path of the machine that logged it: hash it there, by serinus import mlmodel")
    s3 = ArtifactS3Settings(endpoint=variables.get("MLFLOW_S3_ENDPOINT_URL") or None)
    return measured(ArtifactSettings(s3=s3, local_root="/"), place)
