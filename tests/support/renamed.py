"""Copies of typed values with another name in every string: a whole cluster out of one model's objects."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import msgspec
from msgspec import structs

T = TypeVar("T")


def renamed(value: T, old: str, new: str) -> T:
    """The value, with ``old`` replaced by ``new`` in every string that it contains."""
    copy: T = _copy(value, old, new)
    return copy


def _copy(value: Any, old: str, new: str) -> Any:
    match value:
        case str() if type(value) is str:
            return value.replace(old, new)
        case tuple() if hasattr(value, "_fields"):
            return type(value)(*(_copy(part, old, new) for part in value))
        case tuple() | frozenset() | list():
            return type(value)(_copy(part, old, new) for part in value)
        case dict():
            return {_copy(key, old, new): _copy(part, old, new) for key, part in value.items()}
        case msgspec.Struct():
            parts = {name: _copy(getattr(value, name), old, new) for name in value.__struct_fields__}
            return structs.replace(value, **parts)
        case _ if is_dataclass(value) and not isinstance(value, type):
            parts = {one.name: _copy(getattr(value, one.name), old, new) for one in fields(value) if one.init}
            return replace(value, **parts)
        case _:
            return value
