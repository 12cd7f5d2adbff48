"""Reads MLflow's ``MLmodel`` file: framework, run, signature."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from serinus.api.modelversion import Framework
from serinus.api.parsing import decode
from serinus.api.signature import Signature
from serinus.errors import InvalidObjectError
from serinus.mlflow.signature import UnsupportedSignatureError, convert_signature
from serinus.yaml_text import YamlTextError, read_yaml

# The field of the library's version is <flavor>_version except for these (mlflow 3.17, the flavors' log_model).
_VERSION_KEYS: Final = {"xgboost": "xgb_version", "lightgbm": "lgb_version", "spark": "pyspark_version"}
_GENERIC: Final = "python_function"
# C:/models is a path of Windows, and no scheme has one letter.
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


class _Raw(msgspec.Struct, frozen=True):
    inputs: str | list[dict[str, Any]] | None = None
    outputs: str | list[dict[str, Any]] | None = None
    params: str | list[dict[str, Any]] | None = None


class _File(msgspec.Struct, frozen=True):
    flavors: dict[str, dict[str, Any] | None]
    run_id: str | None = None
    artifact_path: str | None = None
    signature: _Raw | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """The contents of an MLmodel file.

    Attributes:
        framework: None where the only flavor is the generic Python function.
        signature: None where it has none, or one that a ModelVersion cannot express; ``problem`` has the reason.
        remarks: what was changed in the signature to make it fit.
        outputs_known: whether the signature describes the outputs.
        run_id: empty where there was no run.
        artifact_uri: the URI of its folder; empty where the file has none.
    """

    framework: Framework | None = None
    signature: Signature | None = None
    problem: str = ""
    remarks: tuple[str, ...] = ()
    outputs_known: bool = True
    run_id: str = ""
    artifact_uri: str = ""


def read_model_file(content: bytes, where: str) -> ModelFile:
    """Parse an MLmodel file.

    Raises:
        InvalidObjectError: it is invalid; the error names the field.
    """
    try:
        documents = read_yaml(content)
    except YamlTextError as problem:
        raise InvalidObjectError(where, f"is not YAML, so it is not an MLmodel file: {problem}") from problem
    file = decode(_File, documents[0] if len(documents) == 1 else documents, where)
    converted, unsupported, raw_signature = None, "", file.signature
    if raw_signature is not None:
        try:
            converted = convert_signature(raw_signature.inputs, raw_signature.outputs, raw_signature.params)
        except UnsupportedSignatureError as problem:
            unsupported = str(problem)
    path = file.artifact_path or ""
    return ModelFile(
        framework=framework_of(file.flavors),
        signature=converted.signature if converted is not None else None,
        problem=unsupported,
        remarks=converted.remarks if converted is not None else (),
        outputs_known=file.signature is None or file.signature.outputs is not None,
        run_id=file.run_id or "",
        # Before MLflow 3 it is the path within the run.
        artifact_uri=path if _ADDRESS.match(path) else "",
    )


def framework_of(flavors: Mapping[str, Mapping[str, Any] | None]) -> Framework | None:
    """Return the flavor that has a library's version, else the first; None for the generic Python function alone."""
    own = [(name, fields or {}) for name, fields in flavors.items() if name != _GENERIC]
    versions = {name: fields.get(_VERSION_KEYS.get(name, f"{name}_version")) for name, fields in own}
    for name, version in versions.items():
        if isinstance(version, str) and version:
            return Framework(name=name, version=version)
    return Framework(name=own[0][0]) if own else None
