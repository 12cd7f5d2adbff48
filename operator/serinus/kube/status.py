"""Writes the status subresource of the very object that was seen: another one may have its name by now."""

from collections.abc import Mapping
from typing import Final

from serinus.api.conditions import Condition
from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import FIELD_MANAGER, MODEL, MODEL_VERSION, ROLLOUT, Kind
from serinus.api.parsing import encode
from serinus.api.rollout_status import RolloutStatus
from serinus.errors import ConflictError, NotFoundError
from serinus.kube.client import JSON_PATCH, MERGE_PATCH, Requests
from serinus.kube.kinds import object_path
from serinus.kube.raw import metadata_of
from serinus.kube.records import rollout_record
from serinus.ports.cluster_state import Meta, RolloutRecord
from serinus.ports.services import Guard

_TRIES: Final = 4
"""Others write these objects too, such as the registry its head: each such write costs one more try."""


class ApiStatusWriter:
    """Implements the port ``StatusWriter`` over the Kubernetes API."""

    def __init__(self, client: Requests) -> None:
        """Write with this client."""
        self._client = client

    async def write_rollout(self, meta: Meta, status: RolloutStatus, *, guard: Guard | None = None) -> RolloutRecord:
        """Replace the status if the Rollout is unchanged since ``meta``, and return the updated Rollout.

        Raises:
            ConflictError: it has changed since, or was recreated under its name.
            RefusedError: the API server rejects the status, such as one written by a deposed leader.
            NotLeaderError, OvertakenError: by the guard; nothing was sent.
            AmbiguousError, NotFoundError, TransientError: see serinus.errors.
        """
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": meta.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": str(meta.version)},
            # RFC 6902, 4.1: adding a member that exists replaces it.
            {"op": "add", "path": "/status", "value": encode(status)},
        ]
        raw = await self._client.request(
            "PATCH",
            f"{object_path(ROLLOUT, meta.key)}/status",
            body=patch,
            content_type=JSON_PATCH,
            query={"fieldManager": FIELD_MANAGER},
            guard=guard,
        )
        return rollout_record(raw)

    async def write_model_version(self, meta: Meta, *, stage: str, traffic: str) -> None:
        """Write a ModelVersion's stage and traffic; the last writer wins, as both are derived. Errors as below."""
        # Null removes a field: a version that was tried shows no more than one that never was.
        await self._merge(MODEL_VERSION, meta, {"stage": stage or None, "traffic": traffic or None})

    async def write_review(self, meta: Meta, status: ModelVersionStatus, *, with_traffic: bool) -> None:
        """Write a ModelVersion's status; lists are replaced as a whole. Errors as below."""
        fields = encode(status)
        # A merge patch keeps the fields that it does not name, so what is removed must be null.
        fields.setdefault("compatibility", None)
        fields["traffic"] = fields.get("traffic") or None
        if not with_traffic:
            del fields["traffic"]
        await self._merge(MODEL_VERSION, meta, fields)

    async def write_policy_seen(self, meta: Meta, generation: int, conditions: tuple[Condition, ...] = ()) -> None:
        """Write the generation of a Model's policy that was recorded last, and its conditions. Errors as below."""
        status: dict[str, object] = {"observedGeneration": generation}
        if conditions:
            status["conditions"] = [encode(one) for one in conditions]
        await self._merge(MODEL, meta, status)

    async def _merge(self, kind: Kind, meta: Meta, fields: Mapping[str, object]) -> None:
        """Write these fields of the status of the very object that was seen; whatever else of it has changed since.

        The API server compares no uid in a write to the status of a custom resource, only the resourceVersion.

        Raises:
            NotFoundError: it is gone; another one may have its name.
            ConflictError: it changes all the time.
            AmbiguousError, RefusedError, TransientError: see serinus.errors.
        """
        # 0: a backup was restored, so the version that is known says nothing.
        version = meta.version
        for tried in range(1, _TRIES + 1):
            version = version or await self._version_of(kind, meta)
            try:
                await self._client.request(
                    "PATCH",
                    f"{object_path(kind, meta.key)}/status",
                    body={"metadata": {"resourceVersion": str(version)}, "status": fields},
                    content_type=MERGE_PATCH,
                    query={"fieldManager": FIELD_MANAGER},
                )
            except ConflictError:
                if tried == _TRIES:
                    raise
                version = 0
            else:
                return

    async def _version_of(self, kind: Kind, meta: Meta) -> int:
        """Return the resourceVersion of this very object now. Errors as above."""
        current = metadata_of(await self._client.request("GET", object_path(kind, meta.key))).meta
        if current.uid != meta.uid:
            raise NotFoundError(f"{kind.kind} {meta.key} is gone: another one has its name")
        return current.version
