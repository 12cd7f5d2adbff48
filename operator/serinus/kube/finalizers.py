"""Puts our finalizer on a Rollout and takes it off, without touching anybody else's."""

from typing import Any

from serinus.api.names import FIELD_MANAGER, FINALIZER, ROLLOUT
from serinus.kube.client import JSON_PATCH, Requests
from serinus.kube.kinds import object_path
from serinus.kube.raw import metadata_of
from serinus.kube.records import rollout_record
from serinus.ports.cluster_state import Meta, RolloutRecord


class ApiFinalizers:
    """Implements the port ``Finalizers`` over the Kubernetes API."""

    def __init__(self, client: Requests) -> None:
        """Write with this client."""
        self._client = client

    async def set(self, meta: Meta, *, present: bool) -> RolloutRecord:
        """Make sure that the Rollout has our finalizer, or that it has not, and return it as it is now.

        Raises:
            ConflictError: it was changed at the same time, or recreated under its name: re-read, decide again.
            NotFoundError: it is gone.
            AmbiguousError, RefusedError, TransientError: see serinus.errors.
        """
        path = object_path(ROLLOUT, meta.key)
        raw = await self._client.request("GET", path)
        finalizers = list(metadata_of(raw).finalizers)
        if (FINALIZER in finalizers) == present:
            return rollout_record(raw)
        patch = _patch(raw["metadata"], finalizers, meta.uid, present=present)
        query = {"fieldManager": FIELD_MANAGER}
        return rollout_record(
            await self._client.request("PATCH", path, body=patch, content_type=JSON_PATCH, query=query)
        )


def _patch(metadata: dict[str, Any], finalizers: list[str], uid: str, *, present: bool) -> list[dict[str, Any]]:
    """Return the JSON Patch, guarded by uid and resourceVersion: others change the list as well."""
    guards = [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
    ]
    if not present:
        return [*guards, {"op": "remove", "path": f"/metadata/finalizers/{finalizers.index(FINALIZER)}"}]
    if not finalizers:
        return [*guards, {"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}]
    return [*guards, {"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}]
