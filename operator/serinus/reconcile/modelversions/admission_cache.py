"""What is found of each version of a model: computed once, kept until something that it rests on changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.model import ModelSpec, Verification
from serinus.api.modelversion import Compatibility
from serinus.api.names import ObjectKey
from serinus.engine.semver import parse_version
from serinus.engine.versions.admission import Review, VersionUnderReview, known_version, review, unsafe_rollback
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.reconcile.cache import ClusterCache

_DEFAULT: Final = ModelSpec()


@dataclass(frozen=True, slots=True)
class _Kept:
    """A model's reviews and what they rest on."""

    rests_on: tuple[object, ...]
    reviews: Mapping[str, Review]


class AdmissionCache:
    """Pure verdicts by model, and the findings of artifacts that they rest on."""

    def __init__(self, store: ClusterCache, verification: Verification = Verification.OFF) -> None:
        """Judge what this store knows; ``verification`` holds for Models that do not say."""
        self._store = store
        self.verification = verification
        self._kept: dict[ObjectKey, _Kept] = {}
        self._artifacts: dict[str, ArtifactFinding] = {}
        self._unsafe: dict[tuple[str, str], str] = {}

    def policy(self, model: ObjectKey) -> ModelSpec:
        """Return the model's policy; the default one where it has none."""
        found = self._store.model(model.namespace, model.name)
        return found.policy if found is not None else _DEFAULT

    def reviews(self, model: ObjectKey) -> Mapping[str, Review]:
        """Return what is found of each version, by version."""
        versions = [one for one in self._store.versions(model.namespace, model.name) if one.spec is not None]
        policy, production = self.policy(model), self._production(model)
        rests_on = (policy, production, tuple(sorted(self._basis(one) for one in versions)))
        kept = self._kept.get(model)
        if kept is None or kept.rests_on != rests_on:
            kept = _Kept(rests_on, self._review_all(versions, policy, production))
            self._kept[model] = kept
        return kept.reviews

    def note_artifact(self, uid: str, found: ArtifactFinding) -> None:
        """Take in what came of looking at a version's bytes."""
        self._artifacts[uid] = found

    def artifact_of(self, version: ModelVersionRecord) -> ArtifactFinding | None:
        """Return what is known of a version's bytes; what was verified before a restart stays so."""
        held = self._artifacts.get(version.meta.uid)
        if held is not None:
            return held
        said = find_condition(version.status.conditions, ConditionType.ARTIFACT_VERIFIED)
        if said is None or said.status is not ConditionStatus.TRUE or version.status.spec_hash != version.spec_hash:
            return None
        return ArtifactFinding(ArtifactResult.VERIFIED, said.message)

    def unsafe_rollback(self, namespace: str, model: str, new: str, old: str) -> str:
        """Return why clients of ``new`` could not go back to ``old``, unless a person has accepted that."""
        found = {one.version: one for one in self._store.versions(namespace, model)}
        one, other = found.get(new), found.get(old)
        if one is None or other is None or one.spec is None or other.spec is None or one.unsafe_rollback:
            return ""
        pair = (one.spec_hash, other.spec_hash)
        if pair not in self._unsafe:
            if len(self._unsafe) > _MOST_PAIRS:
                self._unsafe.clear()
            self._unsafe[pair] = unsafe_rollback(one.spec, other.spec)
        return self._unsafe[pair]

    def _production(self, model: ObjectKey) -> str | None:
        serving = (record.status.stable for record in self._store.rollouts_of(model.namespace, model.name))
        return next((stable.version for stable in serving if stable is not None), None)

    def _basis(self, version: ModelVersionRecord) -> tuple[str, ...]:
        artifact, settled = self.artifact_of(version), _settled(version)
        said = f"{artifact.result.value} {artifact.message}" if artifact is not None else ""
        return (version.version, version.spec_hash, version.waiver, version.yanked, said, str(settled is not None))

    def _review_all(
        self, versions: Iterable[ModelVersionRecord], policy: ModelSpec, production: str | None
    ) -> Mapping[str, Review]:
        applicants = [self._applicant(version) for version in versions]
        known = [known_version(one) for one in applicants]
        return {
            one.spec.version: review(
                one,
                [other for other in known if other.version != one.spec.version],
                policy,
                production=production,
                verification=self.verification,
            )
            for one in sorted(applicants, key=lambda one: parse_version(one.spec.version))
        }

    def _applicant(self, version: ModelVersionRecord) -> VersionUnderReview:
        assert version.spec is not None  # noqa: S101 - the caller has left out those that cannot be read
        return VersionUnderReview(
            spec=version.spec,
            spec_hash=version.spec_hash,
            waiver=version.waiver,
            yanked=version.yanked,
            settled=_settled(version),
            artifact=self.artifact_of(version),
        )


_MOST_PAIRS: Final = 10_000


def _settled(version: ModelVersionRecord) -> Compatibility | None:
    """Return the verdict that has accepted the schema; one by waiver or by a lax policy is asked anew."""
    said = find_condition(version.status.conditions, ConditionType.SCHEMA_ACCEPTED)
    if said is None or said.status is not ConditionStatus.TRUE or said.reason == "Waived":
        return None
    return version.status.compatibility if version.status.spec_hash == version.spec_hash else None
