"""The status of a Rollout as it is stored: what only illustrates must never make the rest unreadable."""

from typing import Any

from serinus.api.parsing import decode
from serinus.api.rollout_status import RolloutStatus
from serinus.errors import InvalidObjectError


def stored_status(raw: object) -> RolloutStatus:
    """Return a stored status; points of evidence and traffic that cannot be read are left out: nothing rests on them.

    Raises:
        InvalidObjectError: anything else of it cannot be read.
    """
    try:
        return decode(RolloutStatus, raw or {}, "status")
    except InvalidObjectError:
        without = _without_points(raw)
        if without == raw:
            raise
        return decode(RolloutStatus, without, "status")


def _without_points(raw: object) -> object:
    if not isinstance(raw, dict):
        return raw
    rest = {name: value for name, value in raw.items() if name != "traffic"}
    evidence = raw.get("evidence")
    return {**rest, "evidence": [_one_without(one) for one in evidence]} if isinstance(evidence, list) else rest


def _one_without(one: object) -> Any:  # noqa: ANN401 - as it was stored
    return {name: value for name, value in one.items() if name != "points"} if isinstance(one, dict) else one
