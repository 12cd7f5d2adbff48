"""A signature's fields in a normal form for comparison, and the differences between two of them.

The normal form drops what is irrelevant: the order of named fields, the spelling of a type or a number.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Final

from serinus.api.signature import Field, Profile
from serinus.engine.schema.dtypes import NUMBERS, TEXTS, canonical_dtype, widens

Value = str | Decimal
"""Numbers are compared as numbers: 1.0 is 1."""

_SPECIAL: Final = {
    "nan": "NaN",
    **dict.fromkeys(("inf", "+inf", "infinity", "+infinity"), "Infinity"),
    **dict.fromkeys(("-inf", "-infinity"), "-Infinity"),
}
"""Numbers that are no decimals, in the spellings of Python and of JavaScript."""

_LONGEST_QUOTE: Final = 40
_MOST_QUOTED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A field in the normal form.

    Attributes:
        names: every name under which it is served: its own, and its aliases that no other field has.
        omittable: whether a request may omit it (optional or with a default); of an output, whether a response may.
        feature: the feature definition that it follows, with the major number of its version.
    """

    name: str
    names: frozenset[str]
    dtype: str
    shape: tuple[int, ...]
    optional: bool
    omittable: bool
    nullable: bool
    least: Decimal | None
    most: Decimal | None
    max_length: int | None
    categories: tuple[Value, ...]
    open: bool
    default: Value | None
    unit: str | None
    feature: str | None


def columns(fields: Iterable[Field], served: Mapping[str, frozenset[str]], profile: Profile) -> dict[str, Column]:
    """Return these fields in normal form by name; ``served`` is :func:`served_names` of all fields of their section."""
    return {field.name: _column(field, served.get(field.name), profile) for field in fields}


def served_names(fields: Iterable[Field]) -> dict[str, frozenset[str]]:
    """Return the names under which each field with aliases is served.

    A name that two fields claim belongs to the field whose own name it is, else to the first by name: a server can
    resolve it to one field only.
    """
    everything = tuple(fields)
    aliased = sorted((field for field in everything if field.aliases), key=lambda field: field.name)
    taken = {field.name for field in everything} if aliased else set()
    served: dict[str, frozenset[str]] = {}
    for field in aliased:
        free = set(field.aliases) - taken
        taken |= free
        served[field.name] = frozenset({field.name} | free)
    return served


@lru_cache(maxsize=10_000)  # two versions of the widest tables: a new one is compared with many that share its fields
def _column(field: Field, names: frozenset[str] | None, profile: Profile) -> Column:
    dtype = canonical_dtype(field.dtype, profile)
    return Column(
        name=field.name,
        names=names or frozenset({field.name}),
        dtype=dtype,
        shape=tuple(max(-1, length) for length in field.shape),
        optional=field.optional,
        omittable=field.optional or field.default is not None,
        nullable=field.nullable,
        least=decimal_of(field.min),
        most=decimal_of(field.max),
        max_length=field.max_length,
        categories=tuple(dict.fromkeys(_value(text, dtype) for text in field.categories)),
        open=field.open and bool(field.categories),
        default=None if field.default is None else _value(field.default, dtype),
        unit=field.unit,
        feature=None if field.feature_ref is None else _feature(field.feature_ref),
    )


def _feature(reference: str) -> str:
    name, at, version = reference.partition("@")
    return f"{name}{at}{version.removeprefix('v').split('.')[0]}"


def decimal_of(text: str | None) -> Decimal | None:
    """Return the number; None where there is none, or it is not finite."""
    if text is None:
        return None
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _value(text: str, dtype: str) -> Value:
    if dtype == "bool":
        return text.lower()
    if dtype not in NUMBERS:
        return text
    number = decimal_of(text)
    return _SPECIAL.get(text.strip().lower(), text) if number is None else number


# ---- differences -------------------------------------------------------------------------------


