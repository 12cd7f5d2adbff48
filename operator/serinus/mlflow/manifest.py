"""Composes a ModelVersion from MLflow's data, with lists of the facts that are unknown and those that are left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from re import compile as pattern
from sys import float_info
from typing import Any, Final

from serinus.api.modelversion import (
    Artifact,
    BackendRef,
    Lineage,
    Measure,
    ModelVersionSpec,
    RunReference,
    Serving,
    SourceCode,
    Training,
)
from serinus.api.names import API_VERSION, MODEL_VERSION, model_version_name
from serinus.api.parsing import decode, encode
from serinus.api.quantities import format_duration
from serinus.artifacts.fetch import Measured
from serinus.engine.semver import parse_version
from serinus.errors import RefusedError
from serinus.mlflow.datasets import datasets, without_secrets
from serinus.mlflow.model_file import ModelFile
from serinus.mlflow.responses import Metric, Run, Tag, VersionInfo, tags_of

COMMIT_TAG: Final = "mlflow.source.git.commit"
REPOSITORY_TAG: Final = "mlflow.source.git.repoURL"
USER_TAG: Final = "mlflow.user"
VERSION_TAGS: Final = ("semver", "version")

# The fields of a complete ModelVersion; the missing ones are reported.
_COMPLETE: Final = (
    "artifact.digest",
    "artifact.sizeBytes",
    "framework",
    "trainingData",
    "training",
    "lineage.code",
    "lineage.featureCommit",
    "lineage.hyperparameters",
    "lineage.run",
    "metrics",
    "signature",
    "serving",
    "governance",
    "changes",
)
_LONGEST_VALUE: Final = 1024
_MOST_PARAMETERS: Final = 128
_MOST_METRICS: Final = 128
_LONGEST_NAME: Final = 63
_LONGEST_CHANGES: Final = 4096
# MLflow's SQL store has no infinity: it keeps the largest double instead (mlflow/store/tracking/sqlalchemy_store.py).
_STORED_INFINITY: Final = float_info.max
_WINDOWS: Final = pattern(r"[A-Za-z]:[\\/]|\\\\|file:/+[A-Za-z]:")
_COMMIT: Final = pattern(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The known facts about a version; None or empty where unknown.

    Attributes:
        model: the ModelVersion's model.
        version: its SemVer.
        file: its MLmodel file.
        artifact_uri: the location of its artifact.
        hashed: the artifact's size and digest, if it was read.
        registered: the registered version.
        run: the run that created it.
        run_url: a page that shows the run.
        metrics: those of the model itself, where MLflow distinguishes them from those of its run.
        repository: the code repository given by the user.
        backend: the backend that serves it.
        namespace: the ModelVersion's namespace.
        remarks: what a person should know of the import beside that.
    """

    model: str
    version: str
    file: ModelFile
    artifact_uri: str = ""
    hashed: Measured | None = None
    registered: VersionInfo | None = None
    run: Run | None = None
    run_url: str = ""
    metrics: Sequence[Metric] = ()
    repository: str = ""
    backend: BackendRef | None = None
    namespace: str = ""
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """A ModelVersion's manifest, the fields that MLflow does not know, and MLflow's facts that do not fit into it."""

    manifest: Mapping[str, Any]
    unknown: tuple[str, ...]
    left_out: tuple[str, ...]


def as_folder(place: str) -> str:
    """Return the URI of a folder as the verifier expects it: in S3 only the final slash makes it a folder."""
    return f"{place.rstrip('/')}/" if place.startswith("s3://") else place


def is_windows_path(uri: str) -> bool:
    """Return whether it is a path of a Windows machine, which no pod can read."""
    return _WINDOWS.match(uri) is not None


def semver_of(registered: VersionInfo, given: str | None) -> str:
    """Return the version given by the user, by default that of the tag ``semver`` or ``version``.

    Raises:
        RefusedError: there is none, or it is not SemVer.
    """
    tags = tags_of(registered.tags)
    tag = next((name for name in VERSION_TAGS if tags.get(name)), "")
    number = registered.version
    origin = f"models:/{registered.name}/{number}" if number else registered.source
    if given is None and not tag:
        own = f", and MLflow's own number {number} is not SemVer" if number else ""
        raise RefusedError(
            f"{origin} has no tag `semver` or `version`{own}: give --version, such as --version 2.3.1, or set the tag"
        )
    return semver(
        given if given is not None else tags[tag], "--version" if given is not None else f"{origin}, tag {tag}"
    )


def semver(text: str, where: str) -> str:
    """Return the version without a leading v; RefusedError if it is not SemVer."""
    try:
        return str(parse_version(text))
    except ValueError as problem:
        raise RefusedError(
            f"{where}: {text!r} is not a SemVer 2.0 version without build metadata: write one such as 2.3.1"
        ) from problem


