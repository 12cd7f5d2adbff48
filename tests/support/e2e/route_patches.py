"""The operator's patches of a route, as a test sees them in a proxy, and the answer that has one tried again."""

import json
from typing import Any

from aiohttp import web

from support.e2e.manifests import weights_in


def patched_weight(body: bytes, backend: str, route: dict[str, Any]) -> int:
    """Return the weight that a JSON Patch of the route gives a backend; 0 where it says nothing of it."""
    names = list(weights_in(route))
    for step in json.loads(body):
        value, path = step.get("value"), str(step["path"])
        if isinstance(value, dict) and value.get("name") == backend:
            return int(value["weight"])
        if path.endswith("/weight") and names[int(path.split("/")[-2])] == backend:
            return int(value)
    return 0


def conflict() -> web.Response:
    """Return what the API server answers where the object was modified meanwhile."""
    body = {"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "it was modified"}
    return web.json_response(body, status=409)
