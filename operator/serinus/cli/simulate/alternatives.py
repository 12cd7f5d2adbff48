"""The plan in a manifest, and the other plans that ``--set`` makes of it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serinus.api.names import ROLLOUT
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.cli.manifests import read_manifests
from serinus.cli.simulate.changes import Change, Changes
from serinus.errors import ConfigurationError

AS_WRITTEN: Final = "as written"
_OF_THE_PLAN: Final = frozenset({"guards"})


@dataclass(frozen=True, slots=True)
class Alternative:
    """A plan, and what is different about it."""

    name: str
    spec: RolloutSpec


@dataclass(frozen=True, slots=True)
class WrittenPlan:
    """A Rollout of a file: its name, its namespace (empty where the manifest names none), and its raw spec."""

    name: str
    namespace: str
    spec: Mapping[str, Any]


def read_plan(file: Path, name: str | None) -> WrittenPlan:
    """Return the Rollout in a file.

    Raises:
        ConfigurationError: the file cannot be read, or it has no such Rollout, or several and no name is given.
    """
    found = {str(raw["metadata"].get("name", "")): raw for raw in read_manifests(file, ROLLOUT)}
    wanted = [each for each in found if name in {None, each}]
    if len(wanted) != 1:
        names = ", ".join(found) or "none"
        raise ConfigurationError(f"{file} has these Rollouts: {names}. Name one of them with --rollout")
    raw = found[wanted[0]]
    spec = raw.get("spec")
    if not isinstance(spec, dict):
        raise ConfigurationError(f"{file}: spec is missing")
    return WrittenPlan(wanted[0], str(raw["metadata"].get("namespace") or ""), spec)


def alternatives(file: Path, raw: Mapping[str, Any], changes: Sequence[Changes]) -> tuple[Alternative, ...]:
    """Return the plan as it is written, then one for each set of changes.

    Raises:
        InvalidObjectError: a plan is not valid.
        ConfigurationError: a change names no stage or line of the plan.
    """
    written = Alternative(AS_WRITTEN, decode(RolloutSpec, raw, f"{file}: spec"))
    return (
        written,
        *(Alternative(one.text, decode(RolloutSpec, _changed(raw, one), f"--set {one.text}")) for one in changes),
    )


def _changed(raw: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    spec = copy.deepcopy(dict(raw))
    for change in changes.changes:
        _apply(spec, change, f"--set {changes.text}")
    return spec


def _apply(spec: dict[str, Any], change: Change, where: str) -> None:
    field, stage = change.field, change.stage
    if stage is None and field in _OF_THE_PLAN:
        spec[field] = change.value
        return
    if stage == "metrics":
        spec["metrics"] = {**(spec.get("metrics") or {}), field: change.value}
        return
    stages = [one for one in spec.get("stages") or () if isinstance(one, dict)]
    wanted = [one for one in stages if one.get("name") == stage or (stage is None and _has(one, field))]
    if not wanted:
        names = ", ".join(str(one.get("name")) for one in stages)
        raise ConfigurationError(f"{where}: no stage {stage or 'that has ' + field}; the plan has {names}")
    for one in wanted:
        if change.index is None:
            one[field] = [change.value] if field == "abortOn" else change.value
        else:
            _set_line(one, field, change.index, change.value, where)


def _has(stage: Mapping[str, Any], field: str) -> bool:
    """Return whether a change of every stage concerns this one: it has the field, or could have it."""
    return field in stage if field in {"duration", "bake", "abortOn"} else bool(stage.get("abortOn"))


def _set_line(stage: dict[str, Any], field: str, index: int, value: object, where: str) -> None:
    """Replace one line of a list, or append the next one; an empty value takes it out."""
    lines = list(stage.get(field) or ())
    if index > len(lines):
        raise ConfigurationError(
            f"{where}: stage {stage.get('name')} has {len(lines)} lines in {field}, numbered from 0"
        )
    lines[index : index + 1] = [value] if value else []
    stage[field] = lines
