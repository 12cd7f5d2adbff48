"""Random edits of a Rollout's plan, each a valid one: for controls that say who may change what of it."""

import copy
from collections.abc import Callable
from random import Random
from typing import Any, Final

from serinus.api.parsing import decode, encode
from serinus.api.rollout import RolloutSpec
from serinus.errors import InvalidObjectError
from support.manifests.builders import ABORT_ON, Manifest

GATE: Final = {"approval": "Required"}
_PRODUCTION: Final = {"name": "production", "traffic": "100%", "bake": "30m", "abortOn": list(ABORT_ON)}
_CANARY: Final = {"name": "canary", "traffic": "5%", "duration": "2h", "abortOn": list(ABORT_ON)}
_HALF: Final = {"name": "half", "traffic": "50%", "duration": "1h", "abortOn": list(ABORT_ON)}
_TEST: Final = {"name": "contract", "http": {"path": "/healthz"}}
_STAGING: Final = {"name": "staging", "traffic": "0%", "tests": [_TEST]}

PLANS: Final[dict[str, list[Manifest]]] = {
    "gate at the end": [_STAGING, _CANARY, {**_PRODUCTION, **GATE}],
    "gate before all traffic": [_STAGING, {**_CANARY, **GATE}, _HALF, _PRODUCTION],
    "two gates": [_STAGING, _CANARY, {**_HALF, **GATE}, {**_PRODUCTION, **GATE}],
    "no gate": [_STAGING, _CANARY, _HALF, _PRODUCTION],
}
"""Stages of plans, by what they show."""

_FIELDS: Final[dict[str, list[Any]]] = {
    "traffic": ["0.01%", "4%", "6%", "99.99%"],
    "duration": ["1s", "1h", "48h"],
    "bake": ["1s", "10m"],
    "abortOn": [["error_rate > 99.9%"], [ABORT_ON[0]], [ABORT_ON[1], ABORT_ON[0]], ["unanswered_rate > 1%"]],
    "tests": [[], [{**_TEST, "http": {"path": "/"}}], [_TEST, {**_TEST, "name": "second"}]],
    "approval": ["Required", "NotRequired"],
    "judgement": ["Observed", "Sequential"],
    "for": ["1s", "10m"],
    "minRequests": [1, 100_000],
    "warmup": [{"requests": 1}, {"readyFor": "1h"}],
    "mirror": ["1%", "100%"],
    "sensitivity": ["Fast", "Balanced", "Careful"],
    "blip": ["1s", "30s"],
    "burst": [1, 20],
    "promotion": ["Certified", "Observed"],
    "maxDuration": ["3h", "96h"],
    "onTimeout": ["Rollback", "Hold"],
    "name": ["renamed"],
}
"""Every field of a stage, with values for it."""

_SPEC: Final[dict[str, list[Any]]] = {
    "version": ["2.3.2", "3.0.0"],
    "guards": ["Off", "On"],
    "rollbackTo": ["2.2.4", "2.2.5"],
    "metrics": [{"source": "other"}, {"window": "5m"}, {"preset": "envoy"}, {"interval": "1h"}],
    "route": [{"httpRoute": {"name": "fraud-detector", "ruleName": "other"}}, {"httpRoute": {"name": "other"}}],
}
"""Every other field that an edit may change, with values for it; ``spec.model`` never changes."""


def spec_with(stages: list[Manifest]) -> Manifest:
    """Return a spec with these stages, in the form in which the operator encodes it: without defaults."""
    route = {"httpRoute": {"name": "fraud-detector", "ruleName": "predict"}}
    return _canonical({"model": "fraud-detector", "version": "2.3.1", "route": route, "stages": stages})


def edited_at_random(spec: Manifest, random: Random) -> tuple[str, Manifest]:
    """Return what was changed and the spec after one to three edits; it is valid, and may be the same as before."""
    while True:
        after, names = copy.deepcopy(spec), []
        for _ in range(random.choice((1, 1, 2, 3))):
            edit = random.choice(_EDITS)
            names.append(edit(after, random))
        try:
            return ", ".join(names), _canonical(after)
        except InvalidObjectError:
            continue


def _canonical(spec: Manifest) -> Manifest:
    """Return the spec as the operator encodes it; InvalidObjectError where it is invalid."""
    canonical: Manifest = encode(decode(RolloutSpec, spec, "spec"))
    return canonical


def _set_stage_field(spec: Manifest, random: Random) -> str:
    stage, field = random.choice(spec["stages"]), random.choice(list(_FIELDS))
    stage[field] = random.choice(_FIELDS[field])
    return f"stages.{field}"


def _drop_stage_field(spec: Manifest, random: Random) -> str:
    stage = random.choice(spec["stages"])
    field = random.choice([name for name in stage if name not in {"name", "traffic"}] or ["tests"])
    stage.pop(field, None)
    return f"no stages.{field}"


def _set_field(spec: Manifest, random: Random) -> str:
    field = random.choice(list(_SPEC))
    spec[field] = random.choice(_SPEC[field])
    return field


def _set_version(spec: Manifest, random: Random) -> str:
    spec["version"] = random.choice(_SPEC["version"])
    return "version"


def _insert(spec: Manifest, random: Random) -> str:
    stage = {**_HALF, "name": "inserted", "traffic": random.choice(["0.01%", "5%", "50%", "99.99%"])}
    spec["stages"].insert(random.randrange(len(spec["stages"])), stage)
    return "a stage more"


def _remove(spec: Manifest, random: Random) -> str:
    if len(spec["stages"]) > 1:
        spec["stages"].pop(random.randrange(len(spec["stages"]) - 1))
    return "a stage less"


def _reorder(spec: Manifest, random: Random) -> str:
    """Swap the contents of two stages and leave them their shares, so that the order stays valid."""
    stages = spec["stages"]
    first, second = random.sample(range(len(stages)), 2) if len(stages) > 1 else (0, 0)
    stages[first]["traffic"], stages[second]["traffic"] = stages[second]["traffic"], stages[first]["traffic"]
    stages[first], stages[second] = stages[second], stages[first]
    return "another order"


_EDITS: Final[tuple[Callable[[Manifest, Random], str], ...]] = (
    _set_stage_field,
    _set_stage_field,
    _drop_stage_field,
    _set_field,
    _set_version,
    _insert,
    _remove,
    _reorder,
)

EDITED_FIELDS: Final = frozenset(_SPEC) | {"stages", "model"}
EDITED_STAGE_FIELDS: Final = frozenset(_FIELDS)
