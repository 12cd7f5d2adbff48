"""The RequestMirror filters of a rule of an HTTPRoute: the JSON Patch that leaves one of them, or none."""

from typing import Any, Final

from serinus.api.quantities import WEIGHT_SCALE
from serinus.engine.rollout.traffic.facts import Mirror
from serinus.kube.client import Raw
from serinus.ports.cluster_state import RouteRecord
from serinus.routers.patching import Operation, version_test

_REQUEST_MIRROR: Final = "RequestMirror"
_WHOLE_PERCENT: Final = WEIGHT_SCALE // 100


def mirror_patch(raw: Raw, route: RouteRecord, place: int, mirror: Mirror | None) -> list[Operation]:
    """Return the JSON Patch after which a rule has this mirror and no other; empty where that is so already.

    Args:
        raw: the route as it is stored, for the rule's other filters.
        route: the same as a record.
        place: the position of the rule.
        mirror: what gets copies; None for nothing.
    """
    if route.rules[place].mirrors == (() if mirror is None else (mirror,)):
        return []
    filters = raw["spec"]["rules"][place].get("filters", [])
    kept = [one for one in filters if one.get("type") != _REQUEST_MIRROR]
    wanted = kept if mirror is None else [*kept, _filter(mirror)]
    path = f"/spec/rules/{place}/filters"
    # RFC 6902, 4.1: adding a member that exists replaces its value.
    change: Operation = {"op": "add", "path": path, "value": wanted} if wanted else {"op": "remove", "path": path}
    return [version_test(route), change]


def _filter(mirror: Mirror) -> dict[str, Any]:
    key = mirror.key
    port = {} if key.port is None else {"port": key.port}
    reference = {"group": key.group, "kind": key.kind, "name": key.name, **port}
    return {"type": _REQUEST_MIRROR, "requestMirror": {"backendRef": reference, **_part(mirror.parts)}}


def _part(parts: int) -> dict[str, Any]:
    """Return which part of the requests is copied.

    All of them are without a word: so it was before Gateway API 1.3, and so gateways do it that know no part.
    """
    if parts == WEIGHT_SCALE:
        return {}
    if parts % _WHOLE_PERCENT == 0:
        return {"percent": parts // _WHOLE_PERCENT}
    return {"fraction": {"numerator": parts, "denominator": WEIGHT_SCALE}}
