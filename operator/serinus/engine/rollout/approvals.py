"""Approvals: for exactly what one is given, who may give it, and when it has lapsed.

That a person may approve at all is RBAC's word, kept by the API server (the verb ``approve`` on rollouts). Here is what
only the operator can know: who asked for the version, and whether what was approved is still what would serve.
"""

from dataclasses import dataclass

from serinus.api.names import BEHALF_ANNOTATIONS, UNVERIFIED
from serinus.api.rollout import Approval
from serinus.api.rollout_status import RolloutStatus, StageApproval, VersionRequest
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.observation import Actors
from serinus.engine.rollout.outbox import plan_hash
from serinus.engine.rollout.people import belongs_to_namespace, is_same_person, is_service_account


@dataclass(frozen=True, slots=True)
class Subject:
    """What an approval is given for: these bytes, by this plan, of a version that says this."""

    digest: str
    spec_hash: str


def subject_of(status: RolloutStatus, situation: Situation) -> Subject:
    """Return what an approval of the run would be given for now."""
    candidate = status.candidate
    facts = situation.observed.versions.get(candidate.version) if candidate is not None else None
    digest = facts.digest or facts.spec_hash if facts is not None else ""
    return Subject(digest=digest, spec_hash=plan_hash(situation.spec) if situation.spec is not None else "")


def is_required(status: RolloutStatus, situation: Situation) -> bool:
    """Say whether the run needs an approval before it can get to its end."""
    if situation.spec is None or status.stage is None:
        return False
    return any(stage.approval is Approval.REQUIRED for stage in situation.spec.stages[status.stage.index + 1 :])


def refusal(status: RolloutStatus, situation: Situation) -> str:
    """Return why this person's approval does not count; empty where it does."""
    actors, policy = situation.observed.actors, situation.observed.policy
    if not policy.approvals.four_eyes or not is_required(status, situation):
        return ""
    approver, asked = actors.approved_by, _requested(status, actors)
    if UNVERIFIED in {approver, asked.by}:
        return "four eyes are asked for, and nobody vouches for who asked or who approves: install the chart's policies"
    if is_service_account(asked.by) and not asked.author.strip():
        author = BEHALF_ANNOTATIONS["name"]
        remedy = f"let the pipeline write {author} in the change that sets spec.version, then set it anew"
        return f"four eyes are asked for, and {asked.by} set spec.version without saying for whom: {remedy}"
    if belongs_to_namespace(asked.by, situation.observed.namespace):
        remedy = "let a person set it, or an account of another namespace"
        problem = f"{asked.by} set spec.version, and every editor of the namespace may act as that account"
        return f"four eyes are asked for, and {problem}: {remedy}"
    if is_service_account(approver):
        return f"four eyes are asked for, and {approver} is a service account: a person must approve"
    if is_same_person(approver, asked.by) or is_same_person(approver, asked.author):
        return f"{approver} asked for the version, so somebody else must approve it"
    return ""


def _requested(status: RolloutStatus, actors: Actors) -> VersionRequest:
    """Return who asked for the version; of a run that an older release started, as far as it is known now."""
    return status.requested or VersionRequest(by=actors.version_by, author=actors.version_author)


def given(status: RolloutStatus, situation: Situation) -> bool:
    """Say whether a person let the run go on in its present state, and what was approved is still what would serve."""
    found = _since_state_began(status)
    if not found:
        return False
    subject = subject_of(status, situation)
    return any(_holds(approval, subject) for approval in found)


def still_holds(status: RolloutStatus, situation: Situation) -> bool:
    """Say whether an approval of the present stage is for what would serve now, whenever in the stage it was given."""
    subject = subject_of(status, situation)
    return any(_holds(approval, subject) for approval in _of_stage(status))


def expire(draft: Draft, situation: Situation) -> Draft:
    """Take away the approvals of the present state that were given for something else than what would serve now."""
    return _without_lapsed(draft, _since_state_began(draft.status), situation)


def expire_all(draft: Draft, situation: Situation) -> Draft:
    """Do the same with every approval of the present stage."""
    return _without_lapsed(draft, _of_stage(draft.status), situation)


def _without_lapsed(draft: Draft, found: list[StageApproval], situation: Situation) -> Draft:
    if not found:
        return draft
    subject = subject_of(draft.status, situation)
    lapsed = [approval for approval in found if not _holds(approval, subject)]
    if not lapsed:
        return draft
    left = tuple(approval for approval in draft.status.approvals if approval not in lapsed)
    names = ", ".join(approval.requested_by for approval in lapsed)
    message = f"The approval of {names} has lapsed: the artifact or the plan has changed since. Approve it anew."
    return draft.with_status(approvals=left).with_event(EventReason.APPROVAL_EXPIRED, message, warning=True)


def _holds(approval: StageApproval, subject: Subject) -> bool:
    return (approval.digest, approval.spec_hash) == (subject.digest, subject.spec_hash)


def _since_state_began(status: RolloutStatus) -> list[StageApproval]:
    stage = status.stage
    return [one for one in _of_stage(status) if stage is not None and one.at >= stage.state_since]


def _of_stage(status: RolloutStatus) -> list[StageApproval]:
    stage = status.stage
    return [one for one in status.approvals if stage is not None and one.stage == stage.name]
