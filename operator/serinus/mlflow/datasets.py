"""Conversion of an MLflow run's data sets to a ModelVersion's training data."""

from collections.abc import Iterable
from re import compile as pattern
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from serinus.api.modelversion import Dataset
from serinus.errors import InvalidObjectError
from serinus.mlflow.responses import DatasetInput, tags_of

CONTEXT_TAG: Final = "mlflow.data.context"
_TRAINING: Final = frozenset({"", "train", "training"})
_LONGEST_VERSION: Final = 63
_DIGEST: Final = pattern(r"sha256:[0-9a-f]{64}")


def datasets(inputs: Iterable[DatasetInput], left_out: list[str]) -> tuple[Dataset, ...]:
    """Return the training data; the facts that cannot be converted are appended to ``left_out``."""
    training: list[Dataset] = []
    for used in inputs:
        name, context = used.dataset.name, tags_of(used.tags).get(CONTEXT_TAG, "")
        if context not in _TRAINING:
            left_out.append(f"trainingData: {name} (MLflow says that it was used for {context})")
            continue
        uri = _source(used.dataset.source)
        if not uri:
            left_out.append(f"trainingData: {name} (its source, of type {used.dataset.source_type}, has no address)")
            continue
        training.append(_dataset(used, uri))
        if urlsplit(uri).query:
            left_out.append(f"the query of trainingData: {name} (it may be a signature)")
    return tuple(training)


def _dataset(used: DatasetInput, uri: str) -> Dataset:
    name, digest = used.dataset.name, used.dataset.digest
    complete = _DIGEST.fullmatch(digest) is not None
    # MLflow's own digest is a short hash of a sample: it identifies a version of the data, but proves nothing.
    version = name if complete else f"{name}@{digest}".rstrip("@")
    return Dataset(
        uri=without_secrets(uri),
        version=(version if len(version) <= _LONGEST_VERSION else digest[:_LONGEST_VERSION]) or None,
        digest=digest if complete else None,
        rows=_rows(used.dataset.profile),
    )


def _source(text: str) -> str:
    """Return the address in a data set's source, under one of the names that MLflow's source types use; else empty."""
    source = _json(text)
    return next((value for key in ("uri", "url", "path") if isinstance(value := source.get(key), str)), "")


def _rows(text: str) -> int | None:
    rows = _json(text).get("num_rows")
    return rows if isinstance(rows, int) and rows >= 0 else None


def _json(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def without_secrets(uri: str) -> str:
    """Return an address without user, password and query, since many may read the manifest."""
    try:
        parts = urlsplit(uri)
    except ValueError as problem:
        raise InvalidObjectError("uri", "an address in MLflow is invalid") from problem
    if not parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
