"""``serinus import``: a ModelVersion from what MLflow knows, on stdout; what it does not know, on stderr."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from re import compile as pattern
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import yaml

from serinus.api.modelversion import BackendRef
from serinus.api.schema import NAME, SUBDOMAIN
from serinus.artifacts.fetch import Inspection, Measured, measure
from serinus.cli.output import echo
from serinus.errors import ConfigurationError, NotFoundError, RefusedError
from serinus.mlflow.manifest import Imported, Known, compose, semver, semver_of
from serinus.mlflow.model_file import read_model_file
from serinus.mlflow.responses import Metric, Run, VersionInfo
from serinus.settings import ArtifactSettings, S3Settings

if TYPE_CHECKING:
    from serinus.mlflow.client import Reference, Tracking

DONE: Final = 0
_NAME: Final = pattern(NAME)
_BACKEND: Final = pattern(rf"(?P<name>{SUBDOMAIN.strip('^$')}):(?P<port>[0-9]{{1,5}})")
_PORTS: Final = range(1, 65536)


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line; :func:`run` does it."""
    about = "write a ModelVersion from what MLflow knows"
    parser = verbs.add_parser("import", help=about, description=about)
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    server = sources.add_parser("mlflow", help="from a version registered at an MLflow tracking server")
    server.add_argument("reference", help="models:/fraud-detector/7 or models:/fraud-detector@champion")
    server.add_argument("--tracking-uri", help="the tracking server; MLFLOW_TRACKING_URI where it is not given")
    server.add_argument("--version", help="the SemVer; the tag `semver` or `version` where it is not given")
    server.add_argument("--model", help="the model's name; that of the registered model where it is not given")
    file = sources.add_parser("mlmodel", help="from an MLmodel file, without a server")
    file.add_argument("path", type=Path, help="the MLmodel file")
    file.add_argument("--version", required=True, help="the SemVer, such as 2.3.1")
    file.add_argument("--model", required=True, help="the model's name")
    for one in (server, file):
        one.add_argument("-n", "--namespace", default="", help="of the ModelVersion")
        one.add_argument("--backend", help="the Service where it serves, as name:port")
        one.add_argument("--artifact-uri", default="", help="where its files are, if not where MLflow says")
        one.add_argument("--repository", default="", help="of the code, where MLflow does not know it")
        one.add_argument("--hash", action="store_true", help="read all files of the model for its digest and size")
        one.add_argument("-o", "--output", type=Path, help="write to this file instead of stdout")


def run(given: argparse.Namespace, environment: Mapping[str, str] | None = None) -> int:
    """Write the manifest and return 0.

    Args:
        given: what :func:`add_parser` has parsed.
        environment: MLflow's own variables; those of this process where it is not given.

    Raises:
        SerinusError: MLflow could not be asked or has no such version, or what it says cannot be a ModelVersion.
    """
    variables = os.environ if environment is None else environment
    backend = _backend(given.backend) if given.backend else None
    known = _from_server(given, variables) if given.source == "mlflow" else _from_file(given)
    found = compose(replace(known, backend=backend, namespace=given.namespace, repository=given.repository))
    _write(found, given.output)
    return DONE


# ---- from a server ----------------------------------------------------------------------------


