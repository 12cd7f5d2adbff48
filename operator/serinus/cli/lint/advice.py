"""What somebody meant who wrote a field that is not there, or a value of another type."""

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

from serinus.api.crd import definitions
from serinus.api.quantities import Duration, Share
from serinus.api.schema import SEMVER, in_python

Schema = Mapping[str, Any]
Value = Any
"""A value of JSON."""

_ALIKE: Final = 0.7
"""How much of a name must be the same: ``abortsOn`` is ``abortOn``, ``weight`` is nothing."""

_OTHER_TOOLS: Final = {
    "weight": "traffic", "setweight": "traffic", "percent": "traffic", "percentage": "traffic", "steps": "stages",
    "conditions": "abortOn", "rollbackon": "abortOn", "abortif": "abortOn", "abortwhen": "abortOn", "wait": "duration",
    "pause": "duration", "interval": "duration", "baketime": "bake", "soak": "bake", "fallback": "rollbackTo",
    "rollback": "rollbackTo", "checks": "tests", "requireapproval": "approval", "manual": "approval",
}  # fmt: skip
"""What other tools, and people, call the fields of a plan."""


def plain(name: str) -> str:
    """Return a name without what tells snake_case, kebab-case and camelCase apart."""
    return name.replace("_", "").replace("-", "").lower()


def meant(name: str, known: Mapping[str, Any]) -> str:
    """Return the known field that is written in another way: ``abort_on`` is ``abortOn``; empty where none is."""
    return next((other for other in known if plain(other) == plain(name)), "")


def for_unknown_field(name: str, schema: Schema) -> str:
    """Return what to write instead of a field that an object of this schema does not have."""
    known = schema["properties"]
    near = nearest(name, known)
    if near:
        return f"did you mean {near}?"
    places = _places().get(plain(name), ())
    if places:
        return f"did you mean {places[0]}? It is not a field of this object"
    return f"its fields are {', '.join(sorted(known))}"


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """Return the known field that is meant: in another spelling, by a near miss or by another tool's name; or ''."""
    if exact := meant(name, known):
        return exact
    other = _OTHER_TOOLS.get(plain(name), "")
    if other in known:
        return other
    by_plain = {plain(one): one for one in known}
    found = get_close_matches(plain(name), by_plain, n=1, cutoff=_ALIKE)
    return by_plain[found[0]] if found else ""


@lru_cache(maxsize=1)
def _places() -> Mapping[str, tuple[str, ...]]:
    """Return where a Rollout and a ModelVersion have a field of each name, the shortest path first."""
    found: dict[str, list[str]] = {}
    for file in ("rollouts.yaml", "modelversions.yaml"):
        schema = definitions()[file]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for path in _paths(schema, "spec"):
            found.setdefault(plain(path.rpartition(".")[2]), []).append(path)
    return {name: tuple(sorted(paths, key=len)) for name, paths in found.items()}


def _paths(schema: Schema, path: str) -> Iterator[str]:
    for name, member in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from _paths(member, f"{path}.{name}")
        yield from _paths(member.get("items", {}), f"{path}.{name}[]")


def for_type(value: Value, schema: Schema) -> str:
    """Return what to write instead of a value of another type; empty where nobody knows."""
    match schema.get("type"), value:
        case "string", bool() if "enum" in schema:
            word = next((one for one in schema["enum"] if one.lower() == ("on" if value else "off")), "")
            return f'write "{word}", in quotes: YAML reads the word alone as {json.dumps(value)}' if word else ""
        case "string", bool() | int() | float():
            return _as_text(value, schema.get("pattern", ""))
        case "integer" | "number", str():
            return f"write {value}, without quotes" if value.isascii() and value.isdigit() else ""
        case "array", str() | dict():
            return "write a list: put it after a dash, or in square brackets"
        case _:
            return ""


def _as_text(value: float, pattern: str) -> str:
    shown = json.dumps(value)
    match pattern:
        case Share.PATTERN if not isinstance(value, bool):
            return _as_share(value)
        case Duration.PATTERN if not isinstance(value, bool):
            return f'give a unit: write "{shown}s", "{shown}m" or "{shown}h"'
        case str() if pattern == SEMVER and isinstance(value, float):
            return f'write "{shown}.0"'
        case _:
            return f'write it in quotes: "{shown}"'


def _as_share(value: float) -> str:
    """Return a percentage; of a number below 1 nobody knows whether it is a ratio."""
    texts = (f"{value * 100:g}%", f"{value:g}%") if 0 < value < 1 else (f"{value:g}%",)
    fitting = [text for text in texts if re.fullmatch(in_python(Share.PATTERN), text)]
    return "write " + " or ".join(f'"{text}"' for text in fitting) if fitting else Share.DESCRIPTION
