"""A plan of stages in snake_case, as deployment scripts keep it: typed, with every unknown field refused by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from serinus.api.parsing import decode
from serinus.cli.manifests import KubectlLoader
from serinus.errors import ConfigurationError, InvalidObjectError
from serinus.yaml_text import YamlTextError, read_yaml

_MAX_BYTES: Final = 1024 * 1024

Number = int | float


class _PlanPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what is read: immutable, unknown fields refused."""


class PlanStage(_PlanPart, frozen=True, kw_only=True):
    """One stage.

    Attributes:
        traffic: a share such as ``5%``, or a number that is meant as a percentage.
        duration: such as ``2h``.
        abort_on: conditions, in a list, in one text, or as a limit by metric.
        rollback_to: the version to go back to, by number or by name.
    """

    name: str
    traffic: str | Number
    duration: str | Number | None = None
    abort_on: list[str] | dict[str, str | Number] | str | None = None
    rollback_to: str | None = None


class Plan(_PlanPart, frozen=True, kw_only=True):
    """A plan.

    Attributes:
        model_id: the model and the version in one, such as ``fraud-detector-v2.3.1``.
        rollback_to: as of a stage.
    """

    stages: list[PlanStage]
    model: str = ""
    model_id: str = ""
    version: str = ""
    rollback_to: str | None = None


def read_plan(file: Path) -> Plan:
    """Return the plan in a file: a mapping with ``stages``, or only the list of them.

    Raises:
        ConfigurationError: the file cannot be read or is not YAML.
        InvalidObjectError: a field is unknown, missing or of another type; the error names it.
    """
    value = _value(file)
    raw = {"stages": value} if isinstance(value, list) else value
    try:
        return decode(Plan, raw, "plan")
    except InvalidObjectError as problem:
        raise InvalidObjectError(f"{file}: {problem.path}", _with_advice(problem.problem, problem.path)) from problem


def _value(file: Path) -> object:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise ConfigurationError(f"{file} cannot be read: {reason}") from problem
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{file} is larger than {_MAX_BYTES >> 20} MiB: name a file with one plan")
    try:
        found = [document for document in read_yaml(content, KubectlLoader) if document is not None]
    except YamlTextError as problem:
        raise ConfigurationError(f"{file} is not valid YAML: {problem}") from problem
    if len(found) != 1:
        raise ConfigurationError(f"{file} has {len(found)} documents: write one plan in a file")
    return found[0]


_UNKNOWN: Final = "Object contains unknown field `"


def _with_advice(problem: str, path: str) -> str:
    """Return the problem, with the known fields where one is unknown."""
    if not problem.startswith(_UNKNOWN):
        return problem
    name = problem.removeprefix(_UNKNOWN).rstrip("`")
    kind: Mapping[str, Any] = PlanStage.__annotations__ if "stages[" in path else Plan.__annotations__
    from serinus.cli.lint.advice import nearest  # noqa: PLC0415 - difflib and the schemas, for an error only

    near = nearest(name, kind)
    advice = f"did you mean {near}?" if near else f"the known fields are {', '.join(sorted(kind))}"
    return f"unknown field {name}: {advice}"
