"""Element types: one canonical name for each, and the lossless conversions between them.

The names are those of MLflow, the Open Inference Protocol (OIP), Avro and numpy. ``int`` and ``float`` have 32 bits, as
in MLflow and Avro; the 64-bit types are ``long``, ``double``, ``int64`` and ``float64``.
"""

from difflib import get_close_matches
from typing import Final

from serinus.api.signature import Profile

_NAMES: Final = {
    "bool": "boolean bool_ |b1 type_bool",
    "int8": "|i1 type_int8",
    "int16": "<i2 short type_int16",
    "int32": "<i4 int integer intc type_int32",
    "int64": "<i8 long longlong type_int64",
    "uint8": "|u1 ubyte type_uint8",
    "uint16": "<u2 ushort type_uint16",
    "uint32": "<u4 uintc type_uint32",
    "uint64": "<u8 ulonglong type_uint64",
    "float16": "<f2 fp16 half type_fp16",
    "bfloat16": "bf16 type_bf16",
    "float32": "<f4 fp32 float single type_fp32",
    "float64": "<f8 fp64 double type_fp64",
    "string": "str str_ utf8 type_string",
    "bytes": "binary bytes_",
    "date": "",
    "object": "struct record",
    "map": "",
    "any": "",
    "datetime": "timestamp timestamp-millis timestamp-micros timestamp_ms datetime64 datetime64[s] datetime64[ms]"
    " datetime64[us] datetime64[ns] datetime64[d]",
}
_CANONICAL: Final = {alias: name for name, aliases in _NAMES.items() for alias in (name, *aliases.split())}

_KINDS: Final = {
    **{f"int{bits}": ("int", bits) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": ("uint", bits) for bits in (8, 16, 32, 64)},
    **{f"float{bits}": ("float", bits) for bits in (16, 32, 64)},
    "bfloat16": ("bfloat", 16),
}
NUMBERS: Final = frozenset(_KINDS)
TEXTS: Final = frozenset({"string", "bytes"})
_EXACT_IN_DOUBLE: Final = 32
"""A 64-bit integer may lose digits in a float64, whose mantissa has 53 bits."""


def canonical_dtype(written: str, profile: Profile) -> str:
    """Return the canonical name of a type; an unknown type keeps its spelling and equals only itself.

    OIP has one type, BYTES, for texts and bytes: in a tensor they are the same.
    """
    name = _CANONICAL.get(written.strip().lower(), written)
    return "bytes" if profile is Profile.TENSOR and name == "string" else name


def is_known(written: str) -> bool:
    """Return whether the type is one of those that :func:`widens` and the rules understand, in any spelling."""
    return written.strip().lower() in _CANONICAL


def likely_meant(written: str) -> str:
    """Return the canonical name of the known type that is spelled most alike; empty where none is."""
    near = get_close_matches(written.strip().lower(), _CANONICAL, n=1, cutoff=0.7)
    return _CANONICAL[near[0]] if near else ""


def widens(small: str, large: str) -> bool:
    """Return whether every value of the small type converts losslessly to the large one: MLflow's safe conversions.

    Within a kind to more bits, from unsigned to more bits signed, and from an integer of at most 32 bits to float64.
    No type widens to itself.
    """
    if small not in _KINDS or large not in _KINDS:
        return False
    (kind, bits), (other, more) = _KINDS[small], _KINDS[large]
    match kind, other:
        case ("int", "int") | ("uint", "uint") | ("uint", "int") | ("float", "float") | ("bfloat", "float"):
            return bits < more
        case ("int" | "uint", "float"):
            return bits <= _EXACT_IN_DOUBLE and large == "float64"
        case _:
            return False
