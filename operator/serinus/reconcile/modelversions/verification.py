"""Verifies the artifacts of ModelVersions in the background, again and again where the result can still change."""

import asyncio
from collections.abc import Callable
from typing import Final

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.versions.admission import verification_of
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.ports import Ports

VERIFY_AGAIN: Final = 600.0
"""Seconds until an artifact that differs from the spec is verified again: somebody may have replaced it."""

BACKOFF: Final = Backoff(first=1.0, longest=VERIFY_AGAIN)


class ArtifactVerification:
    """The verifications that are under way, one for each ModelVersion that needs one."""

    def __init__(self, ports: Ports, admission: AdmissionCache, found: Callable[[ObjectKey], None]) -> None:
        """Store results in this cache; ``found`` has everything reconciled that depends on those of a model."""
        self._ports = ports
        self._admission = admission
        self._found = found
        self._background = BackgroundTasks()
        self._under_way: set[str] = set()

    def cancel(self) -> None:
        """End all of them."""
        self._background.cancel()

    def start(self, model: ObjectKey, version: ModelVersionRecord) -> None:
        """Verify the artifact in the background, where the policy asks for it and no result is known."""
        spec, uid = version.spec, version.meta.uid
        if spec is None or uid in self._under_way or self._admission.artifact_of(version) is not None:
            return
        mode = verification_of(spec, self._admission.policy(model), self._admission.verification)
        if mode is Verification.OFF:
            return
        self._under_way.add(uid)
        self._background.start(self._verify(model, uid, spec.artifact, mode))

    async def _verify(self, model: ObjectKey, uid: str, artifact: Artifact | None, mode: Verification) -> None:
        """Verify until the result can only change with the spec, or another process handles the model."""
        try:
            for pause in BACKOFF:
                if not self._ports.leadership.handles(model):
                    return
                finding = await self._verify_once(model.namespace, artifact, mode)
                self._admission.set_artifact(uid, finding)
                self._found(model)
                if finding.result in {ArtifactResult.VERIFIED, ArtifactResult.NO_DIGEST, ArtifactResult.UNSUPPORTED}:
                    return
                await asyncio.sleep(VERIFY_AGAIN if finding.final else pause)
        finally:
            self._under_way.discard(uid)

    async def _verify_once(self, namespace: str, artifact: Artifact | None, mode: Verification) -> ArtifactFinding:
        if artifact is None:
            return ArtifactFinding(ArtifactResult.MISSING, "spec.artifact is not given, and the Model asks for it.")
        return await self._ports.verifier.verify(namespace, artifact, mode)
