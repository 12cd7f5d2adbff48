"""Writes the status subresource, guarded by uid and resourceVersion where a lost update would matter."""

from serinus.api.conditions import Condition
from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import FIELD_MANAGER, MODEL, MODEL_VERSION, ROLLOUT, ObjectKey
from serinus.api.parsing import encode
from serinus.api.rollout_status import RolloutStatus
from serinus.kube.client import JSON_PATCH, MERGE_PATCH, Requests
from serinus.kube.kinds import object_path
from serinus.kube.records import rollout_record
from serinus.ports.cluster_state import Meta, RolloutRecord
from serinus.ports.services import Guard


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

    async def write_model_version(self, key: ObjectKey, *, stage: str, traffic: str) -> None:
        """Write a ModelVersion's stage and traffic; the last writer wins, as both are derived. Errors as above."""
        await self._client.request(
            "PATCH",
            f"{object_path(MODEL_VERSION, key)}/status",
            # Null removes a field: a version that was tried shows no more than one that never was.
            body={"status": {"stage": stage or None, "traffic": traffic or None}},
            content_type=MERGE_PATCH,
            query={"fieldManager": FIELD_MANAGER},
        )

    async def write_review(self, key: ObjectKey, status: ModelVersionStatus, *, with_traffic: bool) -> None:
        """Write a ModelVersion's status; lists are replaced as a whole. Errors as above."""
        fields = encode(status)
        # A merge patch keeps the fields that it does not name, so what is removed must be null.
        fields.setdefault("compatibility", None)
        fields["traffic"] = fields.get("traffic") or None
        if not with_traffic:
            del fields["traffic"]
        await self._client.request(
            "PATCH",
            f"{object_path(MODEL_VERSION, key)}/status",
            body={"status": fields},
            content_type=MERGE_PATCH,
            query={"fieldManager": FIELD_MANAGER},
        )

    async def write_policy_seen(self, key: ObjectKey, generation: int, conditions: tuple[Condition, ...] = ()) -> None:
        """Write the generation of a Model's policy that was recorded last, and its conditions. Errors as above."""
        status: dict[str, object] = {"observedGeneration": generation}
        if conditions:
            status["conditions"] = [encode(one) for one in conditions]
        await self._client.request(
            "PATCH",
            f"{object_path(MODEL, key)}/status",
            body={"status": status},
            content_type=MERGE_PATCH,
            query={"fieldManager": FIELD_MANAGER},
        )
