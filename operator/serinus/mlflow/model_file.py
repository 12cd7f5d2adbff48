"""Conversion of MLflow's ``MLmodel`` file: framework and signature.

Types have the names of MLflow (mlflow.types.DataType) and numpy. An unnamed column is named by its position, by which
MLflow addresses it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from serinus.api.modelversion import Framework
from serinus.api.parsing import decode, encode
from serinus.api.signature import Field, Profile, Signature
from serinus.errors import InvalidObjectError

_COLUMN_TYPES: Final = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "binary": "bytes",
    "datetime": "datetime",
}
_NUMBERS: Final = frozenset(
    ["bool", "float16", "float32", "float64"] + [f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64)]
)
_TENSOR_TYPES: Final = {"str": "string", "object": "string", "bytes": "bytes", "datetime64[ns]": "datetime"}
# The field of the library's version is <flavor>_version except for these (mlflow 3.17, the flavors' log_model).
_VERSION_KEYS: Final = {"xgboost": "xgb_version", "lightgbm": "lgb_version", "spark": "pyspark_version"}
_GENERIC: Final = "python_function"


class _Raw(msgspec.Struct, frozen=True):
    inputs: str | None = None
    outputs: str | None = None
    params: str | None = None


class _File(msgspec.Struct, frozen=True):
    flavors: dict[str, dict[str, Any] | None]
    run_id: str | None = None
    artifact_path: str | None = None
    signature: _Raw | None = None


class _UnsupportedError(Exception):
    """A signature that a ModelVersion cannot express; the message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """The contents of an MLmodel file.

    Attributes:
        framework: None where the only flavor is the generic Python function.
        signature: None where it has none, or one that a ModelVersion cannot express; ``problem`` has the reason.
        outputs_known: whether the signature describes the outputs.
        run_id: empty where there was no run.
        artifact_uri: the URI of its folder; empty where the file has none.
    """

    framework: Framework | None = None
    signature: Signature | None = None
    problem: str = ""
    outputs_known: bool = True
    run_id: str = ""
    artifact_uri: str = ""


def read_model_file(content: bytes, where: str) -> ModelFile:
    """Parse an MLmodel file.

    Raises:
        InvalidObjectError: it is invalid; the error names the field.
    """
    try:
        raw = msgspec.yaml.decode(content)
    except msgspec.DecodeError as problem:
        raise InvalidObjectError(where, "is not YAML, so it is not an MLmodel file") from problem
    file = decode(_File, raw, where)
    signature, unsupported = None, ""
    if file.signature is not None:
        try:
            signature = _signature(file.signature)
        except _UnsupportedError as problem:
            unsupported = str(problem)
    path = file.artifact_path or ""
    return ModelFile(
        framework=_framework(file.flavors),
        signature=signature,
        problem=unsupported,
        outputs_known=file.signature is None or file.signature.outputs is not None,
        run_id=file.run_id or "",
        # Before MLflow 3 it is the path within the run.
        artifact_uri=path if ":/" in path else "",
    )


def _framework(flavors: Mapping[str, Mapping[str, Any] | None]) -> Framework | None:
    own = [(name, fields or {}) for name, fields in flavors.items() if name != _GENERIC]
    versions = {name: fields.get(_VERSION_KEYS.get(name, f"{name}_version")) for name, fields in own}
    for name, version in versions.items():
        if isinstance(version, str) and version:
            return Framework(name=name, version=version)
    return Framework(name=own[0][0]) if own else None


def _signature(raw: _Raw) -> Signature:
    inputs = _fields(raw.inputs, "inputs")
    tensors = any(entry.get("type") == "tensor" for entry in _entries(raw.inputs, "inputs"))
    signature = Signature(
        profile=Profile.TENSOR if tensors else Profile.COLUMNAR,
        inputs=inputs,
        outputs=_fields(raw.outputs, "outputs"),
        parameters=_fields(raw.params, "params"),
    )
    try:
        return decode(Signature, encode(signature), "signature")
    except InvalidObjectError as problem:
        raise _UnsupportedError(str(problem)) from problem


def _entries(text: str | None, where: str) -> Sequence[dict[str, Any]]:
    if text is None:
        return ()
    try:
        return msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError as problem:
        raise _UnsupportedError(f"signature.{where} is not a list of columns or tensors") from problem


def _fields(text: str | None, where: str) -> tuple[Field, ...]:
    fields = tuple(_field(entry, index, where) for index, entry in enumerate(_entries(text, where)))
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise _UnsupportedError(f"signature.{where} has two fields of one name")
    return fields


def _field(entry: Mapping[str, Any], index: int, where: str) -> Field:
    name = str(entry.get("name") or index)
    path = f"signature.{where}.{name}"
    if entry.get("type") == "tensor":
        dtype, shape = _tensor(entry.get("tensor-spec"), path)
    else:
        dtype, shape = _column(entry, path)
    if where != "params":
        return Field(name=name, dtype=dtype, shape=shape, optional=entry.get("required") is False)
    default = entry.get("default")
    return Field(
        name=name,
        dtype=dtype,
        shape=_shape(entry.get("shape") or [], path),
        # MLflow's parameters always have a default; it may be null.
        optional=True,
        default=None if default is None else _text(default),
    )


def _column(entry: Mapping[str, Any], path: str) -> tuple[str, tuple[int, ...]]:
    """Return type and shape of a column; each array is a variable dimension."""
    kind = entry.get("type")
    if kind == "array":
        items = entry.get("items")
        if not isinstance(items, dict):
            raise _UnsupportedError(f"{path}: an array without the type of its items")
        dtype, shape = _column(items, path)
        return dtype, (-1, *shape)
    if not isinstance(kind, str) or kind not in _COLUMN_TYPES:
        raise _UnsupportedError(f"{path}: the type {kind!r} has no counterpart: describe it by hand")
    return _COLUMN_TYPES[kind], ()


def _tensor(spec: object, path: str) -> tuple[str, tuple[int, ...]]:
    if not isinstance(spec, dict):
        raise _UnsupportedError(f"{path}: a tensor without tensor-spec")
    dtype = str(spec.get("dtype"))
    if dtype not in _NUMBERS and dtype not in _TENSOR_TYPES:
        raise _UnsupportedError(f"{path}: the type {dtype!r} has no counterpart: describe it by hand")
    return _TENSOR_TYPES.get(dtype, dtype), _shape(spec.get("shape"), path)


def _shape(raw: object, path: str) -> tuple[int, ...]:
    if not isinstance(raw, list) or not all(isinstance(size, int) and size >= -1 for size in raw):
        raise _UnsupportedError(f"{path}: its shape is not a list of sizes")
    return tuple(raw)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