def compose(known: Known) -> Imported:
    """Compose the ModelVersion.

    Raises:
        InvalidObjectError: a value does not match the API's schema; the error names the field.
    """
    left_out: list[str] = []
    run = known.run
    spec = ModelVersionSpec(
        model=known.model,
        version=known.version,
        artifact=_artifact(known, left_out),
        framework=known.file.framework,
        training_data=datasets(run.inputs.dataset_inputs if run is not None else (), left_out),
        training=_training(run),
        lineage=_lineage(known, left_out),
        metrics=_measures(known.metrics or (run.data.metrics if run is not None else ()), left_out),
        signature=known.file.signature,
        serving=Serving(backend_ref=known.backend) if known.backend is not None else None,
        changes=_changes(known.registered, left_out),
    )
    left_out += known.remarks
    left_out += known.file.remarks
    if known.file.problem:
        left_out.append(f"signature ({known.file.problem})")
    raw = encode(spec)
    decode(ModelVersionSpec, raw, "spec")
    metadata = {"name": model_version_name(known.model, known.version)}
    if known.namespace:
        metadata["namespace"] = known.namespace
    manifest = {"apiVersion": API_VERSION, "kind": MODEL_VERSION.kind, "metadata": metadata, "spec": raw}
    return Imported(manifest, tuple(_unknown(raw, known)), tuple(left_out))


def _unknown(raw: Mapping[str, Any], known: Known) -> Iterable[str]:
    for path in _COMPLETE:
        member: Any = raw
        for name in path.split("."):
            member = member.get(name) if isinstance(member, Mapping) else None
        if member is None and not (path == "signature" and known.file.problem):
            yield path
    if known.file.signature is not None:
        if not known.file.outputs_known:
            yield "signature.outputs"
        # That depends on the server in front of the model.
        yield "signature.unknownInputs"


def _artifact(known: Known, left_out: list[str]) -> Artifact | None:
    if not known.artifact_uri:
        return None
    if is_windows_path(known.artifact_uri):
        left_out.append(f"artifact ({known.artifact_uri} is a path of the machine that logged it: give --artifact-uri)")
        return None
    hashed = known.hashed
    return Artifact(
        uri=known.artifact_uri,
        digest=hashed.digest if hashed is not None else None,
        size_bytes=hashed.size if hashed is not None else None,
        format="mlflow",
    )


def _training(run: Run | None) -> Training | None:
    if run is None or run.info.start_time is None:
        return None
    begin, end = run.info.start_time, run.info.end_time
    return Training(
        started_at=datetime.fromtimestamp(begin // 1000, UTC),
        duration=format_duration(timedelta(milliseconds=end - begin)) if end is not None and end >= begin else None,
        by=tags_of(run.data.tags).get(USER_TAG) or run.info.user_id or None,
    )


def _lineage(known: Known, left_out: list[str]) -> Lineage | None:
    run = known.run
    run_id = run.info.run_id if run is not None else known.file.run_id
    tags = tags_of(run.data.tags) if run is not None else {}
    lineage = Lineage(
        code=_code(tags, known.repository, left_out),
        hyperparameters=_parameters(run.data.params if run is not None else (), left_out),
        run=RunReference(system="mlflow", id=run_id, url=known.run_url or None) if run_id else None,
    )
    return lineage if encode(lineage) else None


def _code(tags: Mapping[str, str], given: str, left_out: list[str]) -> SourceCode | None:
    repository, commit = without_secrets(given or tags.get(REPOSITORY_TAG, "")), tags.get(COMMIT_TAG, "").lower()
    if commit and _COMMIT.fullmatch(commit) is None:
        left_out.append(f"lineage.code.commit (tag {COMMIT_TAG} is not a commit)")
        commit = ""
    if not repository:
        if commit:
            left_out.append(f"lineage.code.commit {commit} (MLflow does not know its repository: give --repository)")
        return None
    return SourceCode(repository=repository, commit=commit or None)


def _parameters(params: Iterable[Tag], left_out: list[str]) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for parameter in sorted(params, key=lambda parameter: parameter.key):
        if len(parameter.value) > _LONGEST_VALUE:
            left_out.append(f"lineage.hyperparameters.{parameter.key} (over {_LONGEST_VALUE:,} characters)")
        elif len(parameters) == _MOST_PARAMETERS:
            left_out.append(f"lineage.hyperparameters.{parameter.key} (there are over {_MOST_PARAMETERS})")
        else:
            parameters[parameter.key] = parameter.value
    return parameters


def _measures(metrics: Iterable[Metric], left_out: list[str]) -> tuple[Measure, ...]:
    measures: dict[tuple[str, str], Measure] = {}
    for metric in sorted(metrics, key=lambda metric: (metric.key, metric.dataset_name)):
        value = metric.value
        if isinstance(value, str) or not isfinite(value):
            left_out.append(f"metrics.{metric.key} (its value is not a number)")
        elif abs(value) >= _STORED_INFINITY:
            left_out.append(f"metrics.{metric.key} (its value is infinite)")
        elif len(metric.key) > _LONGEST_NAME:
            left_out.append(f"metrics.{metric.key} (its name is over {_LONGEST_NAME} characters)")
        elif len(measures) == _MOST_METRICS:
            left_out.append(f"metrics.{metric.key} (there are over {_MOST_METRICS})")
        else:
            dataset = metric.dataset_name[:_LONGEST_NAME] or None
            measure = Measure(name=metric.key, value=repr(float(value)), dataset=dataset)
            measures[metric.key, metric.dataset_name] = measure
    return tuple(measures.values())


def _changes(registered: VersionInfo | None, left_out: list[str]) -> str | None:
    if registered is None or not registered.description:
        return None
    if len(registered.description) > _LONGEST_CHANGES:
        left_out.append(f"changes (the description is over {_LONGEST_CHANGES:,} characters)")
        return None
    return registered.description
