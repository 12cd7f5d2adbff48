"""The responses of MLflow's REST API, reduced to the fields in use (MLflow 3.17, REST API 2.0)."""

from collections.abc import Iterable, Sequence
from re import compile as pattern
from typing import Final
from urllib.parse import quote

import msgspec

_LOGGED: Final = pattern(r"models:/(?P<id>m-[0-9A-Za-z-]+)")


def logged_model_of(uri: str) -> str:
    """Return the id in ``models:/m-<id>``; empty for any other text."""
    logged = _LOGGED.fullmatch(uri)
    return logged["id"] if logged is not None else ""


class Tag(msgspec.Struct, frozen=True):
    """A tag or a parameter."""

    key: str
    value: str = ""


class VersionInfo(msgspec.Struct, frozen=True):
    """A version of a registered model."""

    name: str
    version: str
    source: str = ""
    run_id: str = ""
    description: str = ""
    tags: list[Tag] = []

    @property
    def logged_model(self) -> str:
        """The id of its logged model (MLflow 3); empty where it has none."""
        return logged_model_of(self.source)


class Metric(msgspec.Struct, frozen=True):
    """A metric's last value; NaN and the infinities are sent as text."""

    key: str
    value: float | str
    dataset_name: str = ""


class RunInfo(msgspec.Struct, frozen=True):
    """A run's user and times, in milliseconds since 1970."""

    run_id: str
    experiment_id: str = ""
    user_id: str = ""
    start_time: int | None = None
    end_time: int | None = None


class RunData(msgspec.Struct, frozen=True):
    """The values that a run has logged."""

    metrics: list[Metric] = []
    params: list[Tag] = []
    tags: list[Tag] = []


class DatasetInfo(msgspec.Struct, frozen=True):
    """A data set; ``source`` and ``profile`` are JSON in a string."""

    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True):
    """A data set and the tags of its use."""

    dataset: DatasetInfo
    tags: list[Tag] = []


class RunInputs(msgspec.Struct, frozen=True):
    """A run's inputs."""

    dataset_inputs: list[DatasetInput] = []


class ModelOutput(msgspec.Struct, frozen=True):
    """A model that a run has created."""

    model_id: str


class RunOutputs(msgspec.Struct, frozen=True):
    """A run's outputs."""

    model_outputs: list[ModelOutput] = []


class Run(msgspec.Struct, frozen=True):
    """A run."""

    info: RunInfo
    data: RunData = RunData()
    inputs: RunInputs = RunInputs()
    outputs: RunOutputs = RunOutputs()

    def page(self, server: str) -> str:
        """Return the address of its page in MLflow, given that of the server."""
        return f"{server.rstrip('/')}/#/experiments/{quote(self.info.experiment_id)}/runs/{quote(self.info.run_id)}"

    def metrics_with(self, of_model: Sequence[Metric]) -> Sequence[Metric]:
        """Return the metrics of a model that it has logged, and its own if it has logged no other model.

        Where both have a metric, the run's is taken: a logged model's NaN is returned as 0 (MLflow 3.17 on SQLite).
        """
        if len(self.outputs.model_outputs) > 1:
            return of_model
        measured = {metric.key for metric in self.data.metrics}
        return [*self.data.metrics, *(metric for metric in of_model if metric.key not in measured)]


class LoggedData(msgspec.Struct, frozen=True):
    """The logged values of one model."""

    metrics: list[Metric] = []


class LoggedInfo(msgspec.Struct, frozen=True):
    """A logged model's name, run, tags, and the folder of its files."""

    name: str = ""
    artifact_uri: str = ""
    source_run_id: str = ""
    tags: list[Tag] = []


class LoggedModel(msgspec.Struct, frozen=True):
    """A model that a run has logged (MLflow 3)."""

    info: LoggedInfo = LoggedInfo()
    data: LoggedData = LoggedData()


class LoggedAnswer(msgspec.Struct, frozen=True):
    """The response of ``logged-models/<id>``."""

    model: LoggedModel


class VersionAnswer(msgspec.Struct, frozen=True):
    """The response of ``model-versions/get``."""

    model_version: VersionInfo


class RunAnswer(msgspec.Struct, frozen=True):
    """The response of ``runs/get``."""

    run: Run


class PlaceAnswer(msgspec.Struct, frozen=True):
    """The response of ``model-versions/get-download-uri``."""

    artifact_uri: str


class File(msgspec.Struct, frozen=True):
    """An entry of a folder of artifacts; ``path`` is its name in it."""

    path: str
    is_dir: bool = False
    file_size: int | None = None


class FilesAnswer(msgspec.Struct, frozen=True):
    """The response of ``mlflow-artifacts/artifacts``."""

    files: list[File] = []


def tags_of(tags: Iterable[Tag]) -> dict[str, str]:
    """Return tags by their keys."""
    return {tag.key: tag.value for tag in tags}
