"""Hostile values of one field, from its schema: missing, of another type, at and beyond its limits, and texts that
somebody would write who wants to break what reads them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from support.manifests.builders import GONE

Schema = Mapping[str, Any]

MARK: Final = "hostile_input"
"""Part of every injection, by which it is found wherever it comes out."""

FORGED_LINE: Final = "2026-01-01 00:00:00,000 ERROR serinus: forged"

TEXTS: Final[Mapping[str, str]] = {
    "right to left": f"a\u202e{MARK}\u2066b",
    "NUL": f"a\x00{MARK}",
    "half a surrogate pair": f"\ud800{MARK}",
    "combining marks": "e" + "\u0301" * 40,
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "zero width": f"\u200b{MARK}\ufeff",
    "full width": "\uff11.\uff10.\uff10",
    "blank": " ",
    "padding": f" {MARK} ",
    "PromQL": f'"}} or vector(1) or {MARK}{{x="',
    "PromQL regular expression": f".*|{MARK}.+",
    "PromQL backslash": f"{MARK}\\",
    "metadata service": f"http://169.254.169.254/latest/{MARK}",
    "script URL": f"javascript:alert('{MARK}')",
    "file URL": f"file:///etc/{MARK}",
    "path": f"/../../../../api/v1/{MARK}?x=y",
    "label selector": f"a=b,{MARK}!=d,x in (y)",
    "JSON Patch path": f"/spec/~1~0/-/{MARK}",
    "HTML": f"<script>{MARK}</script><img src=x onerror={MARK}>",
    "HTML attribute": f'" onload="{MARK}',
    "template": f"{{{{7*7}}}}{{% {MARK} %}}",
    "terminal": f"\x1b[2J\x1b]0;{MARK}\x07",
    "terminal, one byte": f"\x9b31m{MARK}",
    "line breaks": f"a\r\n{FORGED_LINE} {MARK}",
    "shell": f"$({MARK})`{MARK}`; {MARK}",
    "format": f"%s%n{{0}}{{0.__class__}}{MARK}",
    "YAML": f"!!python/object/apply:os.system [{MARK}]",
    "a number": "1e308",
    "a bystander's name": "bystander",
    "long": "x" * 5000,
}
_NUMBERS: Final[Mapping[str, Any]] = {
    "zero": 0,
    "minus one": -1,
    "2^31": 2**31,
    "2^53+1": 2**53 + 1,
    "2^63-1": 2**63 - 1,
    "2^63": 2**63,
    "-2^63-1": -(2**63) - 1,
    "a googol": 10**100,
    "1e308": 1e308,
    "a fraction": 0.5,
}
_TYPES: Final[Mapping[str, Any]] = {
    "missing": GONE,
    "null": None,
    "a truth value": True,
    "a whole number": 7,
    "a text": "text",
    "a list": [],
    "a list of null": [None],
    "an object": {},
    "an object with a stranger": {MARK: MARK},
}
_DEEP: Final = 400
_MOST_ITEMS: Final = 130


class HostileValue(NamedTuple):
    """A value, and in which way it is hostile."""

    label: str
    value: Any


def values_of(schema: Schema, good: Any) -> Iterator[HostileValue]:
    """Yield hostile values of a field with this schema, whose good value is known, each once."""
    seen = set()
    for label, value in (*_TYPES.items(), *_of_type(schema, good)):
        key = json.dumps(value) if value is not GONE else ""
        if key not in seen:
            seen.add(key)
            yield HostileValue(label, value)


def _of_type(schema: Schema, good: Any) -> Iterator[tuple[str, Any]]:
    match schema.get("type"):
        case "string":
            yield from _texts(schema)
        case "integer" | "number":
            yield from _NUMBERS.items()
            for limit in ("minimum", "maximum"):
                if limit in schema:
                    yield from ((f"{limit}{step:+}", schema[limit] + step) for step in (-1, 0, 1))
        case "boolean":
            yield from (("as text", "true"), ("as a number", 1), ("the other", not good))
        case "array":
            yield from _lists(schema, good)
        case "object":
            yield from _objects(schema, good)
        case kind:
            raise AssertionError(f"hostile values of type {kind} are not known")


def _texts(schema: Schema) -> Iterator[tuple[str, Any]]:
    yield "empty", ""
    yield from TEXTS.items()
    yield from ((f"another case of {word}", word.upper()) for word in schema.get("enum", ()))
    most = schema.get("maxLength")
    if most:
        yield "maxLength", "x" * most
        yield "maxLength+1", "x" * (most + 1)
        yield "maxLength of characters of 4 bytes", "\U0001f600" * most


def _lists(schema: Schema, good: list[Any]) -> Iterator[tuple[str, Any]]:
    yield "one item twice", good[:1] * 2
    yield "nested", [good]
    yield "deeply nested", _nested(lambda inner: [inner])
    most = min(schema.get("maxItems", _MOST_ITEMS), _MOST_ITEMS)
    yield "maxItems+1", [_renamed(good[0], number) for number in range(most + 1)]
    yield "maxItems", [_renamed(good[0], number) for number in range(most)]


def _renamed(item: Any, number: int) -> Any:
    """Return an item with a name of its own, where items have names."""
    if isinstance(item, dict) and "name" in item:
        return item | {"name": f"n{number}"}
    return f"{item}{number}" if isinstance(item, str) else item


def _objects(schema: Schema, good: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "every member null", dict.fromkeys(good)
    yield "deeply nested", good | {"deep": _nested(lambda inner: {"deep": inner})}
    if "additionalProperties" in schema or "x-kubernetes-preserve-unknown-fields" in schema:
        yield from ((f"{label} as a key", {text: "x"}) for label, text in TEXTS.items())
        yield "many members", {f"m{number}": "x" for number in range(schema.get("maxProperties", 500) + 1)}
        yield from ((f"{label} as a member", good | {"x": text}) for label, text in TEXTS.items())


def _nested(wrap: Any) -> Any:
    value: Any = "end"
    for _ in range(_DEEP):
        value = wrap(value)
    return value
