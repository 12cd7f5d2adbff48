"""A brute-force simulator of compatibility without rules: servers that read requests, clients that read responses.

A *client* of a signature sends any request and expects any response that the signature allows. A *server* of a
signature accepts or refuses a request, and returns any response that the signature allows. Two versions are compatible
where the server of one accepts every request of the other's client, and that client can interpret every response.

It works on values only, without the notions of wider, narrower or MAJOR, and shares no code with the rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from serinus.api.signature import Field, Profile, Signature, UnknownInputs

# Written by hand for the spellings that the strategies use: the exact range of each type.
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
    """Return whether a client written for one signature works with a server of the other."""
    return (
        _same_endpoint(client, server)
        and all(_accepts(server, request) for request in _requests(client, server))
        and all(_interprets(client, _batched(answer, client, server), server) for answer in _answers(server, client))
    )


def _same_endpoint(client: Signature, server: Signature) -> bool:
    pairs = ((client.profile, server.profile), (client.protocol, server.protocol), (client.path, server.path))
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


# ---- values ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a request or a response; each attribute is checked separately."""

    dtype: str
    shape: tuple[int, ...]
    number: Fraction
    label: str
    index: int | None
    length: int
    null: bool
    unit: str | None
    feature: str | None


def _values(field: Field, other: Field | None, profile: Profile) -> Iterator[Value]:
    """Yield allowed values of the field: a base value, and each attribute varied up to the other field's limits."""
    base = Value(
        dtype=field.dtype,
        shape=tuple(7 if length == -1 else length for length in field.shape),
        number=_within(field),
        label=field.categories[0] if field.categories else "any",
        index=0 if field.categories else None,
        length=0,
        null=False,
        unit=field.unit,
        feature=field.feature_ref,
    )
    yield base
    if field.nullable:
        yield replace(base, null=True)
    for axis, length in enumerate(field.shape):
        if length == -1:
            yield from (replace(base, shape=(*base.shape[:axis], size, *base.shape[axis + 1 :])) for size in (1, 2, 3))
    yield from (replace(base, number=number) for number in _limits(field, other))
    yield from (replace(base, label=label, index=index) for index, label in enumerate(field.categories))
    yield from (replace(base, length=length) for length in _lengths(field, other))
    for dtype in (*_INTEGERS, *_FLOATS):
        if _reads(dtype, field.dtype, profile):
            yield replace(base, dtype=dtype)


def _within(field: Field) -> Fraction:
    known = [Fraction(limit) for limit in (field.min, field.max) if limit is not None]
    return known[0] if known else Fraction(0)


def _limits(field: Field, other: Field | None) -> Iterator[Fraction]:
    around = {Fraction(limit) for each in (field, other) if each for limit in (each.min, each.max) if limit is not None}
    for number in {limit + step for limit in around for step in (-1, 0, 1)} | {Fraction(-1000), Fraction(1000)}:
        if _in_range(number, field):
            yield number


def _in_range(number: Fraction, field: Field) -> bool:
    return (field.min is None or number >= Fraction(field.min)) and (field.max is None or number <= Fraction(field.max))


def _lengths(field: Field, other: Field | None) -> Iterator[int]:
    around = {each.max_length for each in (field, other) if each is not None and each.max_length is not None}
    for length in {limit + step for limit in around for step in (0, 1)} | {1000}:
        if field.max_length is None or length <= field.max_length:
            yield length


def _reads(sent: str, expected: str, profile: Profile) -> bool:
    """Return whether a value of the sent type is read losslessly as the expected type."""
    sent, expected = _SAME.get(sent, sent), _SAME.get(expected, expected)
    if profile is Profile.TENSOR:
        sent, expected = ("bytes" if dtype == "string" else dtype for dtype in (sent, expected))
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


def _allows(field: Field, value: Value, profile: Profile) -> bool:
    """Return whether the field allows a value, apart from its label."""
    if not _same_tags(field, value):
        return False
    if value.null:
        return field.nullable
    return (
        _reads(value.dtype, field.dtype, profile)
        and len(value.shape) == len(field.shape)
        and all(length in (-1, size) for size, length in zip(value.shape, field.shape, strict=True))
        and _in_range(value.number, field)
        and (field.max_length is None or value.length <= field.max_length)
    )


def _same_tags(field: Field, value: Value) -> bool:
    features = [name.split(".")[0] for name in (field.feature_ref, value.feature) if name is not None]
    units = [unit for unit in (field.unit, value.unit) if unit is not None]
    return len(set(features)) <= 1 and len(set(units)) <= 1


def _spelled(label: str, dtype: str) -> Fraction | str:
    number = dtype in _INTEGERS or _SAME.get(dtype, dtype) in _FLOATS
    return Fraction(label) if number and label.replace(".", "").isdigit() else label


# ---- requests ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends in one section, by name."""

    section: str
    given: dict[str, Value]


def _requests(client: Signature, server: Signature) -> Iterator[Request]:
    """Yield a request with every field, and one request for each allowed variation of a field."""
    for section in ("inputs", "parameters"):
        mine, theirs = getattr(client, section), _owners(getattr(server, section))
        whole = {field.name: next(_values(field, None, client.profile)) for field in mine}
        yield Request(section, whole)
        for field in mine:
            rest = {name: value for name, value in whole.items() if name != field.name}
            if field.optional or field.default is not None:
                yield Request(section, rest)
            for name in _served(field, mine):
                for value in _values(field, theirs.get(name), client.profile):
                    yield Request(section, {**rest, name: value})
    if client.profile is not Profile.TENSOR and client.unknown_inputs is UnknownInputs.IGNORE:
        stranger = Value("string", (), Fraction(0), "any", None, 0, null=False, unit=None, feature=None)
        full = {field.name: next(_values(field, None, client.profile)) for field in client.inputs}
        yield Request("inputs", {**full, "a name that no version knows": stranger})


