"""The plan in a manifest, and the other plans that ``--set`` makes of it."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from serinus.api.names import ROLLOUT
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.cli.manifests import KubectlLoader, read_manifests
from serinus.errors import ConfigurationError
from serinus.yaml_text import YamlTextError, read_yaml

AS_WRITTEN: Final = "as written"
_PATH: Final = re.compile(r"(?:(?P<stage>[a-z0-9][a-z0-9-]*)\.)?(?P<field>[a-zA-Z]+)(?:\[(?P<index>\d{1,2})\])?")
_HOW: Final = (
    "write STAGE.FIELD=VALUE, or FIELD=VALUE for every stage with traffic, such as 'abortOn[0]=error_rate > 1%'"
)
_OF_THE_PLAN: Final = frozenset({"guards"})


@dataclass(frozen=True, slots=True)
class Alternative:
    """A plan, and what is different about it."""

    name: str
    spec: RolloutSpec


def read_plan(file: Path, name: str | None) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the raw spec of the Rollout in a file.

    Raises:
        ConfigurationError: the file cannot be read, or it has no such Rollout, or several and no name is given.
    """
    found = {str(raw["metadata"].get("name", "")): raw.get("spec") for raw in read_manifests(file, ROLLOUT)}
    wanted = [each for each in found if name in {None, each}]
    if len(wanted) != 1:
        names = ", ".join(found) or "none"
        raise ConfigurationError(f"{file} has these Rollouts: {names}. Name one of them with --rollout")
    spec = found[wanted[0]]
    if not isinstance(spec, dict):
        raise ConfigurationError(f"{file}: spec is missing")
    return wanted[0], spec


def alternatives(file: Path, raw: Mapping[str, Any], changes: tuple[str, ...]) -> tuple[Alternative, ...]:
    """Return the plan as it is written, then one for each text of changes.

    Raises:
        InvalidObjectError: a plan is not valid.
        ConfigurationError: a change is malformed, or names no stage of the plan.
    """
    written = Alternative(AS_WRITTEN, decode(RolloutSpec, raw, f"{file}: spec"))
    return (
        written,
        *(Alternative(text, decode(RolloutSpec, _changed(raw, text), f"--set {text}")) for text in changes),
    )


def _changed(raw: Mapping[str, Any], text: str) -> dict[str, Any]:
    spec = copy.deepcopy(dict(raw))
    for change in text.split(";"):
        path, equals, value = change.strip().partition("=")
        found = _PATH.fullmatch(path.strip())
        if found is None or not equals:
            raise ConfigurationError(f"--set {text}: {change.strip()!r} is not a change: {_HOW}")
        _apply(spec, found, _value(found["field"], value.strip(), text), text)
    return spec


def _value(field: str, value: str, text: str) -> object:
    """Return the value as YAML reads it, but a condition or another text as it stands."""
    if field == "abortOn":
        return value
    try:
        found = next(iter(read_yaml(value.encode(), KubectlLoader)), None)
    except (YamlTextError, yaml.YAMLError) as problem:
        raise ConfigurationError(f"--set {text}: {value!r} is not valid YAML: {problem}") from problem
    # Guards: Off is a word, although YAML reads a boolean.
    return value if isinstance(found, bool) or found is None else found


def _apply(spec: dict[str, Any], path: re.Match[str], value: object, text: str) -> None:
    field, stage, index = path["field"], path["stage"], path["index"]
    if stage is None and field in _OF_THE_PLAN:
        spec[field] = value
        return
    if stage == "metrics":
        spec["metrics"] = {**(spec.get("metrics") or {}), field: value}
        return
    stages = [one for one in spec.get("stages") or () if isinstance(one, dict)]
    wanted = [one for one in stages if one.get("name") == stage or (stage is None and _has(one, field))]
    if not wanted:
        names = ", ".join(str(one.get("name")) for one in stages)
        raise ConfigurationError(f"--set {text}: no stage {stage or 'that has ' + field}; the plan has {names}")
    for one in wanted:
        if index is None:
            one[field] = [value] if field == "abortOn" else value
        else:
            _set_line(one, field, int(index), value, text)


def _has(stage: Mapping[str, Any], field: str) -> bool:
    """Return whether a change of every stage concerns this one: it has the field, or could have it."""
    return field in stage if field in {"duration", "bake", "abortOn"} else bool(stage.get("abortOn"))


def _set_line(stage: dict[str, Any], field: str, index: int, value: object, text: str) -> None:
    """Replace one line of a list, or append the next one; an empty value takes it out."""
    lines = list(stage.get(field) or ())
    if index > len(lines):
        raise ConfigurationError(
            f"--set {text}: stage {stage.get('name')} has {len(lines)} lines in {field}, numbered from 0"
        )
    lines[index : index + 1] = [value] if value else []
    stage[field] = lines
