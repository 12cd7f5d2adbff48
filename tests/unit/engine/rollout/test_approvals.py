"""Approvals: for what they are given, by whom, and when they have lapsed; and reasons where a policy wants them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from serinus.api.audit_record import AuditEntry, AuditEvent, OnBehalfOf
from serinus.api.model import ApprovalPolicy, ModelSpec, RequiredFacts, VersioningPolicy
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, StageState
from serinus.engine.rollout.observation import Actors
from support.builders import CANARY, PRODUCTION, STAGING, a_route, a_spec, a_stage, a_version
from support.world import World

GATED = {**PRODUCTION, "approval": "Required"}
LAX = VersioningPolicy(allow_major_in_place=True)
FOUR_EYES = ModelSpec(versioning=LAX, approvals=ApprovalPolicy(four_eyes=True))
BOB_APPROVES = Actors(requested_by="bob", spec_by="ada", version_by="ada", approved_by="bob")
ALMOST = timedelta(minutes=9, seconds=45)
"""All of the canary's time but a tick."""
ARGO = "system:serviceaccount:argocd:argocd"


def waiting(by: str = "ada", author: str = "", **fields: object) -> World:
    """A run that waits for approval, of a version that ada asked for."""
    actors = Actors(requested_by=by, spec_by=by, version_by=by, version_author=author)
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, GATED), actors=actors, **fields)  # type: ignore[arg-type]
    for _ in range(200):
        world.settle()
        stage = world.status.stage
        if stage is not None and stage.state is StageState.AWAITING_APPROVAL:
            return world
        world.measure()
    raise AssertionError(world.status.summary)


def told(world: World, event: AuditEvent) -> list[AuditEntry]:
    """The records of a kind that the world's decisions have made."""
    made = {record.id: record for _, _, decision in world.decisions for record in decision.status.records}
    return [record for record in made.values() if record.event is event]


def test_an_approval_is_bound_to_the_artifact_and_the_plan_and_recorded_so() -> None:
    world = waiting(versions={"1.0.0": a_version("1.0.0"), "2.0.0": a_version("2.0.0", digest="sha256:aa")})
    world.actors = BOB_APPROVES

    world.command(Command.PROMOTE, "looks good").settle()

    (approved,) = told(world, AuditEvent.APPROVED)
    assert (approved.actor.name, approved.digest) == ("bob", "sha256:aa")
    assert [(one.by, one.digest, one.spec_hash[:7]) for one in approved.approvals] == [("bob", "sha256:aa", "sha256:")]
    assert world.weight("2.0.0") == 10_000


def test_who_asked_for_the_version_cannot_approve_it_where_four_eyes_are_asked_for() -> None:
    world = waiting(policy=FOUR_EYES)
    world.actors = Actors(requested_by="ada", spec_by="ada", approved_by="ada")

    world.command(Command.PROMOTE).settle()

    assert world.status.stage is not None
    assert world.status.stage.state is StageState.AWAITING_APPROVAL
    (refused,) = told(world, AuditEvent.APPROVAL_REFUSED)
    assert "somebody else must approve" in refused.message
    world.actors = BOB_APPROVES
    world.command(Command.PROMOTE, "second pair of eyes").settle()
    assert world.weight("2.0.0") == 10_000


def approve(world: World, approver: str, **others: object) -> list[str]:
    """Let this person approve, and return why it does not count."""
    actors = replace(world.actors, requested_by=approver, approved_by=approver, **others)  # type: ignore[arg-type]
    world.actors = actors
    world.command(Command.PROMOTE).settle()
    return [one.message for one in told(world, AuditEvent.APPROVAL_REFUSED)]


def test_four_eyes_compare_with_who_set_the_version_whoever_touched_the_spec_since() -> None:
    world = waiting(policy=FOUR_EYES)
    world.spec = a_spec("2.0.0", STAGING, CANARY, {**GATED, "bake": "1m"})
    # Whoever sets another version and this one again, while the run goes on, does not become the one who asked.
    (refused,) = approve(world, "ada", spec_by="bob", version_by="bob")
    assert "ada asked for the version" in refused
    assert world.status.requested is not None
    assert world.status.requested.by == "ada"
    assert approve(world, "bob") == [refused]
    assert world.weight("2.0.0") == 10_000


