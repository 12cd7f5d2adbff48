"""The spec of a Rollout as an earlier release may have let it in: what newer checks refuse must still be guarded."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import structs

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec, Stage
from serinus.errors import InvalidObjectError


class StoredSpec(NamedTuple):
    """A spec that can be followed.

    ``merged`` says which conditions of it are one in two spellings and are judged once; empty where none are.
    """

    spec: RolloutSpec
    merged: str = ""


def stored_spec(raw: object) -> StoredSpec:
    """Return a stored spec; conditions of one meaning in two spellings are one condition.

    Raises:
        InvalidObjectError: it cannot be followed.
    """
    try:
        return StoredSpec(_with_shared_stages(decode(RolloutSpec, raw, "spec")))
    except InvalidObjectError:
        twins: list[str] = []
        merged = _with_lines(raw, lambda place, lines: _merged(place, lines, twins))
        if not twins:
            raise
        return StoredSpec(decode(RolloutSpec, merged, "spec"), "; ".join(twins))


def _with_shared_stages(spec: RolloutSpec) -> RolloutSpec:
    """Have all Rollouts with the same plan, as those from one template are, share one copy of it in memory."""
    # The template of a Job and the headers of a request are dicts, which have no hash: such a plan has its own copy.
    with suppress(TypeError):
        structs.force_setattr(spec, "stages", _one_copy(spec.stages))
    return spec


@lru_cache(maxsize=1024)
def _one_copy(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return stages


def guarding_spec(raw: object) -> RolloutSpec | None:
    """Return what can be followed of a spec that cannot: without the conditions that cannot be read.

    None where that is not enough. It keeps watch over a run that is under way; nothing may advance by it.
    """
    try:
        return stored_spec(_with_lines(raw, lambda _, lines: [line for line in lines if _meaning(line)])).spec
    except InvalidObjectError:
        return None


def _with_lines(raw: object, change: Callable[[str, list[Any]], list[Any]]) -> object:
    """Return the raw spec with the ``abortOn`` of each stage changed; ``change`` gets its path and its lines."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("stages"), list):
        return raw
    stages = [
        {**stage, "abortOn": change(f"spec.stages[{index}].abortOn", stage["abortOn"])}
        if isinstance(stage, Mapping) and isinstance(stage.get("abortOn"), list)
        else stage
        for index, stage in enumerate(raw["stages"])
    ]
    return {**raw, "stages": stages}


def _meaning(line: object) -> object:
    """Return what identifies a condition, however it is spelled; None where it cannot be read."""
    try:
        return parse_abort_condition(line).meaning if isinstance(line, str) else None
    except ValueError:
        return None


def _merged(place: str, lines: list[Any], twins: list[str]) -> list[Any]:
    """Return the lines, each meaning once; note in ``twins`` which of them repeat another one."""
    known: dict[object, str] = {}
    kept = []
    for index, line in enumerate(lines):
        meaning = _meaning(line)
        if meaning is not None and meaning in known:
            twins.append(f"{place}[{index}] {line!r} is {known[meaning]!r} in another spelling")
            continue
        known[meaning] = line
        kept.append(line)
    return kept