def _from_server(given: argparse.Namespace, variables: Mapping[str, str]) -> Known:
    # requests takes 0.1 s to load and boto3 0.2 s: no other verb at a terminal must wait for them.
    from serinus.mlflow.client import Login, Reference, Tracking  # noqa: PLC0415

    uri = given.tracking_uri or variables.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise ConfigurationError("no tracking server is named: give --tracking-uri or set MLFLOW_TRACKING_URI")
    reference = Reference.parse(given.reference)
    login = Login(
        variables.get("MLFLOW_TRACKING_USERNAME", ""),
        variables.get("MLFLOW_TRACKING_PASSWORD", ""),
        variables.get("MLFLOW_TRACKING_TOKEN", ""),
    )
    tracking = Tracking(uri, login, certificates=variables.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    try:
        return _asked(tracking, reference, given, variables)
    finally:
        tracking.close()


def _asked(
    tracking: "Tracking", reference: "Reference", given: argparse.Namespace, variables: Mapping[str, str]
) -> Known:
    found = tracking.version(reference)
    version = semver_of(found, given.version)
    model = _model(given.model or found.name, found.name)
    file = read_model_file(tracking.model_file(found), f"{reference}, MLmodel")
    run = _run_of(tracking, found)
    place = _folder(tracking.place_of(found))
    return Known(
        model=model,
        version=version,
        file=file,
        artifact_uri=given.artifact_uri or place,
        hashed=_hashed(tracking, place, variables) if given.hash else None,
        registered=found,
        run=run,
        run_url=_page(tracking, run) if run is not None else "",
        metrics=_metrics(tracking, found, run),
    )


def _run_of(tracking: "Tracking", found: VersionInfo) -> Run | None:
    """Return the run that made it; None where MLflow knows none, or has deleted it for good."""
    if not found.run_id:
        return None
    try:
        return tracking.run(found.run_id)
    except NotFoundError:
        return None


def _page(tracking: "Tracking", run: Run) -> str:
    return f"{tracking.place}/#/experiments/{quote(run.info.experiment_id)}/runs/{quote(run.info.run_id)}"


def _metrics(tracking: "Tracking", found: VersionInfo, run: Run | None) -> list[Metric]:
    """Return what was measured of this very model; a run that made only one measured only that one.

    Where both have a metric the run's is taken: a logged model's NaN comes as 0 (seen with MLflow 3.17 on SQLite).
    """
    of_run = run.data.metrics if run is not None else []
    if not found.logged_model:
        return of_run
    of_model = tracking.logged_metrics(found.logged_model)
    if run is None or len(run.outputs.model_outputs) > 1:
        return of_model
    named = {metric.key for metric in of_run}
    return of_run + [metric for metric in of_model if metric.key not in named]


def _folder(place: str) -> str:
    """Return the folder's URI as the verifier reads it: in S3 only the last slash tells a folder from an object."""
    return f"{place.rstrip('/')}/" if place.startswith("s3://") else place


def _hashed(tracking: "Tracking", place: str, variables: Mapping[str, str]) -> Measured:
    from serinus.artifacts.verifier import measured  # noqa: PLC0415 - boto3
    from serinus.mlflow.files import SCHEME, ProxiedFiles  # noqa: PLC0415 - requests

    if place.startswith(f"{SCHEME}:"):
        look = Inspection()
        with ProxiedFiles(tracking).sight(place, look) as sight:
            return measure(sight, look, most=ArtifactSettings().max_bytes)
    s3 = S3Settings(endpoint=variables.get("MLFLOW_S3_ENDPOINT_URL") or None)
    return measured(ArtifactSettings(s3=s3, local_root="/"), place)


# ---- from a file ------------------------------------------------------------------------------


def _from_file(given: argparse.Namespace) -> Known:
    from serinus.artifacts.verifier import measured  # noqa: PLC0415 - boto3
    from serinus.mlflow.client import MOST_MODEL_FILE_BYTES  # noqa: PLC0415 - requests

    if given.hash and not given.artifact_uri:
        raise RefusedError("--hash needs --artifact-uri: a digest without the place of what it is of says nothing")
    path = given.path
    try:
        with path.open("rb") as opened:
            content = opened.read(MOST_MODEL_FILE_BYTES + 1)
    except OSError as problem:
        raise NotFoundError(f"{path} cannot be read: {problem.strerror}: name the MLmodel file itself") from problem
    if len(content) > MOST_MODEL_FILE_BYTES:
        raise RefusedError(f"{path} is over {MOST_MODEL_FILE_BYTES >> 20} MiB: it is no MLmodel file")
    file = read_model_file(content, str(path))
    folder = str(path.resolve().parent)
    return Known(
        model=_model(given.model, given.model),
        version=semver(given.version, "--version"),
        file=file,
        artifact_uri=given.artifact_uri or _folder(file.artifact_uri),
        hashed=measured(ArtifactSettings(local_root=folder), folder) if given.hash else None,
    )


# ---- words in and out -------------------------------------------------------------------------


def _model(name: str, registered: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise RefusedError(
            f"{registered!r} cannot be a model's name in Kubernetes, which has lower-case letters, digits and dashes: "
            "give --model, such as --model fraud-detector"
        )
    return name


def _backend(text: str) -> BackendRef:
    found = _BACKEND.fullmatch(text)
    if found is None or int(found["port"]) not in _PORTS:
        raise RefusedError(f"--backend: {text!r} is no Service with a port: write name:port, such as fraud-v2-3-1:80")
    return BackendRef(name=found["name"], port=int(found["port"]))


def _write(found: Imported, output: Path | None) -> None:
    text = to_yaml(found.manifest)
    if output is None:
        echo(text.removesuffix("\n"))
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as problem:
            raise RefusedError(f"{output} cannot be written: {problem.strerror}") from problem
    for line in found.left_out:
        echo(f"left out: {line}", err=True)
    if found.unknown:
        told = ", ".join(f"{path} (--hash finds it)" if path == "artifact.digest" else path for path in found.unknown)
        echo(f"not known to MLflow: {told}", err=True)


class _Manifest(yaml.SafeDumper):
    """Quotes what another YAML reader could take for a number or a truth value, such as the commit 1234e56 or y."""


_LOOKS_LIKE_NO_TEXT: Final = pattern(r"[-+.0-9].*|[yYnN]")


def _represent(dumper: _Manifest, text: str) -> yaml.ScalarNode:
    style = '"' if _LOOKS_LIKE_NO_TEXT.fullmatch(text) or not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Manifest.add_representer(str, _represent)


def to_yaml(manifest: Mapping[str, Any]) -> str:
    """Return the manifest as YAML that every reader takes for the same values."""
    return yaml.dump(dict(manifest), Dumper=_Manifest, sort_keys=False, allow_unicode=True, width=120)