def _accepts(server: Signature, request: Request) -> bool:
    section = getattr(server, request.section)
    ignores = (
        request.section == "inputs"
        and server.profile is not Profile.TENSOR
        and server.unknown_inputs is UnknownInputs.IGNORE
    )
    owners, found = _owners(section), set()
    for name, value in request.given.items():
        field = owners.get(name)
        if field is None:
            if not ignores:
                return False
            continue
        if field.name in found or not _allows(field, value, server.profile) or not _listed_input(field, value):
            return False
        found.add(field.name)
    return all(field.name in found or field.optional or field.default is not None for field in section)


def _listed_input(field: Field, value: Value) -> bool:
    wanted = {_spelled(label, field.dtype) for label in field.categories}
    return value.null or not wanted or _spelled(value.label, field.dtype) in wanted


def _served(field: Field, fields: tuple[Field, ...]) -> list[str]:
    return [name for name, owner in _owners(fields).items() if owner is field]


def _owners(fields: tuple[Field, ...]) -> dict[str, Field]:
    """Return the field that owns each name: own names first, then aliases, by the order of own names."""
    found = {field.name: field for field in fields}
    for field in sorted(fields, key=lambda field: field.name):
        for alias in field.aliases:
            found.setdefault(alias, field)
    return found


# ---- answers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server returns, under every served name."""

    given: dict[str, Value]


def _answers(server: Signature, client: Signature) -> Iterator[Answer]:
    theirs = _owners(client.outputs)
    whole = {field.name: next(_values(field, None, server.profile)) for field in server.outputs}
    yield _answer(server, whole)
    for field in server.outputs:
        if field.optional:
            yield _answer(server, {name: value for name, value in whole.items() if name != field.name})
        for name in _served(field, server.outputs):
            for value in _values(field, theirs.get(name), server.profile):
                yield _answer(server, {**whole, field.name: value})
        if field.open and field.categories:
            unlisted = replace(whole[field.name], label=_UNLISTED, index=_FAR_INDEX)
            yield _answer(server, {**whole, field.name: unlisted})


def _answer(server: Signature, values: dict[str, Value]) -> Answer:
    return Answer({name: values[field.name] for name, field in _owners(server.outputs).items() if field.name in values})


def _batched(answer: Answer, client: Signature, server: Signature) -> Answer:
    """Return the answer to a client whose requests have one length of batch: as many rows as it has sent."""
    sent = {field.name: field.shape[0] for field in client.inputs if field.shape}
    taken = {field.name: field.shape[0] for field in server.inputs if field.shape}
    lengths = {sent[name] for name in sent.keys() & taken.keys() if taken[name] == -1}
    if len(lengths) != 1 or lengths == {-1} or not (server.profile is Profile.TENSOR or lengths == {1}):
        return answer
    (rows,) = lengths
    varying = {name for name, field in _owners(server.outputs).items() if field.shape and field.shape[0] == -1}
    return Answer(
        {
            name: replace(value, shape=(rows, *value.shape[1:])) if name in varying else value
            for name, value in answer.given.items()
        }
    )


def _interprets(client: Signature, answer: Answer, server: Signature) -> bool:
    if _bare(client) != _bare(server):
        return False
    theirs = _owners(server.outputs)
    for name, field in _owners(client.outputs).items():
        value = answer.given.get(name)
        if value is None:
            if not field.optional:
                return False
        elif not (_allows(field, value, client.profile) and _classified(field, theirs[name], value)):
            return False
    return True


def _bare(signature: Signature) -> bool:
    return len(signature.outputs) == 1 and signature.outputs[0].name.isdigit()


def _classified(field: Field, served: Field, value: Value) -> bool:
    """Return whether a client maps the value to the correct class."""
    if value.null or not field.categories:
        return True
    if not served.categories:
        return False
    mine = list(dict.fromkeys(_spelled(label, field.dtype) for label in field.categories))
    theirs = list(dict.fromkeys(_spelled(label, served.dtype) for label in served.categories))
    label = _spelled(value.label, served.dtype)
    if label not in mine and not field.open:
        return False
    if field.dtype in {"string", "BYTES", "binary"}:
        return all(
            mine.index(first) < mine.index(second)
            for first, second in pairwise(each for each in theirs if each in mine)
        )
    if label not in theirs:
        return value.index == _FAR_INDEX and field.open
    index = theirs.index(label)
    return mine[index] == label if index < len(mine) else field.open


# ---- what values cannot show -------------------------------------------------------------------


def handed_on(old: Signature, new: Signature) -> bool:
    """Return whether a name has moved from one field to another: a field's names belong to two on the other side.

    The simulator accepts any value under the right name; for a person it is another field's value.
    """
    for section in ("inputs", "outputs", "parameters"):
        before, after = _owners(getattr(old, section)), _owners(getattr(new, section))
        became = {(before[name].name, after[name].name) for name in before.keys() & after.keys()}
        if len({was for was, _ in became}) < len(became) or len({now for _, now in became}) < len(became):
            return True
    return False
