"""What a Rollout or a ModelVersion says of a case."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from serinus.api.names import Command
from serinus.engine.rollout.commands import MAX_TOKEN
from support.hostile.world import OLD

Raw = Mapping[str, Any]

_COMMANDS: Final = frozenset(command.annotation for command in Command)
_NAMED_REASONS: Final = frozenset({"SpecInvalid", "MetricsInvalid", "Conflict"})


def _current(raw: Raw) -> bool:
    return bool(raw.get("status", {}).get("observedGeneration", 0) >= raw["metadata"]["generation"])


def serves_the_old(raw: Raw) -> bool:
    status = raw.get("status", {})
    stable = status.get("stable", {})
    return _current(raw) and (status["phase"], stable.get("version"), stable.get("weight")) == ("Healthy", OLD, 100)


def answered(raw: Raw) -> bool:
    """Whether the operator has seen the spec, and every command that the annotations give."""
    status, annotations = raw.get("status", {}), raw["metadata"].get("annotations", {})
    handled = status.get("lastHandled", {})
    commands = {key.partition("/")[2]: text for key, text in annotations.items() if key in _COMMANDS and text}
    return _current(raw) and all(handled.get(verb) == text[:MAX_TOKEN] for verb, text in commands.items())


def reviewed(raw: Raw) -> bool:
    """Whether the version is reviewed as it is now, and recorded or refused."""
    conditions = {one["type"]: one for one in raw.get("status", {}).get("conditions", ())}
    accepted, recorded = conditions.get("Accepted"), conditions.get("Recorded")
    if accepted is None or recorded is None or not _current(raw):
        return False
    return bool(recorded["status"] == "True" or recorded["reason"] == "VersionTaken")


def refusals(raws: Sequence[Raw]) -> list[str]:
    """Return what the operator says against what is stored; empty where it follows it."""
    said = []
    for raw in raws:
        status = raw.get("status", {})
        if status.get("phase") == "Invalid" or status.get("reason") in _NAMED_REASONS:
            said.append(f"{status.get('summary', '')} {status.get('nextAction', '')}")
        said += [
            one.get("message", "")
            for one in status.get("conditions", ())
            if one["type"] == "Accepted" and one["status"] == "False"
        ]
    return said
