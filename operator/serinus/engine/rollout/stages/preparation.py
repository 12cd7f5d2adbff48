"""What a stage needs before its weight is written: a ready candidate, and a version that can take the traffic back."""

from msgspec import structs

from serinus.api.quantities import NONE_OF_IT
from serinus.api.rollout import Stage
from serinus.api.rollout_status import StageState
from serinus.engine.rollout import job_tests
from serinus.engine.rollout.draft import Draft, PlannedSituation
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.traffic.confirmation import planned
from serinus.engine.rollout.traffic.facts import RouteFacts
from serinus.engine.rollout.traffic.mirrors import mirror_in
from serinus.engine.rollout.traffic.route_plan import Unplannable
from serinus.engine.rollout.traffic.targets import choose_target, is_ready, unfit, usable
from serinus.engine.rollout.waiting import Waiting, WaitReason


def prepare(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    """Give the stage its traffic once the candidate, and the version that would take it back, are ready."""
    candidate = run.candidate
    lacking = (
        job_tests.disabled((stage,), situation.observed)
        or unready_candidate(candidate.version, situation)
        or unchecked_candidate(candidate.version, situation)
    )
    if lacking is None and stage.traffic > NONE_OF_IT:
        lacking = no_rollback_target(draft, run, situation)
    moved = structs.replace(candidate, weight=stage.traffic.parts / 100, mirror=mirror_in(stage, draft.status))
    shifted = draft.with_status(candidate=moved).to_state(run.stage, StageState.SHIFTING, situation.now)
    lacking = lacking or _too_coarse(shifted, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    return shifted


def unready_candidate(version: str, situation: PlannedSituation) -> Waiting | None:
    """Return what keeps a version from taking traffic; None where it is ready."""
    facts = usable(situation.observed, version)
    if facts is None or facts.backend is None:
        return gone(version)
    if not is_ready(facts):
        message = f"Waiting for a ready endpoint of {facts.backend.name} ({version})."
        return Waiting(WaitReason.BACKEND_NOT_READY, message)
    return None


def unchecked_candidate(version: str, situation: PlannedSituation) -> Waiting | None:
    """Return that nobody knows yet whether a version may serve: its ModelVersion was replaced during the run."""
    facts = situation.observed.versions.get(version)
    if facts is None or facts.block is None or not facts.block.temporary:
        return None
    return Waiting(facts.block.reason, facts.block.message, temporary=True)


def gone(version: str) -> Waiting:
    """Return that the ModelVersion is awaited."""
    message = f"The ModelVersion of {version} is gone or unusable: apply it again."
    return Waiting(WaitReason.MODEL_VERSION_MISSING, message)


def no_rollback_target(draft: Draft, run: Running, situation: PlannedSituation) -> Waiting | None:
    """Return why no weight may rise: there is a version that serves well, and it could not take the traffic back.

    A stable version that is known to be bad holds nobody up: it serves only because nothing else could.
    """
    stable = draft.status.stable
    if stable is None:
        return None
    if situation.plan.rollback_to is None and unfit(stable.version, draft.status, situation.observed):
        return None
    wanted = situation.plan.rollback_to or stable.version
    choice = choose_target(situation.spec, draft.status, situation.observed, run.candidate.version)
    if choice.version == wanted and wanted in situation.observed.versions:
        return None
    why = dict(choice.passed_over).get(wanted) or "has no ModelVersion any more"
    message = f"Waiting for the rollback target {wanted}, which {why}. Nothing advances without it."
    return Waiting(WaitReason.ROLLBACK_TARGET_NOT_READY, message)


def _too_coarse(draft: Draft, situation: PlannedSituation) -> Waiting | None:
    route = situation.observed.route
    if not isinstance(route, RouteFacts):
        return Waiting(route.reason, route.message)
    entries = planned(situation.spec, draft.status, situation.observed, route)
    return Waiting(entries.reason, entries.message) if isinstance(entries, Unplannable) else None
