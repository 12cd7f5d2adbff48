"""Checks one object of our kinds as the API server would, and as the operator does after it."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.crd import definitions
from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import API_VERSION, AUDIT_RECORD, GROUP, MODEL, MODEL_VERSION, ROLLOUT
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.cli.lint.advice import meant
from serinus.cli.lint.finding import Check, Problem
from serinus.cli.lint.schema_check import Schema, Value, rule_problems, schema_problems, without_nulls
from serinus.errors import InvalidObjectError

_FILES: Final = {
    ROLLOUT.kind: "rollouts.yaml",
    MODEL_VERSION.kind: "modelversions.yaml",
    MODEL.kind: "models.yaml",
    AUDIT_RECORD.kind: "auditrecords.yaml",
}
_TYPES: Final[Mapping[str, type[msgspec.Struct]]] = {
    ROLLOUT.kind: RolloutSpec,
    MODEL_VERSION.kind: ModelVersionSpec,
    MODEL.kind: ModelSpec,
    AUDIT_RECORD.kind: AuditRecordSpec,
}
_LONGEST_NAME: Final = 253
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character"
)
"""The API server's sentence, and its rule for the name of every object."""


def is_ours(manifest: Mapping[str, Any]) -> bool:
    """Return whether an object is of our API group, whatever its version and kind."""
    return str(manifest.get("apiVersion")).partition("/")[0] == GROUP


def object_problems(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what the API server, or else the operator, refuses in an object of our API group."""
    kind = manifest.get("kind")
    if manifest.get("apiVersion") != API_VERSION:
        said = f'no matches for kind "{kind}" in version "{manifest.get("apiVersion")}"'
        yield Problem(Check.SCHEMA, "apiVersion", said, f"write {API_VERSION}", blocking=True)
        return
    if not isinstance(kind, str) or kind not in _FILES:
        said = f'no matches for kind "{kind}" in version "{API_VERSION}"'
        yield Problem(Check.SCHEMA, "kind", said, f"write {', '.join(_FILES)}", blocking=True)
        return
    yield from _metadata_problems(manifest.get("metadata"))
    yield from _kind_problems(manifest, kind)


def _metadata_problems(metadata: object) -> Iterator[Problem]:
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(metadata, dict) and "generateName" in metadata and name is None:
        return
    if name is None:
        yield Problem(Check.SCHEMA, "metadata.name", "Required value: name or generateName is required")
    elif not isinstance(name, str):
        yield Problem(Check.SCHEMA, "metadata.name", "must be a text", "write it in quotes", blocking=True)
    elif len(name) > _LONGEST_NAME or _NAME.fullmatch(name) is None:
        yield Problem(Check.SCHEMA, "metadata.name", _NAME_RULE)


@lru_cache(maxsize=len(_FILES))
def schema_of(kind: str) -> Schema:
    """Return the schema of what people write: the status is the operator's, and metadata every kind's."""
    whole: dict[str, Any] = definitions()[_FILES[kind]]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return whole | {"properties": whole["properties"] | {"status": status, "metadata": status}}


def _kind_problems(manifest: Mapping[str, Any], kind: str) -> Iterator[Problem]:
    schema = schema_of(kind)
    value = without_nulls(manifest, schema)
    refused = [*schema_problems(value, schema, "")]
    # The content of a field with a misspelled name is checked as well, and its absence is not held against it.
    corrected = _corrected(value, schema)
    others = [one for one in schema_problems(corrected, schema, "") if one.check is not Check.UNKNOWN_FIELD]
    refused = [one for one in refused if one.check is Check.UNKNOWN_FIELD] + others
    blocked = frozenset(one.path for one in others if one.blocking)
    broken = [*rule_problems(corrected, schema, "", blocked)]
    told = {one.path for one in broken}
    # Where a rule says what to write, the regular expression adds nothing.
    yield from (one for one in refused if one.path not in told or not one.said.startswith("should match"))
    yield from broken
    if not refused and not broken:
        yield from _parser_problems(value, kind)


def _corrected(value: Value, schema: Schema) -> Value:
    """Return a value in which fields in another spelling, such as ``abort_on``, have their own names."""
    match value:
        case dict():
            known, others = schema.get("properties", {}), schema.get("additionalProperties")
            if schema.get("x-kubernetes-preserve-unknown-fields") or not known:
                return value if not isinstance(others, dict) else {**value}
            fixed = {}
            for name, member in value.items():
                right = name if name in known else meant(str(name), known)
                fixed[name if not right or (right != name and right in value) else right] = _corrected(
                    member, known.get(right, {})
                )
            return fixed
        case list():
            return [_corrected(member, schema.get("items", {})) for member in value]
        case _:
            return value


def _parser_problems(value: Mapping[str, Any], kind: str) -> Iterator[Problem]:
    """Yield what the operator would report in the object's status, although the API server takes the object."""
    spec = value.get("spec")
    try:
        decode(_TYPES[kind], {} if spec is None else spec, "spec")
    except InvalidObjectError as problem:
        yield Problem(Check.PARSER, problem.path, problem.problem)