class Move(Enum):
    """How a field's set of values changed: to a superset, a subset, or neither."""

    WIDER = "wider"
    NARROWER = "narrower"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Step:
    """One difference between the values of two fields.

    Attributes:
        at: the facet, such as ``dtype`` or ``shape[0]``; the path ends with it.
        move: how the set of values changed.
        was: the values before, in words.
        now: the values after, in words.
        kinship: for ``dtype``, the move under type conversion; None for other facets.
    """

    at: str
    move: Move
    was: str
    now: str
    kinship: Move | None = None


def value_steps(old: Column, new: Column, profile: Profile) -> Iterator[Step]:
    """Yield the differences of the facets that inputs and outputs have in common."""
    yield from _dtype(old, new, profile)
    yield from _shape(old.shape, new.shape)
    yield from _bound("min", old.least, new.least)
    yield from _bound("max", old.most, new.most)
    yield from _length(old.max_length, new.max_length)
    if old.nullable != new.nullable:
        words = {True: "null as well", False: "values that are never null"}
        move = Move.WIDER if new.nullable else Move.NARROWER
        yield Step("nullable", move, words[old.nullable], words[new.nullable])


def _dtype(old: Column, new: Column, profile: Profile) -> Iterator[Step]:
    if old.dtype == new.dtype:
        return
    kinship = Move.OTHER
    if widens(old.dtype, new.dtype):
        kinship = Move.WIDER
    elif widens(new.dtype, old.dtype):
        kinship = Move.NARROWER
    # A tensor's type is never converted (OIP v2, Triton, MLflow's TensorSpec).
    move = kinship if profile is not Profile.TENSOR else Move.OTHER
    yield Step("dtype", move, quoted(old.dtype), quoted(new.dtype), kinship)


def _shape(old: tuple[int, ...], new: tuple[int, ...]) -> Iterator[Step]:
    if len(old) != len(new):
        yield Step("shape", Move.OTHER, _dimensions(old), _dimensions(new))
        return
    for axis, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        move = Move.WIDER if after < 0 else Move.NARROWER if before < 0 else Move.OTHER
        yield Step(f"shape[{axis}]", move, _dimension(axis, before), _dimension(axis, after))


def _dimensions(shape: tuple[int, ...]) -> str:
    count = len(shape)
    return "single values" if not count else f"{count} dimension{'s' if count > 1 else ''} {list(shape)}"


def _dimension(axis: int, length: int) -> str:
    return f"any length in dimension {axis}" if length < 0 else f"length {length} in dimension {axis}"


def _bound(facet: str, old: Decimal | None, new: Decimal | None) -> Iterator[Step]:
    if old == new:
        return
    words = ("a lower limit", "from {} up") if facet == "min" else ("an upper limit", "up to {}")
    was, now = (
        f"values without {words[0]}" if limit is None else f"values {words[1].format(limit)}" for limit in (old, new)
    )
    wider = new is None or (old is not None and (new < old if facet == "min" else new > old))
    yield Step(facet, Move.WIDER if wider else Move.NARROWER, was, now)


def _length(old: int | None, new: int | None) -> Iterator[Step]:
    if old == new:
        return
    was, now = ("any length" if limit is None else f"a length of at most {limit}" for limit in (old, new))
    wider = new is None or (old is not None and new > old)
    yield Step("maxLength", Move.WIDER if wider else Move.NARROWER, was, now)


def is_text(column: Column) -> bool:
    """Return whether the values are texts: a class is then identified by its label, not by its index."""
    return column.dtype in TEXTS


def encloses(outer: str, inner: str) -> bool:
    """Return whether one path of the profile ``chat`` lies within the other, as ``messages[].role`` in ``messages``."""
    return inner.startswith((f"{outer}.", f"{outer}[]", f"{outer}{{}}"))


def is_positional(name: str) -> bool:
    """Return whether a name is a position: importers number unnamed columns and tensors from 0."""
    return name.isascii() and name.isdecimal()


def quoted(value: Value) -> str:
    """Return a value shortened for a sentence."""
    text = str(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"


def listed(values: Iterable[Value]) -> str:
    """Return the first few values and the number of the rest, in words."""
    everything = [quoted(value) or "the empty text" for value in values]
    rest = len(everything) - _MOST_QUOTED
    return ", ".join(everything[:_MOST_QUOTED]) + (f" and {rest} more" if rest > 0 else "")
