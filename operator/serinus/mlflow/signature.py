"""Conversion of MLflow's signatures (``mlflow.types.schema``, mlflow 3.17) to those of a ModelVersion.

Types have the names of MLflow (mlflow.types.DataType) and numpy. An unnamed column is named by its position, by which
MLflow addresses it. Objects and maps, as in the signatures of chat models, become fields whose names are paths.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isinf, isnan
from typing import Any, Final

from msgspec import structs

from serinus.api.parsing import decode, encode
from serinus.api.signature import MAX_FIELDS, Field, Profile, Signature
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
    "any": "any",
}
_NUMBERS: Final = frozenset(
    ["bool", "bfloat16", "float16", "float32", "float64"]
    + [f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64)]
)
_TENSOR_TYPES: Final = {"str": "string", "object": "string", "bytes": "bytes"}
_TIME: Final = re.compile(r"datetime64(\[(s|ms|us|ns|D)\])?")
"""numpy writes the unit: nanoseconds before pandas 3, microseconds since."""

_LONGEST_DEFAULT: Final = 1024
_DEEPEST: Final = 16


class UnsupportedSignatureError(Exception):
    """A signature that a ModelVersion cannot express; the message names the field."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A signature, and what was changed to make it fit."""

    signature: Signature
    remarks: tuple[str, ...] = ()


Section = str | Sequence[Mapping[str, Any]] | None
"""A section of a signature: its columns, tensors or parameters, mostly as JSON in a string."""


def convert_signature(inputs: Section, outputs: Section, params: Section) -> Converted:
    """Convert a signature.

    Raises:
        UnsupportedSignatureError: a ModelVersion cannot express it.
    """
    entries = {"inputs": _entries(inputs, "inputs"), "outputs": _entries(outputs, "outputs")}
    remarks: list[str] = []
    fields = {where: _fields(section, where) for where, section in entries.items()}
    parameters = _fields(_entries(params, "params"), "params")
    parameters = tuple(_shortened(parameter, remarks) for parameter in parameters)
    signature = Signature(
        profile=_profile([*entries["inputs"], *entries["outputs"]], [*fields["inputs"], *fields["outputs"]]),
        inputs=fields["inputs"],
        outputs=fields["outputs"],
        parameters=parameters,
    )
    try:
        return Converted(decode(Signature, encode(signature), "signature"), tuple(remarks))
    except InvalidObjectError as problem:
        raise UnsupportedSignatureError(str(problem)) from problem


def _profile(entries: Sequence[Mapping[str, Any]], fields: Sequence[Field]) -> Profile:
    tensors = any(entry.get("type") == "tensor" for entry in entries)
    nested = any(field.dtype in {"object", "map", "any"} for field in fields)
    if tensors and nested:
        raise UnsupportedSignatureError("signature has tensors and nested objects: describe it by hand")
    return Profile.TENSOR if tensors else Profile.CHAT if nested else Profile.COLUMNAR


