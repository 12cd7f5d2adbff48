"""Evaluates the CEL rules of the CRDs, so that a file gets the API server's verdict without an API server.

Only what those rules use is there; tests/deploy/cluster compares verdicts and messages with a real API server.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, assert_never

from serinus.api.quantities import Duration
from serinus.api.schema import in_python
from serinus.cli.lint.cel_syntax import Call, CelSyntaxError, Listing, Literal, Name, Node, Select, parse

Value = Any
"""A value of JSON, or a length of time."""

Scope = Mapping[str, Value]


_TYPES: Final[Scope] = MappingProxyType({"int": int, "string": str})


class CelError(ValueError):
    """The expression has no value for this object."""


def evaluate(expression: str, self_: Value) -> Value:
    """Return the value of an expression in which ``self`` is an object.

    Raises:
        CelError: it has none, such as that of a field that is not there.
    """
    try:
        return _value(parse(expression), {**_TYPES, "self": self_})
    except (CelSyntaxError, TypeError, ValueError, LookupError, AttributeError) as problem:
        raise CelError(str(problem)) from problem


@lru_cache(maxsize=512)
def in_re2(pattern: str) -> re.Pattern[str]:
    """Return a compiled pattern that matches what RE2 does: :func:`in_python`, and every ``$`` is the end."""
    source, result, in_class, position = in_python(pattern), "", False, 0
    while position < len(source):
        letter = source[position]
        if letter == "\\":
            result += source[position : position + 2]
            position += 2
            continue
        in_class = letter == "[" or (in_class and letter != "]")
        result += r"\Z" if letter == "$" and not in_class else letter
        position += 1
    return re.compile(result, re.ASCII)


def _value(node: Node, scope: Scope) -> Value:
    match node:
        case Literal(value):
            return value
        case Name(name):
            return scope[name]
        case Select(of, field):
            return _value(of, scope)[field]
        case Listing(members):
            return [_value(member, scope) for member in members]
        case Call(name, arguments):
            return _call(name, arguments, scope)
        case _:
            assert_never(node)


def _call(name: str, arguments: tuple[Node, ...], scope: Scope) -> Value:
    match name, arguments:
        case "&&" | "||", (left, right):
            return _logic(left, right, scope, decisive=name == "||")
        case "?:", (condition, first, second):
            return _value(first if _value(condition, scope) else second, scope)
        case "has", (Select(of, field),):
            return field in _value(of, scope)
        case "all" | "map" | "filter", (of, Name(variable), body):
            return _each(name, _value(of, scope), lambda one: _value(body, {**scope, variable: one}))
        case _:
            values = [_value(argument, scope) for argument in arguments]
            return _function(name, len(values))(*values)


def _logic(left: Node, right: Node, scope: Scope, *, decisive: bool) -> bool:
    """Return ``left || right``, or ``left && right``; CEL ignores an error on one side if the other side decides."""
    errors: list[Exception] = []
    for side in (left, right):
        try:
            value = bool(_value(side, scope))
        except (TypeError, ValueError, LookupError, AttributeError) as problem:
            errors.append(problem)
        else:
            if value is decisive:
                return decisive
    if errors:
        raise CelError(str(errors[0])) from errors[0]
    return not decisive


def _each(name: str, members: list[Value], body: Callable[[Value], Value]) -> Value:
    match name:
        case "all":
            return all(body(member) for member in members)
        case "map":
            return [body(member) for member in members]
        case _:
            return [member for member in members if body(member)]


def _duration(text: str) -> timedelta:
    return Duration(text).value


def _last_index(members: list[Value], one: Value) -> int:
    return len(members) - 1 - members[::-1].index(one)


def _find(text: str, pattern: str) -> str:
    found = in_re2(pattern).search(text)
    return found[0] if found else ""


_FUNCTIONS: Final[Mapping[tuple[str, int], Callable[..., Value]]] = MappingProxyType(
    {
        ("!", 1): lambda one: not one,
        ("==", 2): lambda one, other: one == other,
        ("!=", 2): lambda one, other: one != other,
        ("<", 2): lambda one, other: one < other,
        (">", 2): lambda one, other: one > other,
        ("<=", 2): lambda one, other: one <= other,
        (">=", 2): lambda one, other: one >= other,
        ("+", 2): lambda one, other: one + other,
        ("-", 2): lambda one, other: one - other,
        ("*", 2): lambda one, other: one * other,
        ("%", 2): lambda one, other: one % other,
        ("[]", 2): lambda members, at: members[at],
        ("in", 2): lambda one, members: one in members,
        ("charAt", 2): lambda text, at: text[at],
        ("contains", 2): lambda text, part: part in text,
        ("double", 1): float,
        ("duration", 1): _duration,
        ("find", 2): _find,
        ("indexOf", 2): lambda members, one: members.index(one),
        ("int", 1): int,
        ("isSorted", 1): lambda members: members == sorted(members),
        ("lastIndexOf", 2): _last_index,
        ("lowerAscii", 1): lambda text: "".join(one.lower() if one.isascii() else one for one in text),
        ("matches", 2): lambda text, pattern: in_re2(pattern).search(text) is not None,
        ("replace", 3): lambda text, old, new: text.replace(old, new),
        ("size", 1): len,
        ("split", 2): lambda text, mark: text.split(mark),
        ("startsWith", 2): lambda text, start: text.startswith(start),
        ("string", 1): str,
        ("substring", 2): lambda text, start: text[start:],
        ("substring", 3): lambda text, start, end: text[start:end],
        ("trim", 1): lambda text: text.strip(),
        ("type", 1): type,
    }
)


def _function(name: str, arguments: int) -> Callable[..., Value]:
    try:
        return _FUNCTIONS[name, arguments]
    except KeyError:
        raise CelSyntaxError(f"{name} with {arguments} arguments is not read here") from None
