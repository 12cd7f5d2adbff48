"""The reviews of a model's versions: computed once, kept until their inputs change.

Hundreds of new schemas take many seconds to compare, and whoever writes ModelVersions chooses how many. What takes
longer than a moment is left to the caller as Comparisons, for another thread; until then no run of such a version may
start, and nothing else waits.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from serinus.api.audit_record import AuditEvent
from serinus.api.conditions import Condition, ConditionStatus, ConditionType, find_condition
from serinus.api.model import ModelSpec, Verification
from serinus.api.modelversion import Compatibility, VersionStage
from serinus.api.names import ObjectKey
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.schema.baselines import find_version
from serinus.engine.semver import place_of
from serinus.engine.versions.admission import (
    PENDING,
    REGISTERED,
    RegistrationState,
    Review,
    VersionUnderReview,
    review_with,
)
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.engine.versions.schema_changes import unsafe_rollback
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.comparisons import Answer, Comparison, Comparisons, KnownVersions, Verdicts

_DEFAULT: Final = ModelSpec()
_INHERITED: Final = "the audit trail has its yank"
_MAX_PAIRS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What the reviews of a model's versions are computed from; of each version, what concerns itself."""

    policy: ModelSpec
    production: str | None
    own: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What concerns one version itself, and the objects that it was made of.

    Attributes:
        record: the ModelVersion.
        registration: what the registry has answered; None where its status has to say it.
        finding: the result of the artifact's verification; None where its status has to say it.
        inputs: what its review is computed from, for comparison with what it was.
        candidate: the same for the review.
    """

    record: ModelVersionRecord
    registration: RegistrationState | None
    finding: ArtifactFinding | None
    inputs: tuple[str, ...]
    candidate: VersionUnderReview


@dataclass(frozen=True, slots=True)
class _Entry:
    """The review of one version and what it was computed from.

    Attributes:
        inputs: those of the version itself.
        others: those of the versions that it was compared with, and of the policy.
    """

    inputs: tuple[str, ...]
    others: tuple[object, ...]
    review: Review


@dataclass(frozen=True, slots=True)
class _Reviewed:
    """The reviews of a model's versions, the inputs that they were computed from, and what is still to be compared.

    Attributes:
        known: the versions as others are compared with them.
        everything: what a comparison depends on beside the version itself.
    """

    inputs: _Inputs | None
    entries: Mapping[str, _Entry]
    reviews: Mapping[str, Review]
    due: tuple[Comparison, ...]
    known: KnownVersions
    everything: tuple[object, ...]


_NOTHING_YET: Final = _Reviewed(None, {}, {}, (), KnownVersions(()), ())


class AdmissionCache:
    """Reviews by model, and the results of artifact verifications that they depend on."""

    def __init__(self, cache: ClusterCache, verification: Verification = Verification.OFF) -> None:
        """Review the versions in this cache; ``verification`` applies to Models that do not set one."""
        self._cache = cache
        self.verification = verification
        self._reviewed: dict[ObjectKey, _Reviewed] = {}
        self._answers: dict[ObjectKey, Mapping[str, Answer]] = {}
        self._artifacts: dict[str, ArtifactFinding] = {}
        self._registrations: dict[str, RegistrationState] = {}
        self._unsafe: dict[tuple[str, str], str] = {}
        self._facts: dict[str, _Facts] = {}

    def policy(self, model: ObjectKey) -> ModelSpec:
        """Return the model's policy; the default one where it has none."""
        record = self._cache.model(model.namespace, model.name)
        return record.policy if record is not None else _DEFAULT

    def reviews(self, model: ObjectKey) -> Mapping[str, Review]:
        """Return the review of each version, by version; versions that cannot be read have none."""
        return self._current(model).reviews

    def due(self, model: ObjectKey) -> Comparisons | None:
        """Return schemas that are still to be compared, as many as take about a second; None where all are."""
        due = self._current(model).due
        return Comparisons.first_of(due) if due else None

    def set_answers(self, model: ObjectKey, answers: Iterable[Answer]) -> None:
        """Store what came of comparisons; one whose versions have changed since is not used."""
        self._answers[model] = {**self._answers.get(model, {}), **{one.version: one for one in answers}}
        reviewed = self._reviewed.get(model)
        if reviewed is not None:
            self._reviewed[model] = replace(reviewed, inputs=None)

    def _current(self, model: ObjectKey) -> _Reviewed:
        records = self._cache.versions(model.namespace, model.name)
        versions = [record for record in records if record.spec is not None]
        facts = {version.version: self._facts_of(version) for version in versions}
        own = {number: one.inputs for number, one in facts.items()}
        inputs = _Inputs(self.policy(model), self._production(model), own)
        known = self._reviewed.get(model, _NOTHING_YET)
        if known.inputs != inputs:
            candidates = {number: one.candidate for number, one in facts.items()}
            known = self._reviewed[model] = self._review_all(model, candidates, inputs, known)
        return known

    def set_registration(self, uid: str, state: RegistrationState) -> None:
        """Store what the registry has answered to the registration of a version."""
        self._registrations[uid] = state

    def registration_of(self, version: ModelVersionRecord) -> RegistrationState:
        """Return what the registry has answered; after a restart, what the status says of the same spec."""
        state = self._registrations.get(version.meta.uid)
        if state is not None:
            return state
        status = version.status
        if status.spec_hash != version.spec_hash:
            return PENDING
        accepted = find_condition(status.conditions, ConditionType.ACCEPTED)
        if accepted is not None and accepted.reason == WaitReason.VERSION_TAKEN.value:
            registered = find_condition(status.conditions, ConditionType.RECORDED)
            return RegistrationState(taken=(registered or accepted).message)
        if AuditEvent.VERSION_REGISTERED.value not in status.recorded:
            return PENDING
        # Of a yank by annotation the status keeps the reason as well; without the annotation it is taken back.
        barred = accepted is not None and accepted.reason == WaitReason.VERSION_YANKED.value
        return (
            RegistrationState(yanked=_INHERITED) if barred and not status.yanked and not version.yanked else REGISTERED
        )

    def forget(self, uid: str) -> None:
        """Forget what the registry and the verification have answered about a version: its status says it."""
        for part in (self._registrations, self._artifacts, self._facts):
            part.pop(uid, None)

    def set_artifact(self, uid: str, finding: ArtifactFinding) -> None:
        """Store the result of verifying a version's artifact."""
        self._artifacts[uid] = finding

    def artifact_of(self, version: ModelVersionRecord) -> ArtifactFinding | None:
        """Return the result of verifying a version's artifact; one verified before a restart stays verified."""
        finding = self._artifacts.get(version.meta.uid)
        if finding is not None:
            return finding
        stored = find_condition(version.status.conditions, ConditionType.ARTIFACT_VERIFIED)
        if stored is None or stored.status is not ConditionStatus.TRUE or version.status.spec_hash != version.spec_hash:
            return None
        return ArtifactFinding(ArtifactResult.VERIFIED, stored.message)

    def unsafe_rollback(self, namespace: str, model: str, new: str, old: str) -> str:
        """Return why clients of ``new`` could not go back to ``old``, unless a person has accepted that."""
        versions = {version.version: version for version in self._cache.versions(namespace, model)}
        newer, older = versions.get(new), versions.get(old)
        if newer is None or older is None or newer.spec is None or older.spec is None or newer.unsafe_rollback:
            return ""
        pair = (newer.spec_hash, older.spec_hash)
        if pair not in self._unsafe:
            if len(self._unsafe) > _MAX_PAIRS:
                self._unsafe.clear()
            self._unsafe[pair] = unsafe_rollback(newer.spec, older.spec)
        return self._unsafe[pair]

    def _production(self, model: ObjectKey) -> str | None:
        serving = (record.status.stable for record in self._cache.rollouts_of(model.namespace, model.name))
        return next((stable.version for stable in serving if stable is not None), None)

    def _facts_of(self, version: ModelVersionRecord) -> _Facts:
        """Return a version's own facts: of a thousand versions one changes at a time, and every decision asks."""
        uid = version.meta.uid
        registration, finding = self._registrations.get(uid), self._artifacts.get(uid)
        known = self._facts.get(uid)
        if (
            known is None
            or known.record is not version
            or known.registration is not registration
            or known.finding is not finding
        ):
            known = _Facts(version, registration, finding, self._inputs(version), self._under_review(version))
            self._facts[uid] = known
        return known

    def _inputs(self, version: ModelVersionRecord) -> tuple[str, ...]:
        finding, settled = self.artifact_of(version), _settled(version)
        artifact = f"{finding.result.value} {finding.message}" if finding is not None else ""
        registration = self.registration_of(version)
        return (
            version.version,
            version.spec_hash,
            version.waiver,
            version.worse_metrics,
            str(_has_served(version)),
            _yank_in_force(version),
            artifact,
            str(settled is not None),
            str(registration.pending),
            registration.taken,
            registration.yanked,
        )

    def _review_all(
        self, model: ObjectKey, candidates: Mapping[str, VersionUnderReview], inputs: _Inputs, before: _Reviewed
    ) -> _Reviewed:
        """Review each version anew of which something has changed that its review depends on.

        A verdict on the schema is final, so of the others only the one in production counts where there is one.
        """
        known = before.known.with_versions(one for one in candidates.values() if not one.registration.taken)
        serving = find_version(known.by_number.values(), inputs.production)
        beside = (inputs.policy, inputs.production, serving.spec_hash if serving is not None else "")
        everything = (*beside, known.identity)
        # The same object as before is found to be equal at once, for each of a thousand versions.
        everything = before.everything if before.everything == everything else everything
        verdicts = Verdicts(self._answers.get(model, {}))
        found: dict[str, _Entry] = {}
        for number, candidate in candidates.items():
            others: tuple[object, ...] = everything if candidate.settled is None else beside
            entry = before.entries.get(number)
            if entry is None or (entry.inputs, entry.others) != (inputs.own[number], others):
                verdict = None
                if candidate.settled is None:
                    verdict = verdicts.of(Comparison(candidate, known, inputs.policy, inputs.production, everything))
                    # Reviewed again as soon as there is a verdict.
                    others = others if verdict is not None else ()
                before_it = serving if serving is not None and serving.version != number else None
                reviewed = review_with(candidate, verdict, before_it, inputs.policy, verification=self.verification)
                entry = _Entry(inputs.own[number], others, reviewed)
            found[number] = entry
        self._answers[model] = {number: one for number, one in verdicts.answers.items() if number in candidates}
        order = before.reviews if before.reviews.keys() == found.keys() else sorted(found, key=place_of)
        reviews = {number: found[number].review for number in order}
        return _Reviewed(inputs, found, reviews, tuple(verdicts.due), known, everything)

    def _under_review(self, version: ModelVersionRecord) -> VersionUnderReview:
        assert version.spec is not None  # noqa: S101 - the caller leaves out versions that cannot be read
        return VersionUnderReview(
            spec=version.spec,
            spec_hash=version.spec_hash,
            waiver=version.waiver,
            yanked=_yank_in_force(version),
            settled=_settled(version),
            settled_as=_accepted_schema(version),
            worse_metrics=version.worse_metrics,
            metrics_compared=find_condition(version.status.conditions, ConditionType.METRICS_ACCEPTED) is not None,
            has_served=_has_served(version),
            artifact=self.artifact_of(version),
            registration=self.registration_of(version),
        )


def _yank_in_force(version: ModelVersionRecord) -> str:
    """Return why the version is yanked: also after the annotation was removed, until that is recorded."""
    same = version.status.spec_hash == version.spec_hash
    return version.yanked or (version.status.yanked if same else "")


def _settled(version: ModelVersionRecord) -> Compatibility | None:
    """Return the verdict that has accepted the schema; None for one by waiver, which is judged again."""
    if _accepted_schema(version) is None:
        return None
    return version.status.compatibility if version.status.spec_hash == version.spec_hash else None


def _accepted_schema(version: ModelVersionRecord) -> Condition | None:
    stored = find_condition(version.status.conditions, ConditionType.SCHEMA_ACCEPTED)
    accepted = stored is not None and stored.status is ConditionStatus.TRUE and stored.reason != "Waived"
    return stored if accepted else None


def _has_served(version: ModelVersionRecord) -> bool:
    return version.stage in {VersionStage.PRODUCTION.value, VersionStage.SUPERSEDED.value}
