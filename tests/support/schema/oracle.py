"""What compatibility means, by brute force and without a rule: servers that read requests, clients that read answers.

A *client* of a signature sends any request and expects any answer that the signature allows. A *server* of a signature
takes a request or refuses it, and gives any answer that the signature allows. Two versions are compatible where the
server of one takes every request of the other's client, and that client understands every answer.

Nothing here knows of wider and narrower, old and new, or MAJOR: only of values. It shares no code with the rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from serinus.api.modelversion import Field, Profile, Signature, UnknownInputs

# By hand, for the spellings that the strategies use: what a value of the type can be, exactly.
_INTEGERS: Final = {
    "int8": (-(2**7), 2**7),
    "int32": (-(2**31), 2**31),
    "INT32": (-(2**31), 2**31),
    "integer": (-(2**31), 2**31),
    "long": (-(2**63), 2**63),
    "uint8": (0, 2**8),
    "uint32": (0, 2**32),
    "uint64": (0, 2**64),
}
_FLOATS: Final = {"float16": (11, 5), "bf16": (8, 8), "float": (24, 8), "double": (53, 11)}  # mantissa, exponent bits
_SAME: Final = {
    "float64": "double",
    "INT32": "int32",
    "integer": "int32",
    "timestamp": "datetime",
    "binary": "bytes",
    "BYTES": "bytes",
}
_UNLISTED: Final = "a label that nobody has listed"
_FAR_INDEX: Final = 10**6


def compatible(client: Signature, server: Signature) -> bool:
    """Say whether a client written for one signature works with a server of the other."""
    return (
        _same_door(client, server)
        and all(_takes(server, request) for request in _requests(client, server))
        and all(_understands(client, answer, server) for answer in _answers(server, client))
    )


def _same_door(client: Signature, server: Signature) -> bool:
    doors = ((client.profile, server.profile), (client.protocol, server.protocol), (client.path, server.path))
    return all(None in door or door[0] == door[1] for door in doors)


# ---- values ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a request or an answer; each part is looked at by itself."""

    dtype: str
    shape: tuple[int, ...]
    number: Fraction
    label: str
    index: int | None
    length: int
    null: bool
    unit: str | None
    feature: str | None


def _values(one: Field, other: Field | None, profile: Profile) -> Iterator[Value]:
    """Yield values that the field allows: one, and each of its parts varied up to where the other field has a limit."""
    base = Value(
        dtype=one.dtype,
        shape=tuple(7 if length == -1 else length for length in one.shape),
        number=_within(one),
        label=one.categories[0] if one.categories else "any",
        index=0 if one.categories else None,
        length=0,
        null=False,
        unit=one.unit,
        feature=one.feature_ref,
    )
    yield base
    if one.nullable:
        yield replace(base, null=True)
    for axis, length in enumerate(one.shape):
        if length == -1:
            yield from (replace(base, shape=(*base.shape[:axis], size, *base.shape[axis + 1 :])) for size in (1, 2, 3))
    yield from (replace(base, number=number) for number in _limits(one, other))
    yield from (replace(base, label=label, index=index) for index, label in enumerate(one.categories))
    yield from (replace(base, length=length) for length in _lengths(one, other))
    for dtype in (*_INTEGERS, *_FLOATS):
        if _reads(dtype, one.dtype, profile):
            yield replace(base, dtype=dtype)


def _within(one: Field) -> Fraction:
    known = [Fraction(limit) for limit in (one.min, one.max) if limit is not None]
    return known[0] if known else Fraction(0)


def _limits(one: Field, other: Field | None) -> Iterator[Fraction]:
    around = {Fraction(limit) for each in (one, other) if each for limit in (each.min, each.max) if limit is not None}
    for number in {limit + step for limit in around for step in (-1, 0, 1)} | {Fraction(-1000), Fraction(1000)}:
        if _in_range(number, one):
            yield number


def _in_range(number: Fraction, one: Field) -> bool:
    return (one.min is None or number >= Fraction(one.min)) and (one.max is None or number <= Fraction(one.max))


def _lengths(one: Field, other: Field | None) -> Iterator[int]:
    around = {each.max_length for each in (one, other) if each is not None and each.max_length is not None}
    for length in {limit + step for limit in around for step in (0, 1)} | {1000}:
        if one.max_length is None or length <= one.max_length:
            yield length


def _reads(sent: str, expected: str, profile: Profile) -> bool:
    """Say whether who expects one type reads a value of another as what it is."""
    sent, expected = _SAME.get(sent, sent), _SAME.get(expected, expected)
    if profile is Profile.TENSOR:
        sent, expected = ("bytes" if one == "string" else one for one in (sent, expected))
        return sent == expected
    if sent == expected:
        return True
    if sent in _INTEGERS and expected in _INTEGERS:
        (low, high), (lower, higher) = _INTEGERS[sent], _INTEGERS[expected]
        return lower <= low and high <= higher
    if sent in _INTEGERS:
        return expected == "double" and max(map(abs, _INTEGERS[sent])) <= 2**53
    if sent in _FLOATS and expected in _FLOATS:
        return all(mine <= theirs for mine, theirs in zip(_FLOATS[sent], _FLOATS[expected], strict=True))
    return False


def _allows(one: Field, value: Value, profile: Profile) -> bool:
    """Say whether a value, its label aside, is one that the field allows."""
    if not _same_tags(one, value):
        return False
    if value.null:
        return one.nullable
    return (
        _reads(value.dtype, one.dtype, profile)
        and len(value.shape) == len(one.shape)
        and all(length in (-1, size) for size, length in zip(value.shape, one.shape, strict=True))
        and _in_range(value.number, one)
        and (one.max_length is None or value.length <= one.max_length)
    )


