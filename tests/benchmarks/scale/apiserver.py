"""Counts the writes that the API server has served, by its own metrics.

``apiserver_request_total`` does not tell who wrote. In a measuring window nobody but the operator writes these
resources, except for the statuses of HTTPRoutes, which the stand-in gateway writes, and what a scenario subtracts.
"""

import re
from collections import Counter
from typing import Final

from localcluster.api import Api
from localcluster.api import ApiError as _ApiError

_LINE: Final = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE"})
_OPERATORS: Final = {
    "serinus.dev": {"rollouts", "models", "modelversions", "auditrecords"},
    "gateway.networking.k8s.io": {"httproutes"},
    "events.k8s.io": {"events"},
    "batch": {"jobs"},
}

Writes = Counter[str]
"""Number of writes by ``resource`` or ``resource/status``."""


async def writes(api: Api) -> Writes:
    """Return how often each resource that the operator writes has been written so far, refused writes included."""
    async with api._open.get("/metrics") as response:
        if not response.ok:
            raise _ApiError(response.status, "the API server's metrics cannot be read")
        text = await response.text()
    found: Writes = Counter()
    for labels, value in _LINE.findall(text):
        label = dict(_LABEL.findall(labels))
        if label["verb"] in _WRITES and label["resource"] in _OPERATORS.get(label["group"], ()):
            found[f"{label['resource']}/{label['subresource']}".rstrip("/")] += int(float(value))
    found.pop("httproutes/status", None)
    return found