@pytest.mark.parametrize(
    ("author", "approver"),
    [
        ("bob", "bob"),
        ("Bob", "bob"),
        (" bob@corp.example ", "bob@corp.example"),
        ("Bob Jansen <Bob@Corp.example>", "bob@corp.example"),
        ("Bob Jansen <bob@corp.example>", "bob  jansen"),
        ('"Bob Jansen" <bob@corp.example>', "Bob Jansen"),
        ("mailto:bob@corp.example", "bob@corp.example"),
        ("Bob <mailto:bob@corp.example>", "BOB@CORP.EXAMPLE"),
    ],
)
def test_the_author_of_a_pipelines_change_is_the_same_person_in_every_spelling(author: str, approver: str) -> None:
    world = waiting(ARGO, author, policy=FOUR_EYES)
    # What is written beside the version later makes nobody another author.
    (refused,) = approve(world, approver, on_behalf_of=OnBehalfOf(name="carol"), version_author="carol")
    assert "asked for the version" in refused
    approve(world, "carol@corp.example")
    assert world.weight("2.0.0") == 10_000


def test_a_pipeline_that_names_nobody_is_no_first_pair_of_eyes() -> None:
    world = waiting(ARGO, " ", policy=FOUR_EYES)
    (refused,) = approve(world, "bob")
    assert "without saying for whom: let the pipeline write serinus.dev/author" in refused


def test_an_account_that_every_editor_may_act_as_is_no_first_pair_of_eyes_whomever_it_names() -> None:
    world = waiting("system:serviceaccount:payments:deployer", "carol", policy=FOUR_EYES)
    (refused,) = approve(world, "bob")
    assert "every editor of the namespace may act as that account" in refused


def test_a_service_account_is_no_second_pair_of_eyes() -> None:
    world = waiting(policy=FOUR_EYES)
    (refused,) = approve(world, ARGO)
    assert "is a service account: a person must approve" in refused


def test_a_gate_stays_closed_where_its_stage_is_passed_over() -> None:
    """Without a stable version a share between 0 % and 100 % has no meaning, and its stage is left out."""
    world = World(
        spec=a_spec("2.0.0", STAGING, {**CANARY, "approval": "Required"}, PRODUCTION),
        versions={"2.0.0": a_version("2.0.0")},
        route=a_route({}),
    )
    for _ in range(20):
        world.settle().measure()
    assert world.status.reason == "AwaitingApproval"
    assert (world.weight("2.0.0") or 0) == 0
    world.command(Command.PROMOTE).settle()
    assert world.weight("2.0.0") == 10_000


def test_four_eyes_without_anybody_who_vouches_for_names_approve_nothing() -> None:
    world = waiting(policy=FOUR_EYES)
    world.actors = Actors()

    world.command(Command.PROMOTE).settle()

    (refused,) = told(world, AuditEvent.APPROVAL_REFUSED)
    assert "nobody vouches" in refused.message
    assert (refused.actor.name, refused.actor.authentication.value) == ("unverified", "None")


def test_an_approval_lapses_when_the_plan_changes_before_it_is_used() -> None:
    world = waiting()
    world.actors = BOB_APPROVES
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)
    world.command(Command.PROMOTE).settle()
    assert world.status.reason == "RollbackTargetNotReady"

    world.spec = a_spec("2.0.0", STAGING, CANARY, {**GATED, "bake": "1m"})
    world.versions["1.0.0"] = a_version("1.0.0")
    world.settle()

    assert world.status.reason == "AwaitingApproval"
    (expired,) = told(world, AuditEvent.APPROVAL_EXPIRED)
    assert "bob" in expired.message
    world.command(Command.PROMOTE, "again").settle()
    assert world.weight("2.0.0") == 10_000


def done_and_unready(*stages: dict[str, object]) -> World:
    """A run that has passed its canary stage and waits in it for an endpoint of the candidate."""
    world = World(spec=a_spec("2.0.0", *stages), actors=BOB_APPROVES)
    for _ in range(200):
        stage = world.status.stage
        watched = stage is not None and stage.name == "canary" and stage.elapsed_in_state(world.now) >= ALMOST
        world.versions["2.0.0"] = a_version("2.0.0", ready=0 if watched else 1)
        world.settle()
        if world.status.stage is not None and world.status.stage.state is StageState.DONE:
            return world
        world.measure()
    raise AssertionError(world.status.summary)


def test_a_gate_that_the_plan_moves_before_a_run_that_is_done_with_its_stage_is_closed() -> None:
    world = done_and_unready(STAGING, CANARY, a_stage("half", "50%", duration="10m"), GATED)

    world.spec = a_spec("2.0.0", STAGING, CANARY, GATED)
    world.versions["2.0.0"] = a_version("2.0.0")
    world.settle()

    assert (world.status.reason, world.weight("2.0.0")) == ("AwaitingApproval", 500)
    assert not told(world, AuditEvent.APPROVAL_EXPIRED)
    world.command(Command.PROMOTE).settle()
    assert world.weight("2.0.0") == 10_000


