"""The plan as the records have it: everything by which a version is judged, tests by their content."""

from collections.abc import Mapping
from typing import Final

import msgspec

from serinus.api.parsing import encode
from serinus.api.rollout import RolloutSpec
from serinus.engine.rollout.tested_content import content_of

_LONGEST: Final = 4096
"""Characters that a detail of a record may have: see api.audit_record."""

_IN_OTHER_PLACES: Final = frozenset({"model", "version", "stages"})
"""Parts of the spec that a record names by itself, or in another form."""


def recorded_plan(spec: RolloutSpec) -> tuple[tuple[str, str], ...]:
    """Return the details of a record that say by which plan a run is judged; what is too long is left out."""
    plan = encode(spec)
    stages = [
        {**stage, "tests": {test.name: content_of(test) for test in planned.tests}} if planned.tests else stage
        for stage, planned in zip(plan["stages"], spec.stages, strict=True)
    ]
    parts: Mapping[str, object] = {name: part for name, part in plan.items() if name not in _IN_OTHER_PLACES}
    told = ((name, part if isinstance(part, str) else _as_json(part)) for name, part in sorted(parts.items()))
    return (("plan", _stages(stages)), *((name, text) for name, text in told if len(text) <= _LONGEST))


def _stages(stages: list[dict[str, object]]) -> str:
    """Return as many stages as a detail can hold, the first ones first: cut text would be no JSON."""
    while len(text := msgspec.json.encode(stages).decode()) > _LONGEST:
        stages = stages[:-1]
    return text


def _as_json(part: object) -> str:
    return msgspec.json.encode(part, order="sorted").decode()
