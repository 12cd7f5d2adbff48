"""The heads in the statuses of Models, which follow the chains: each is the fold of its records."""

from typing import Final

from serinus.api.model import Head
from serinus.api.names import FIELD_MANAGER, MODEL, ObjectKey
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, TransientError
from serinus.kube.client import JSON_PATCH, Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.ports.registry_store import Commit
from serinus.registry.kubernetes.objects import (
    ModelSnapshot,
    Patch,
    model_manifest,
    model_snapshot,
    status_patch,
    step_patch,
)
from serinus.registry.kubernetes.reads import RegistryObjects

_WRITER: Final = {"fieldManager": FIELD_MANAGER}
_TRIES: Final = 10


class StoredHeads:
    """Writes the statuses of Models."""

    def __init__(self, client: Requests, objects: RegistryObjects) -> None:
        """Write through this client what these reads say."""
        self._client, self._objects = client, objects

    async def advance(self, step: Commit) -> None:
        """Update the head to the step's record: one PATCH if it is still the head that the step is based on."""
        stored = step.stored or step.before
        try:
            if stored.audit.sequence:
                await self.patch(step.model, step_patch(stored, step.after))
                return
        except (ConflictError, NotFoundError):
            pass  # the head has changed or was deleted
        except TransientError as problem:
            raise AmbiguousError(f"{problem}; record {step.record.sequence} of {step.model} is stored") from problem
        head = await self.catch_up(step.model, step.record.sequence)
        if head.audit.pruned_through >= step.record.sequence:
            raise ConflictError(f"{step.model}: record {step.record.sequence} was pruned long ago: read the head again")

    async def catch_up(self, model: ObjectKey, least: int) -> Head:
        """Update the stored head to the end of the chain, unless it is at record ``least`` already, and return it.

        Raises:
            AmbiguousError: it could not be updated; the chain itself is complete.
        """
        for _ in range(_TRIES):
            try:
                snapshot = await self._objects.model(model) or await self.create(model)
                if snapshot.head.audit.sequence >= least:
                    return snapshot.head
                head = await self._objects.caught_up(model, snapshot.head)
                await self.patch(model, status_patch(snapshot, head))
            except (ConflictError, NotFoundError):
                continue
            except TransientError as problem:
                raise AmbiguousError(f"{problem}; the head of {model} may be behind its chain") from problem
            return head
        raise AmbiguousError(f"the status of Model {model} changed {_TRIES} times while it was written: try again")

    async def create(self, model: ObjectKey) -> ModelSnapshot:
        """Create the Model without a policy; ConflictError where somebody has just created it."""
        path, body = collection_path(MODEL, model.namespace), model_manifest(model)
        return model_snapshot(model, await self._client.request("POST", path, body=body, query=_WRITER))

    async def patch(self, model: ObjectKey, patch: Patch) -> None:
        """Change the status; ConflictError where the patch's tests fail."""
        path = f"{object_path(MODEL, model)}/status"
        await self._client.request("PATCH", path, body=patch, content_type=JSON_PATCH, query=_WRITER)
