"""What people write beside a Rollout's commands reaches the decision, and what was said of it stays in the status."""

from dataclasses import replace

import pytest

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.model import ApprovalPolicy, ModelSpec, VersioningPolicy
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, VersionRequest
from serinus.engine.rollout.observation import Actors
from support.builders import CANARY, PRODUCTION, STAGING
from support.records import NAMESPACE, key, model_record
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

_FOUR_EYES = ModelSpec(versioning=VersioningPolicy(allow_major_in_place=True), approvals=ApprovalPolicy(four_eyes=True))


def _waiting(asked: Actors) -> Rig:
    """A model whose last stage needs approval; who asked for the version is stamped so."""
    rig = Rig()
    rig.cluster.put(model_record(policy=_FOUR_EYES))
    stored = rig.model("fraud", STAGING, CANARY, {**PRODUCTION, "approval": "Required"})
    rig.cluster.put(replace(stored, actors=asked, meta=replace(stored.meta, version=stored.meta.version + 1)))
    return rig


async def _records(rig: Rig, event: AuditEvent) -> list[AuditRecordSpec]:
    return [record async for record in rig.registry.history(key()) if record.event is event]


async def _promote(rig: Rig, approver: str, **fields: object) -> None:
    await until(lambda: rig.status().reason == "AwaitingApproval", why="the gate", within=7200)
    record = rig.cluster.rollout(key())
    actors = replace(record.actors, requested_by=approver, approved_by=approver, override_by=approver)
    rig.cluster.put(replace(record, commands={Command.PROMOTE.value: "CHG-1"}, actors=actors, **fields))  # type: ignore[arg-type]
    await until(lambda: rig.status().last_handled.get("promote") == "CHG-1", why="the answer")
    # What the registry has goes with the next write, such as that of the evidence once a minute.
    await until(lambda: not rig.status().records, why="the records to be delivered", within=120)


@pytest.mark.parametrize(
    "account", [f"system:serviceaccount:{NAMESPACE}:deployer", "system:serviceaccount:argocd:argo"]
)
@in_virtual_time
async def test_an_account_of_the_namespace_speaks_for_nobody(account: str) -> None:
    rig = _waiting(Actors(requested_by=account, spec_by=account, version_by=account, version_author="carol"))
    async with rig.running():
        await _promote(rig, "bob")
        assert rig.status().requested == VersionRequest(by=account, author="carol")
        refused = await _records(rig, AuditEvent.APPROVAL_REFUSED)
        assert len(refused) == (1 if NAMESPACE in account else 0)


@in_virtual_time
async def test_an_override_is_on_record_and_the_version_served() -> None:
    rig = _waiting(Actors(requested_by="ada", spec_by="ada", version_by="ada"))
    async with rig.running():
        await _promote(rig, "ada", override="payments are down")
        await rig.reaches(Phase.HEALTHY)
        (approved,) = await _records(rig, AuditEvent.APPROVED)
        assert (approved.actor.name, approved.reason) == ("ada", "payments are down")
        assert approved.details["override"] == "true"