def _entries(section: Section, where: str) -> Sequence[Mapping[str, Any]]:
    if section is None:
        return ()
    try:
        # Python's json, unlike the standard, takes NaN and the infinities, which MLflow's own writes.
        found = json.loads(section) if isinstance(section, str) else section
        # An escape such as \ud800 is half a character, which no manifest can hold.
        json.dumps(found, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise UnsupportedSignatureError(f"signature.{where} is not JSON") from problem
    if not isinstance(found, Sequence) or not all(isinstance(entry, Mapping) for entry in found):
        raise UnsupportedSignatureError(f"signature.{where} is not a list of columns or tensors")
    return found


def _fields(entries: Sequence[Mapping[str, Any]], where: str) -> tuple[Field, ...]:
    fields = tuple(field for index, entry in enumerate(entries) for field in _entry(entry, index, where))
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise UnsupportedSignatureError(f"signature.{where} has two fields of one name")
    if len(fields) > MAX_FIELDS:
        message = f"signature.{where} has {len(fields):,} fields; a ModelVersion holds {MAX_FIELDS:,}"
        raise UnsupportedSignatureError(message)
    return fields


def _entry(entry: Mapping[str, Any], index: int, where: str) -> Iterator[Field]:
    raw = entry.get("name")
    name = str(raw) if raw is not None and raw != "" else str(index)
    path = f"signature.{where}.{name}"
    if where == "params":
        yield from _parameter(entry, name, path)
    elif entry.get("type") == "tensor":
        dtype, shape = _tensor(entry.get("tensor-spec"), path)
        yield Field(name=name, dtype=dtype, shape=shape, optional=_optional(entry))
    else:
        yield from _column(entry, name, path, optional=_optional(entry))


def _optional(entry: Mapping[str, Any]) -> bool:
    # Until 2.6 MLflow wrote ``optional``, later ``required``.
    return entry.get("required") is False or entry.get("optional") is True


def _parameter(entry: Mapping[str, Any], name: str, path: str) -> Iterator[Field]:
    default, shape = entry.get("default"), _shape(entry.get("shape") or [], path)
    # MLflow's parameters always have a default; it may be null.
    first, *rest = _column(entry, name, path, optional=True)
    text = None if default is None else _text(default)
    yield structs.replace(first, shape=(*shape, *first.shape), default=text)
    yield from rest


def _column(entry: Mapping[str, Any], name: str, path: str, *, optional: bool, depth: int = 0) -> Iterator[Field]:
    """Yield a column, and what is nested in it; each array is a dimension that varies."""
    if depth > _DEEPEST:
        raise UnsupportedSignatureError(f"{path} is nested more than {_DEEPEST} deep")
    shape: list[int] = []
    while entry.get("type") == "array":
        shape.append(-1)
        items = entry.get("items")
        if not isinstance(items, Mapping):
            raise UnsupportedSignatureError(f"{path}: an array without the type of its items")
        entry = items
    kind, inner = entry.get("type"), name + "[]" * len(shape)
    if kind == "object":
        yield Field(name=name, dtype="object", shape=tuple(shape), optional=optional)
        for key, member in _properties(entry, path):
            own = f"{inner}.{key}"
            yield from _column(member, own, f"{path}.{key}", optional=_optional(member), depth=depth + 1)
    elif kind == "map":
        yield Field(name=name, dtype="map", shape=tuple(shape), optional=optional)
        values = entry.get("values")
        if not isinstance(values, Mapping):
            raise UnsupportedSignatureError(f"{path}: a map without the type of its values")
        yield from _column(values, f"{inner}{{}}", path, optional=True, depth=depth + 1)
    elif isinstance(kind, str) and kind in _COLUMN_TYPES:
        yield Field(name=name, dtype=_COLUMN_TYPES[kind], shape=tuple(shape), optional=optional)
    else:
        raise UnsupportedSignatureError(f"{path}: the type {kind!r} has no counterpart: describe it by hand")


def _properties(entry: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    properties = entry.get("properties")
    if not isinstance(properties, Mapping) or not all(isinstance(member, Mapping) for member in properties.values()):
        raise UnsupportedSignatureError(f"{path}: an object without its properties")
    yield from ((str(key), member) for key, member in properties.items())


def _tensor(spec: object, path: str) -> tuple[str, tuple[int, ...]]:
    if not isinstance(spec, Mapping):
        raise UnsupportedSignatureError(f"{path}: a tensor without tensor-spec")
    dtype = str(spec.get("dtype"))
    if _TIME.fullmatch(dtype) is not None:
        dtype = "datetime"
    elif dtype not in _NUMBERS and dtype not in _TENSOR_TYPES:
        raise UnsupportedSignatureError(f"{path}: the type {dtype!r} has no counterpart: describe it by hand")
    return _TENSOR_TYPES.get(dtype, dtype), _shape(spec.get("shape"), path)


def _shape(raw: object, path: str) -> tuple[int, ...]:
    """Return a shape; a dimension that Keras leaves open is null."""
    sizes = [-1 if size is None else size for size in raw] if isinstance(raw, Sequence) else None
    if isinstance(raw, str) or sizes is None or not all(isinstance(size, int) and size >= -1 for size in sizes):
        raise UnsupportedSignatureError(f"{path}: its shape is not a list of sizes")
    return tuple(sizes)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and (isnan(value) or isinf(value)):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _shortened(parameter: Field, remarks: list[str]) -> Field:
    """Return the parameter; a long default is replaced by its SHA-256, by which a change of it still shows."""
    default = parameter.default
    if default is None or len(default) <= _LONGEST_DEFAULT:
        return parameter
    remarks.append(
        f"the text of signature.parameters.{parameter.name}.default ({len(default):,} characters): its SHA-256 stands "
        "for it"
    )
    digest = hashlib.sha256(default.encode("utf-8", "surrogatepass")).hexdigest()
    return structs.replace(parameter, default=f"sha256:{digest}")
