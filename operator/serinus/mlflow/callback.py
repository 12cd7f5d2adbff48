"""Writes the ModelVersion of the model that training code has just logged, through the MLflow that is installed there.

Only this module calls MLflow's Python API (2.9 to 3.17), and imports it when it is used.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias, TypedDict, Unpack

from serinus.api.modelversion import BackendRef
from serinus.api.names import model_version_name
from serinus.artifacts.fetch import Measured
from serinus.errors import ConfigurationError, RefusedError
from serinus.mlflow.manifest import Imported, Known, as_folder, compose, semver
from serinus.mlflow.model_file import ModelFile, framework_of
from serinus.mlflow.responses import (
    DatasetInfo,
    DatasetInput,
    Metric,
    ModelOutput,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
    Tag,
)
from serinus.mlflow.signature import UnsupportedSignatureError, convert_signature
from serinus.settings import ArtifactSettings
from serinus.yaml_output import to_yaml

_MILLISECONDS: Final = 1000

Foreign: TypeAlias = Any
"""MLflow itself or an object of it: it is not installed where this is checked."""


@dataclass(frozen=True, slots=True)
class Written:
    """The manifest that was written.

    Attributes:
        path: its file.
        unknown: the fields that MLflow does not know.
        left_out: MLflow's facts that do not fit into it.
    """

    path: Path
    unknown: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(slots=True)
class Candidate:
    """The version whose manifest is written at the end of the block.

    Attributes:
        logged: what ``log_model`` returned; by default the model that was logged last within the block.
        written: the manifest; None until the block has ended.
    """

    logged: Foreign = None
    written: Written | None = None


class ManifestOptions(TypedDict, total=False):
    """Options of :func:`write_manifest`."""

    path: str | Path | None
    backend: str
    namespace: str
    artifact_uri: str
    repository: str
    with_digest: bool
    seconds: Callable[[], float]


@contextmanager
def candidate(model: str, version: str, **options: Unpack[ManifestOptions]) -> Iterator[Candidate]:
    """Write the ModelVersion of the model that the block logs; nothing is written where the block fails.

    Args:
        model: the model's name.
        version: its SemVer.
        options: as of :func:`write_manifest`.

    Raises:
        ConfigurationError: MLflow is not installed.
        InvalidObjectError: the name or the version is invalid; raised before the block begins.
        RefusedError: the block has logged no model.
    """
    mlflow = _mlflow()
    # Before hours of training.
    compose(Known(model=model, version=semver(version, "version"), file=ModelFile()))
    _backend(options.get("backend", ""))
    before, pending = _last_logged(mlflow), Candidate()
    yield pending
    if pending.logged is None:
        last = _last_logged(mlflow)
        if not last or last == before:
            raise RefusedError(
                "no model was logged: call log_model in the block, and where MLflow is older than 3, set `logged` of "
                "the candidate to what it returns"
            )
        pending.logged = mlflow.models.get_model_info(f"models:/{last}")
    pending.written = write_manifest(pending.logged, model, version, **options)


def write_manifest(  # noqa: PLR0913 - the options of serinus import mlflow
    logged: Foreign,
    model: str,
    version: str,
    *,
    path: str | Path | None = None,
    backend: str = "",
    namespace: str = "",
    artifact_uri: str = "",
    repository: str = "",
    with_digest: bool = False,
    seconds: Callable[[], float] = time.time,
) -> Written:
    """Write the ModelVersion of a model that was just logged.

    Args:
        logged: what ``log_model`` returned.
        model: the model's name.
        version: its SemVer.
        path: the file; by default ``<model>-v<version>.yaml`` in the current folder.
        backend: the Service that will serve it, as name:port.
        namespace: of the ModelVersion.
        artifact_uri: of the model's files, if not that in MLflow.
        repository: of the code, if MLflow does not have it.
        with_digest: read all files of the model to compute its digest and size.
        seconds: the clock, in seconds since 1970; a run that has not ended has lasted until now.

    Raises:
        ConfigurationError: MLflow is not installed.
        InvalidObjectError: a value does not match the API's schema; the error names the field.
        RefusedError: the version is not SemVer, or the file cannot be written.
    """
    mlflow = _mlflow()
    number = semver(version, "version")
    run = _run(mlflow, logged, seconds) if logged.run_id else None
    location, of_model = _logged_model(mlflow, logged)
    composed = compose(
        Known(
            model=model,
            version=number,
            file=_model_file(logged),
            artifact_uri=artifact_uri or as_folder(location),
            hashed=_hashed(mlflow, logged) if with_digest else None,
            run=run,
            run_url=_run_page(mlflow, run) if run is not None else "",
            metrics=run.metrics_with(of_model) if run is not None else of_model,
            repository=repository,
            backend=_backend(backend),
            namespace=namespace,
        )
    )
    file = Path(path) if path is not None else Path(f"{model_version_name(model, number)}.yaml")
    return _write(composed, file)


def _write(composed: Imported, file: Path) -> Written:
    try:
        file.write_text(to_yaml(composed.manifest), encoding="utf-8")
    except OSError as problem:
        raise RefusedError(f"{file} cannot be written: {problem.strerror}") from problem
    return Written(file, composed.unknown, composed.left_out)


def _mlflow() -> Foreign:
    try:
        return importlib.import_module("mlflow")
    except ImportError as problem:
        raise ConfigurationError("MLflow is not installed here: this is for code that logs models with it") from problem


def _last_logged(mlflow: Foreign) -> str:
    """Return the id of the model that this process has logged last; empty where there is none, or before MLflow 3."""
    last = mlflow.last_logged_model() if hasattr(mlflow, "last_logged_model") else None
    return str(last.model_id) if last is not None else ""


def _backend(text: str) -> BackendRef | None:
    if not text:
        return None
    name, _, port = text.rpartition(":")
    if not name or not port.isdecimal():
        raise RefusedError(f"backend: invalid Service and port {text!r}: write name:port, such as fraud-v2-3-1:80")
    return BackendRef(name=name, port=int(port))


def _model_file(logged: Foreign) -> ModelFile:
    raw = logged.signature.to_dict() if logged.signature is not None else {}
    converted, problem = None, ""
    if raw:
        try:
            converted = convert_signature(raw.get("inputs"), raw.get("outputs"), raw.get("params"))
        except UnsupportedSignatureError as unsupported:
            problem = str(unsupported)
    return ModelFile(
        framework=framework_of(logged.flavors),
        signature=converted.signature if converted is not None else None,
        problem=problem,
        remarks=converted.remarks if converted is not None else (),
        outputs_known=not raw or raw.get("outputs") is not None,
        run_id=logged.run_id or "",
    )


def _logged_model(mlflow: Foreign, logged: Foreign) -> tuple[str, list[Metric]]:
    """Return where the files of the model are, and its own metrics; before MLflow 3 it has none."""
    model_id = getattr(logged, "model_id", None)
    if model_id:
        model = mlflow.get_logged_model(model_id)
        own = [Metric(metric.key, metric.value, metric.dataset_name or "") for metric in model.metrics or ()]
        return str(model.artifact_location), own
    run = mlflow.get_run(logged.run_id)
    return f"{run.info.artifact_uri}/{logged.artifact_path}", []


def _run(mlflow: Foreign, logged: Foreign, seconds: Callable[[], float]) -> Run:
    run = mlflow.get_run(logged.run_id)
    info, data = run.info, run.data
    inputs = run.inputs.dataset_inputs if run.inputs is not None else ()
    outputs = getattr(run, "outputs", None)
    return Run(
        info=RunInfo(
            run_id=info.run_id,
            experiment_id=info.experiment_id,
            user_id=info.user_id or "",
            start_time=info.start_time,
            end_time=info.end_time or int(seconds() * _MILLISECONDS),
        ),
        data=RunData(
            metrics=[Metric(name, value) for name, value in data.metrics.items()],
            params=[Tag(name, value) for name, value in data.params.items()],
            tags=[Tag(name, value) for name, value in data.tags.items()],
        ),
        inputs=RunInputs([_dataset(used) for used in inputs]),
        outputs=RunOutputs([ModelOutput(output.model_id) for output in outputs.model_outputs] if outputs else []),
    )


def _dataset(used: Foreign) -> DatasetInput:
    dataset = used.dataset
    return DatasetInput(
        dataset=DatasetInfo(
            name=dataset.name,
            digest=dataset.digest,
            source_type=dataset.source_type,
            source=dataset.source,
            profile=dataset.profile or "",
        ),
        tags=[Tag(tag.key, tag.value) for tag in used.tags],
    )


def _run_page(mlflow: Foreign, run: Run) -> str:
    place = str(mlflow.get_tracking_uri())
    return run.page(place) if place.startswith(("http://", "https://")) else ""


def _hashed(mlflow: Foreign, logged: Foreign) -> Measured:
    from serinus.artifacts.verifier import measured  # noqa: PLC0415 - boto3

    with TemporaryDirectory() as folder:
        files = str(mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=folder))
        return measured(ArtifactSettings(local_root=folder), files)
