"""Writes the status subresource: guarded by what was seen, nothing else of the object touched."""

from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import FIELD_MANAGER, MODEL, MODEL_VERSION, ROLLOUT, ObjectKey
from serinus.api.parsing import encode
from serinus.api.rollout_status import RolloutStatus
from serinus.kube.client import JSON_PATCH, MERGE_PATCH, Requests
from serinus.kube.kinds import object_path
from serinus.kube.records import rollout_record
from serinus.ports.cluster_state import Meta, RolloutRecord


class ApiStatusWriter:
    """The port ``StatusWriter`` over the Kubernetes API."""

    def __init__(self, client: Requests) -> None:
        """Write through this client."""
        self._client = client

    async def write_rollout(self, meta: Meta, status: RolloutStatus) -> RolloutRecord:
        """Replace the status if the Rollout is still the one seen, and return it as it is now.

        Raises:
            ConflictError: it has changed since, or was made anew under its name.
            RefusedError: the API server refuses it, such as a status of a leader that has been deposed.
            AmbiguousError, NotFoundError, TransientError: as they say.
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
        )
        return rollout_record(raw)

    async def write_model_version(self, key: ObjectKey, *, stage: str, traffic: str) -> None:
        """Say where a ModelVersion stands; the last writer wins, for both fields are derived. Errors as above."""
        await self._client.request(
            "PATCH",
            f"{object_path(MODEL_VERSION, key)}/status",
            body={"status": {"stage": stage, "traffic": traffic}},
            content_type=MERGE_PATCH,
            query={"fieldManager": FIELD_MANAGER},
        )

    async def write_review(self, key: ObjectKey, status: ModelVersionStatus) -> None:
        """Say what is known of a ModelVersion beside its traffic; lists are replaced whole. Errors as above."""
        said = encode(status)
        said.pop("traffic", None)
        # A merge patch leaves out what it does not name, so a compatibility that is gone must be named.
        said.setdefault("compatibility", None)
        await self._client.request(
            "PATCH",
            f"{object_path(MODEL_VERSION, key)}/status",
            body={"status": said},
            content_type=MERGE_PATCH,
            query={"fieldManager": FIELD_MANAGER},
        )

    async def write_policy_seen(self, key: ObjectKey, generation: int) -> None:
        """Say which generation of a Model's policy was recorded last. Errors as above."""
        await self._client.request(
            "PATCH",
            f"{object_path(MODEL, key)}/status",
            body={"status": {"observedGeneration": generation}},
            content_type=MERGE_PATCH,
            query={"fieldManager": FIELD_MANAGER},
        )
