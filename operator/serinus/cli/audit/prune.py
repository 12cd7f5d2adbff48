"""``serinus audit prune``: lets go of records whose time is over, after they are kept elsewhere."""

import argparse
import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from serinus.api.model import ModelSpec
from serinus.api.names import MODEL, ObjectKey
from serinus.api.parsing import decode
from serinus.cli.actor import acting
from serinus.cli.audit.output import count, finding_lines
from serinus.cli.audit.verify import add_checkpoints, seen_by_checkpoints
from serinus.cli.manifests import read_manifests
from serinus.cli.output import echo
from serinus.cli.session import CliContext, add_registry, in_cluster, model_of, name_of, opened, this_process
from serinus.cli.times import moment, when
from serinus.errors import ConfigurationError, RefusedError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry

if TYPE_CHECKING:
    from serinus.audit.checkpoint_reader import Seen

OK, NOT_DONE = 0, 1
_MOST_SHOWN: Final = 20


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``prune``."""
    explanation = "archive and remove records that are older than the Model's retention"
    parser = verbs.add_parser("prune", help=explanation, description=explanation)
    parser.add_argument("model", metavar="MODEL", help="the model, as name or namespace/name")
    add_registry(parser)
    add_checkpoints(parser)
    parser.add_argument("--before", type=when, metavar="TIME", help="only records from before then, and too old")
    parser.add_argument("--archive", metavar="PLACE", help="a folder or s3://bucket/prefix; the last one by default")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="the Model's manifest, where there is no cluster")
    parser.add_argument("--reason", default="", help="why, for the audit trail; the retention by default")
    parser.add_argument(
        "--finish",
        action="store_true",
        help="only remove what was archived and told of: for a role that may do nothing else",
    )
    parser.add_argument("--yes", action="store_true", help="do it; without this it is only said what would be done")


def run(given: argparse.Namespace, outside: CliContext) -> int:
    """Do what was given, and return 0; 1 where the trail does not verify, or the removal is left to another role.

    Raises:
        SerinusError: it could not be done.
    """
    return asyncio.run(_prune(given, outside))


async def _prune(given: argparse.Namespace, outside: CliContext) -> int:
    if (given.checkpoints is None) != (not given.public_key):
        raise ConfigurationError("--checkpoints and --public-key go together: a checkpoint proves what its key signed")
    model, now = model_of(given), outside.clock.now()
    policy = None if given.finish else await _policy(given, outside, model)
    days = policy.retention_days if policy is not None else None
    if days is None and not given.finish:
        echo(f"{name_of(model)} has no spec.retentionDays: its records are kept for ever, nothing is pruned")
        return OK
    seen = await seen_by_checkpoints(given, model)
    async with opened(given, outside) as store:
        if not await _whole(Registry(store, outside.clock, this_process()), model, seen):
            return NOT_DONE
        if given.finish:
            return await _finish(given, store, model)
        too_old = now - timedelta(days=days or 0)
        before = min(too_old, moment(given.before, now)) if given.before is not None else too_old
        covered = max((one.sequence for one in seen.of(model)), default=0) if given.checkpoints else None
        return await _begin(given, outside, _Plan(store, model, before, covered, days or 0))


async def _whole(registry: Registry, model: ObjectKey, seen: "Seen") -> bool:
    """Say what is wrong with the trail, and whether it is whole: nothing of one that is not is removed."""
    from serinus.audit.verify import prove  # noqa: PLC0415 - loads what only this needs

    proof = await prove(registry, model, seen)
    found = (*seen.findings, *proof.findings)
    if found:
        echo(f"{name_of(model)} does not verify, so nothing is pruned:")
        for finding in found[:_MOST_SHOWN]:
            echo(finding_lines(finding))
    return not found


async def _finish(given: argparse.Namespace, store: RegistryStore, model: ObjectKey) -> int:
    """Remove what is told of as removed; say which role may, where this one may not."""
    from serinus.audit.retention import finish_removal  # noqa: PLC0415 - boto3's exceptions

    try:
        gone = await finish_removal(store, model)
    except RefusedError as problem:
        echo(f"{name_of(model)}: the records that were archived are still there: {problem}")
        echo(f"Go on as a role that may: serinus audit prune {name_of(model)} --finish --registry '{given.registry}'")
        return NOT_DONE
    echo(f"{name_of(model)}: removed {count(gone, 'archived record')}")
    return OK


async def _policy(given: argparse.Namespace, outside: CliContext, model: ObjectKey) -> ModelSpec | None:
    """Return what the model's team wants: of the cluster's Model, else of the manifest that is given."""
    if given.policy is None:
        return await outside.read_policy(model) if in_cluster(given) else None
    if in_cluster(given):
        raise ConfigurationError("--policy is for a registry without a cluster: here the cluster's Model says it")
    for found in read_manifests(given.policy, MODEL):
        if found["metadata"].get("name") == model.name:
            return decode(ModelSpec, found.get("spec", {}), "spec")
    raise ConfigurationError(f"{given.policy} holds no Model {model.name}")


@dataclass(frozen=True, slots=True)
class _Plan:
    store: RegistryStore
    model: ObjectKey
    before: datetime
    covered: int | None
    days: int


async def _begin(given: argparse.Namespace, outside: CliContext, plan: _Plan) -> int:
    """Finish an earlier removal, then archive, tell of and remove what is old; without --yes say what would be done."""
    from serinus.audit.archive import open_archive  # noqa: PLC0415 - boto3's exceptions
    from serinus.audit.retention import Remover, finish_removal, plan_removal  # noqa: PLC0415 - likewise

    store, model = plan.store, plan.model
    if given.yes and (left := await finish_removal(store, model)):
        echo(f"{count(left, 'record')} that an earlier run had archived, still there: removed")
    removal = await plan_removal(store, model, recorded_before=plan.before, covered=plan.covered)
    if not removal.records:
        echo(f"{name_of(model)}: nothing to prune before {plan.before:%Y-%m-%d %H:%M:%SZ}: {removal.bound}")
        return OK
    address = given.archive or (await store.read_head(model)).audit.archive
    if not address:
        raise ConfigurationError("--archive: name a folder or s3://bucket/prefix, which keeps what is removed")
    archive = open_archive(address)
    try:
        numbers = f"#{removal.after + 1} to #{removal.through}"
        what = f"{count(removal.records, 'record')}, {numbers}, recorded until {removal.last_at:%Y-%m-%d}"
        echo(f"{name_of(model)}: {what}, {'go' if given.yes else 'would go'} to {archive.address}")
        echo(f"No more: {removal.bound}")
        if not given.yes:
            echo("Nothing was changed: do it with --yes")
            return OK
        actor, _ = acting(given)
        reason = given.reason or f"Older than the {plan.days} days of spec.retentionDays."
        remover = Remover(
            store=store, archive=archive, actor=actor, reason=reason, by=this_process(), clock=outside.clock
        )
        await remover.archive_and_tell(model, removal)
    finally:
        await archive.close()
    status = await _finish(given, store, model)
    if status == OK:
        echo(f"Verify all of it: serinus audit verify {name_of(model)} --archive '{archive.address}'")
    return status
