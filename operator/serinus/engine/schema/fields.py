"""A signature's fields in the one form in which they are compared, and what may differ between two of them.

Whatever does not matter is gone in that form: the order of named fields, the spelling of a type or a number.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Final

from serinus.api.modelversion import Field, Profile
from serinus.engine.schema.dtypes import NUMBERS, TEXTS, canonical_dtype, widens

Value = str | Decimal
"""Numbers are compared as numbers: 1.0 is 1."""

_LONGEST_QUOTE: Final = 40
_MOST_QUOTED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A field as it is compared.

    Attributes:
        names: every name under which it is served: its own and its aliases that no other field bears.
        omittable: a request may leave it out, because it is optional or has a default; of an output: an answer may.
        feature: the definition that it follows, with the major number of its version.
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
    """Return these fields by name, as they are compared; ``served`` is :func:`served_names` of all their fellows."""
    return {one.name: _column(one, served.get(one.name), profile) for one in fields}


def served_names(fields: Iterable[Field]) -> dict[str, frozenset[str]]:
    """Return the names under which each field with aliases is served.

    A name that two fields claim belongs to the field whose own name it is, else to the first by name: a server can
    answer to it in one way only.
    """
    everything = tuple(fields)
    known_by_more = sorted((one for one in everything if one.aliases), key=lambda one: one.name)
    taken = {one.name for one in everything} if known_by_more else set()
    found: dict[str, frozenset[str]] = {}
    for one in known_by_more:
        free = set(one.aliases) - taken
        taken |= free
        found[one.name] = frozenset({one.name} | free)
    return found


@lru_cache(maxsize=4096)  # a new version is compared with many that share most of their fields
def _column(one: Field, names: frozenset[str] | None, profile: Profile) -> Column:
    dtype = canonical_dtype(one.dtype, profile)
    return Column(
        name=one.name,
        names=names or frozenset({one.name}),
        dtype=dtype,
        shape=tuple(max(-1, length) for length in one.shape),
        optional=one.optional,
        omittable=one.optional or one.default is not None,
        nullable=one.nullable,
        least=_decimal(one.min),
        most=_decimal(one.max),
        max_length=one.max_length,
        categories=tuple(dict.fromkeys(_value(text, dtype) for text in one.categories)),
        open=one.open and bool(one.categories),
        default=None if one.default is None else _value(one.default, dtype),
        unit=one.unit,
        feature=None if one.feature_ref is None else _feature(one.feature_ref),
    )


def _feature(reference: str) -> str:
    name, at, version = reference.partition("@")
    return f"{name}{at}{version.removeprefix('v').split('.')[0]}"


def _decimal(text: str | None) -> Decimal | None:
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
    number = _decimal(text) if dtype in NUMBERS else None
    return text if number is None else number


# ---- what may differ ---------------------------------------------------------------------------


class Move(Enum):
    """How the values that a field may have changed: to more, to fewer, or to others."""

    WIDER = "wider"
    NARROWER = "narrower"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Step:
    """One difference between the values of two fields.

    Attributes:
        at: the facet, such as ``dtype`` or ``shape[0]``; the path ends with it.
        move: which values were won or lost.
        was: the values before, as a person says it.
        now: likewise, those after.
        kinship: of a type: what the move would be where types are converted.
    """

    at: str
    move: Move
    was: str
    now: str
    kinship: Move | None = None


def value_steps(old: Column, new: Column, profile: Profile) -> Iterator[Step]:
    """Yield the differences that inputs and outputs have in common, each by its own facet."""
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
    move = kinship if profile is Profile.COLUMNAR else Move.OTHER
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
    was, now = (f"values without {words[0]}" if one is None else f"values {words[1].format(one)}" for one in (old, new))
    wider = new is None or (old is not None and (new < old if facet == "min" else new > old))
    yield Step(facet, Move.WIDER if wider else Move.NARROWER, was, now)


def _length(old: int | None, new: int | None) -> Iterator[Step]:
    if old == new:
        return
    was, now = ("any length" if one is None else f"a length of at most {one}" for one in (old, new))
    wider = new is None or (old is not None and new > old)
    yield Step("maxLength", Move.WIDER if wider else Move.NARROWER, was, now)


def is_text(column: Column) -> bool:
    """Say whether the values are texts, so that a class is named by its label and not by its index."""
    return column.dtype in TEXTS


def is_positional(name: str) -> bool:
    """Say whether a name is a place: importers number the columns and tensors that have no name, from 0."""
    return name.isascii() and name.isdecimal()


def quoted(value: Value) -> str:
    """Return a value as a sentence holds it: short."""
    text = str(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"


def listed(values: Iterable[Value]) -> str:
    """Return the first few of the values and how many more there are."""
    everything = [quoted(one) or "the empty text" for one in values]
    rest = len(everything) - _MOST_QUOTED
    return ", ".join(everything[:_MOST_QUOTED]) + (f" and {rest} more" if rest > 0 else "")
