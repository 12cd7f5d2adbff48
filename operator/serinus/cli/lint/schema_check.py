"""Checks a value against the structural schema of a CRD, with the sentences of the API server."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from serinus.cli.lint.advice import for_type, for_unknown_field
from serinus.cli.lint.cel import CelError, evaluate, in_re2
from serinus.cli.lint.finding import Check, Problem

Schema = Mapping[str, Any]
Value = Any
"""A value of JSON."""

_TYPES: Final[Mapping[str, type]] = {"string": str, "boolean": bool, "object": dict, "array": list}
_INTEGERS: Final = range(-(2**63), 2**63)
"""A greater number is to the API server one with a fraction."""


def without_nulls(value: Value, schema: Schema) -> Value:
    """Return what the API server makes of a value: fields with null are not there, and 2.0 is 2 in a whole number."""
    match value:
        case dict():
            known, others = schema.get("properties", {}), schema.get("additionalProperties")
            kept = {}
            for name, member in value.items():
                below = known.get(name, others if isinstance(others, dict) else {})
                if member is not None or below.get("nullable") or not below:
                    kept[name] = without_nulls(member, below)
            return kept
        case list():
            return [without_nulls(member, schema.get("items", {})) for member in value]
        case float() if schema.get("type") == "integer" and value.is_integer():
            return int(value)
        case _:
            return value


def schema_problems(value: Value, schema: Schema, path: str) -> Iterator[Problem]:
    """Yield what the schema refuses in a value and below it."""
    kinds = _types(schema)
    if value is None and schema.get("nullable"):
        return
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield _wrong_type(value, schema, path)
        return
    match value:
        case dict():
            yield from _object_problems(value, schema, path)
        case list():
            yield from _list_problems(value, schema, path)
        case str():
            yield from _text_problems(value, schema, path)
        case int() | float() if not isinstance(value, bool):
            yield from _number_problems(value, schema, path)
        case _:
            pass


def _types(schema: Schema) -> tuple[str, ...]:
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (schema["type"],) if "type" in schema else ()


def _is(value: Value, kind: str) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return isinstance(value, _TYPES[kind])


def _wrong_type(value: Value, schema: Schema, path: str) -> Problem:
    said = f'must be of type {",".join(_types(schema))}: "{type_name(value)}"'
    return Problem(Check.SCHEMA, path, said, for_type(value, schema), blocking=True)


def type_name(value: Value) -> str:
    """Return what the API server calls the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() if value in _INTEGERS:
            return "integer"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


# ---- objects -----------------------------------------------------------------------------------


def _object_problems(value: dict[Any, Any], schema: Schema, path: str) -> Iterator[Problem]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem(Check.SCHEMA, _below(path, name), "Required value", blocking=True)
    if len(value) > schema.get("maxProperties", len(value)):
        yield Problem(Check.SCHEMA, path, _too_many(value, schema["maxProperties"]), blocking=True)
    for name, member in value.items():
        if name in known:
            yield from schema_problems(member, known[name], _below(path, name))
        elif isinstance(others, dict) and others:
            yield from schema_problems(member, others, _below(path, name))
        elif known and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield Problem(
                Check.UNKNOWN_FIELD,
                _below(path, name),
                f'unknown field "{_below(path, name)}"',
                for_unknown_field(str(name), schema),
                blocking=True,
                at_key=True,
            )


def _too_many(value: Value, most: int) -> str:
    return f"Too many: {len(value)}: must have at most {most} items"


def _below(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


# ---- lists -------------------------------------------------------------------------------------


def _list_problems(value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
    if len(value) > schema.get("maxItems", len(value)):
        yield Problem(Check.SCHEMA, path, _too_many(value, schema["maxItems"]), blocking=True)
    if len(value) < schema.get("minItems", 0):
        yield Problem(Check.SCHEMA, path, f"should have at least {schema['minItems']} items")
    yield from _twins(value, schema, path)
    for index, member in enumerate(value):
        yield from schema_problems(member, schema.get("items", {}), f"{path}[{index}]")


def _twins(value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: list[Any] = []
    for index, member in enumerate(value):
        match kind, member:
            case "set", _:
                identity = member
            case "map", dict() if any(key in member for key in keys):
                identity = {key: member[key] for key in keys if key in member}
            case _:
                continue
        if identity in seen:
            shown = json.dumps(identity, separators=(",", ":"), default=str)
            yield Problem(Check.SCHEMA, f"{path}[{index}]", f"Duplicate value: {shown}")
        seen.append(identity)


# ---- single values -----------------------------------------------------------------------------


def _text_problems(value: str, schema: Schema, path: str) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        words = ", ".join(f'"{word}"' for word in sorted(schema["enum"]))
        yield Problem(Check.SCHEMA, path, f'Unsupported value: "{value}": supported values: {words}', blocking=True)
    if len(value) > schema.get("maxLength", len(value)):
        said = f"Too long: may not be more than {schema['maxLength']} bytes"
        yield Problem(Check.SCHEMA, path, said, blocking=True)
        return
    if len(value) < schema.get("minLength", 0):
        yield Problem(Check.SCHEMA, path, f"should be at least {schema['minLength']} chars long")
        return
    if "pattern" in schema and in_re2(schema["pattern"]).search(value) is None:
        yield Problem(Check.SCHEMA, path, f"should match '{schema['pattern']}'")


def _number_problems(value: float, schema: Schema, path: str) -> Iterator[Problem]:
    if value < schema.get("minimum", value):
        yield Problem(Check.SCHEMA, path, f"should be greater than or equal to {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield Problem(Check.SCHEMA, path, f"should be less than or equal to {schema['maximum']}")


# ---- rules -------------------------------------------------------------------------------------


def rule_problems(value: Value, schema: Schema, path: str, blocked: frozenset[str]) -> Iterator[Problem]:
    """Yield which CEL rules a value and those below it do not keep.

    Args:
        value: what :func:`without_nulls` left of it.
        schema: what carries the rules.
        path: where the value is.
        blocked: the paths of problems that keep a rule above them from being evaluated.
    """
    if not any(_covers(path, one) for one in blocked):
        for one in schema.get("x-kubernetes-validations", ()):
            yield from _rule_problem(value, one, path)
    match value:
        case dict():
            known, others = schema.get("properties", {}), schema.get("additionalProperties")
            for name, member in value.items():
                below = known.get(name, others)
                if isinstance(below, dict):
                    yield from rule_problems(member, below, _below(path, name), blocked)
        case list():
            for index, member in enumerate(value):
                yield from rule_problems(member, schema.get("items", {}), f"{path}[{index}]", blocked)
        case _:
            pass


def _covers(path: str, other: str) -> bool:
    """Return whether the other path is this one or below it."""
    return not path or other == path or (other.startswith(path) and other[len(path)] in ".[")


def _rule_problem(value: Value, rule: Mapping[str, str], path: str) -> Iterator[Problem]:
    if "oldSelf" in rule["rule"]:
        return
    try:
        if evaluate(rule["rule"], value) is True:
            return
    except CelError:
        # The API server says then that the rule has no value for this object, which is a refusal too.
        pass
    yield Problem(Check.RULE, path + rule.get("fieldPath", ""), _message(value, rule))


def _message(value: Value, rule: Mapping[str, str]) -> str:
    if "messageExpression" in rule:
        try:
            said = evaluate(rule["messageExpression"], value)
        except CelError:
            return rule["message"]
        # As the API server does: without the space around it, and not where it has several lines.
        told = said.strip() if isinstance(said, str) else ""
        if told and "\n" not in told:
            return told
    return rule["message"]