def test_a_gate_that_is_put_before_a_stage_without_traffic_yet_is_closed() -> None:
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, PRODUCTION), actors=BOB_APPROVES, gateway_accepts=False)
    world.settle()
    world.gateway_accepts, world.versions["2.0.0"] = True, a_version("2.0.0", ready=0)
    world.settle()
    assert world.status.stage is not None
    assert (world.status.stage.name, world.status.stage.state) == ("canary", StageState.PREPARING)

    world.spec = a_spec("2.0.0", STAGING, {**CANARY, "approval": "Required"}, PRODUCTION)
    world.versions["2.0.0"] = a_version("2.0.0")
    world.run(Phase.PAUSED)

    assert (world.status.reason, world.weight("2.0.0")) == ("AwaitingApproval", 0)


@pytest.mark.parametrize(
    "stages", [(STAGING, CANARY, GATED), (STAGING, {**CANARY, "approval": "Required"}, PRODUCTION)]
)
def test_an_approval_lapses_when_the_plan_changes_while_the_version_has_no_endpoint(
    stages: tuple[dict[str, object], ...],
) -> None:
    world = World(spec=a_spec("2.0.0", *stages), actors=BOB_APPROVES)
    world.run(Phase.PAUSED)
    before = world.weight("2.0.0")
    world.versions["2.0.0"] = a_version("2.0.0", ready=0)
    world.command(Command.PROMOTE).settle()
    assert world.status.reason == "BackendNotReady"

    world.spec = a_spec(
        "2.0.0", *(one if one is STAGING else {**one, "abortOn": ["error_rate > 90%"]} for one in stages)
    )
    world.versions["2.0.0"] = a_version("2.0.0")
    world.settle()

    assert (world.status.reason, world.weight("2.0.0")) == ("AwaitingApproval", before)
    assert told(world, AuditEvent.APPROVAL_EXPIRED)
    world.command(Command.PROMOTE, "again").settle()
    assert (world.weight("2.0.0") or 0) > (before or 0)


def test_an_approval_lapses_when_the_artifact_changes_before_it_is_used() -> None:
    world = waiting(versions={"1.0.0": a_version("1.0.0", ready=1), "2.0.0": a_version("2.0.0", digest="sha256:aa")})
    world.actors = BOB_APPROVES
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)
    world.command(Command.PROMOTE).settle()

    world.versions |= {"1.0.0": a_version("1.0.0"), "2.0.0": a_version("2.0.0", digest="sha256:bb")}
    world.settle()

    assert world.status.reason == "AwaitingApproval"
    assert told(world, AuditEvent.APPROVAL_EXPIRED)


def test_a_policy_that_wants_reasons_takes_no_promotion_without_but_every_abort() -> None:
    world = waiting(policy=ModelSpec(versioning=LAX, require=RequiredFacts(reason=True)))
    world.command(Command.PROMOTE, "now").settle()
    (ignored,) = told(world, AuditEvent.COMMAND_IGNORED)
    assert "wants a reason" in ignored.message

    world.actors = replace(BOB_APPROVES, reason="the fraud team has looked at a week of shadow traffic")
    world.command(Command.PROMOTE, "now again").settle()
    (approved,) = told(world, AuditEvent.APPROVED)
    assert approved.reason == "the fraud team has looked at a week of shadow traffic"

    world.actors = BOB_APPROVES
    world.command(Command.ABORT).settle()
    assert world.status.phase is Phase.ROLLED_BACK


def test_a_rollback_goes_where_a_person_says_unless_that_was_rolled_back_itself() -> None:
    world = World(
        versions={version: a_version(version) for version in ("0.9.0", "1.0.0", "2.0.0")}, served=frozenset({"0.9.0"})
    )
    world.run(Phase.HEALTHY)

    world.rollback_to = "0.9.0"
    world.command(Command.ROLLBACK).settle()

    assert (world.status.phase, world.weight("0.9.0")) == (Phase.ROLLED_BACK, 10_000)
    safe = told(world, AuditEvent.ROLLED_BACK)
    assert [(one.version, one.to) for one in safe] == [("2.0.0", "0.9.0")]

    world.wish("1.0.0").run(Phase.HEALTHY)
    world.rollback_to = "2.0.0"
    world.command(Command.ROLLBACK).settle()
    assert (world.weight("1.0.0"), world.weight("2.0.0") or 0) == (10_000, 0)
    assert "2.0.0 cannot take the traffic: it was rolled back itself" in world.events[-1].message
