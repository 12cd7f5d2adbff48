"""How many ready endpoints the Services of the versions have: those of a namespace are asked for together."""

from collections.abc import Iterable, Sequence
from typing import Final

from serinus.api.names import ENDPOINT_SLICE, SERVICE
from serinus.cli.lint.cluster.objects import NotAsked, Objects
from serinus.cli.lint.cluster.plans import Plan, kind_of_backend
from serinus.errors import InvalidObjectError
from serinus.kube.records import endpoints_record

_MOST: Final = 100
"""So many names go into one selector of labels."""

_SERVICE_LABEL: Final = "kubernetes.io/service-name"


class Endpoints:
    """Counts the ready endpoints of the Services that the versions of these Rollouts name."""

    def __init__(self, plans: Iterable[Plan], objects: Objects) -> None:
        """Take the Services; nothing is asked yet."""
        self._objects = objects
        self._services: dict[str, set[str]] = {}
        for plan in plans:
            for version in plan.versions:
                if version.backend is not None and kind_of_backend(version.backend) == SERVICE:
                    self._services.setdefault(plan.namespace, set()).add(version.backend.name)
        self._counts: dict[str, dict[str, int] | NotAsked] = {}

    def ready(self, namespace: str, service: str) -> int | NotAsked:
        """Return how many endpoints of a Service are ready."""
        if namespace not in self._counts:
            self._counts[namespace] = self._counted(namespace)
        counts = self._counts[namespace]
        return counts if isinstance(counts, NotAsked) else counts.get(service, 0)

    def _counted(self, namespace: str) -> dict[str, int] | NotAsked:
        names = sorted(self._services.get(namespace, ()))
        counts: dict[str, int] = {}
        for start in range(0, len(names), _MOST):
            selector = f"{_SERVICE_LABEL} in ({','.join(names[start : start + _MOST])})"
            found = self._objects.select(ENDPOINT_SLICE, namespace, selector)
            if isinstance(found, NotAsked):
                return found
            for raw in found if isinstance(found, Sequence) else ():
                try:
                    record = endpoints_record(raw)
                except InvalidObjectError:
                    continue
                counts[record.service] = counts.get(record.service, 0) + record.ready
        return counts