def _same_tags(one: Field, value: Value) -> bool:
    features = [name.split(".")[0] for name in (one.feature_ref, value.feature) if name is not None]
    units = [unit for unit in (one.unit, value.unit) if unit is not None]
    return len(set(features)) <= 1 and len(set(units)) <= 1


def _spelled(label: str, dtype: str) -> Fraction | str:
    number = dtype in _INTEGERS or _SAME.get(dtype, dtype) in _FLOATS
    return Fraction(label) if number and label.replace(".", "").isdigit() else label


# ---- requests ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends; ``only`` says which section is looked at."""

    section: str
    given: dict[str, Value]


def _requests(client: Signature, server: Signature) -> Iterator[Request]:
    """Yield a request with everything, and one for each way in which a field may differ from it."""
    for section in ("inputs", "parameters"):
        mine, theirs = getattr(client, section), _owners(getattr(server, section))
        whole = {one.name: next(_values(one, None, client.profile)) for one in mine}
        yield Request(section, whole)
        for one in mine:
            rest = {name: value for name, value in whole.items() if name != one.name}
            if one.optional or one.default is not None:
                yield Request(section, rest)
            for name in _served(one, mine):
                for value in _values(one, theirs.get(name), client.profile):
                    yield Request(section, {**rest, name: value})
    if client.profile is Profile.COLUMNAR and client.unknown_inputs is UnknownInputs.IGNORE:
        stranger = Value("string", (), Fraction(0), "any", None, 0, null=False, unit=None, feature=None)
        full = {one.name: next(_values(one, None, client.profile)) for one in client.inputs}
        yield Request("inputs", {**full, "a name that no version knows": stranger})


def _takes(server: Signature, request: Request) -> bool:
    section = getattr(server, request.section)
    ignores = (
        request.section == "inputs"
        and server.profile is Profile.COLUMNAR
        and server.unknown_inputs is UnknownInputs.IGNORE
    )
    owners, found = _owners(section), set()
    for name, value in request.given.items():
        one = owners.get(name)
        if one is None:
            if not ignores:
                return False
            continue
        if one.name in found or not _allows(one, value, server.profile) or not _listed_input(one, value):
            return False
        found.add(one.name)
    return all(one.name in found or one.optional or one.default is not None for one in section)


def _listed_input(one: Field, value: Value) -> bool:
    wanted = {_spelled(label, one.dtype) for label in one.categories}
    return value.null or not wanted or _spelled(value.label, one.dtype) in wanted


def _served(one: Field, fields: tuple[Field, ...]) -> list[str]:
    return [name for name, owner in _owners(fields).items() if owner is one]


def _owners(fields: tuple[Field, ...]) -> dict[str, Field]:
    """Return who answers to which name: own names first, then aliases, by the order of own names."""
    found = {one.name: one for one in fields}
    for one in sorted(fields, key=lambda one: one.name):
        for alias in one.aliases:
            found.setdefault(alias, one)
    return found


# ---- answers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server gives, under every served name."""

    given: dict[str, Value]


def _answers(server: Signature, client: Signature) -> Iterator[Answer]:
    theirs = _owners(client.outputs)
    whole = {one.name: next(_values(one, None, server.profile)) for one in server.outputs}
    yield _answer(server, whole)
    for one in server.outputs:
        if one.optional:
            yield _answer(server, {name: value for name, value in whole.items() if name != one.name})
        for name in _served(one, server.outputs):
            for value in _values(one, theirs.get(name), server.profile):
                yield _answer(server, {**whole, one.name: value})
        if one.open and one.categories:
            unlisted = replace(whole[one.name], label=_UNLISTED, index=_FAR_INDEX)
            yield _answer(server, {**whole, one.name: unlisted})


def _answer(server: Signature, values: dict[str, Value]) -> Answer:
    return Answer({name: values[one.name] for name, one in _owners(server.outputs).items() if one.name in values})


def _understands(client: Signature, answer: Answer, server: Signature) -> bool:
    if _bare(client) != _bare(server):
        return False
    theirs = _owners(server.outputs)
    for name, one in _owners(client.outputs).items():
        value = answer.given.get(name)
        if value is None:
            if not one.optional:
                return False
        elif not (_allows(one, value, client.profile) and _classified(one, theirs[name], value)):
            return False
    return True


def _bare(signature: Signature) -> bool:
    return len(signature.outputs) == 1 and signature.outputs[0].name.isdigit()


def _classified(one: Field, served: Field, value: Value) -> bool:
    """Say whether a client takes the value for the class that it is."""
    if value.null or not one.categories:
        return True
    if not served.categories:
        return False
    mine = list(dict.fromkeys(_spelled(label, one.dtype) for label in one.categories))
    theirs = list(dict.fromkeys(_spelled(label, served.dtype) for label in served.categories))
    label = _spelled(value.label, served.dtype)
    if label not in mine and not one.open:
        return False
    if one.dtype in {"string", "BYTES", "binary"}:
        return all(
            mine.index(first) < mine.index(second)
            for first, second in pairwise(each for each in theirs if each in mine)
        )
    if label not in theirs:
        return value.index == _FAR_INDEX and one.open
    index = theirs.index(label)
    return mine[index] == label if index < len(mine) else one.open


# ---- where values cannot tell ------------------------------------------------------------------


def handed_on(old: Signature, new: Signature) -> bool:
    """Say whether a name has passed from one field to another: a field's names are those of two on the other side.

    To the simulator a value under the right name is the right value; to a person it is another field's.
    """
    for section in ("inputs", "outputs", "parameters"):
        before, after = _owners(getattr(old, section)), _owners(getattr(new, section))
        became = {(before[name].name, after[name].name) for name in before.keys() & after.keys()}
        if len({was for was, _ in became}) < len(became) or len({now for _, now in became}) < len(became):
            return True
    return False
