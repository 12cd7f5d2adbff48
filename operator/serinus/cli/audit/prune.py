"""``serinus audit prune``: archives the records that are past the Model's retention, then removes them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import click

from serinus.api.model import ModelSpec
from serinus.api.names import ObjectKey
from serinus.cli.actor import current_actor
from serinus.cli.audit.output import count, finding_lines
from serinus.cli.audit.verify import CheckpointSource, checkpoint_options, seen_by_checkpoints
from serinus.cli.command import FAILED, FILE, STATUSES, Params, command
from serinus.cli.context import CliContext
from serinus.cli.manifests import read_policy
from serinus.cli.output import echo
from serinus.cli.session import RegistryOptions, model_argument, name_of, open_registry, registry_options, this_process
from serinus.cli.times import parse_time, resolve_time
from serinus.errors import ConfigurationError, RefusedError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry

if TYPE_CHECKING:
    from serinus.audit.archive import ArchivePlace
    from serinus.audit.checkpoint_reader import CheckpointAnchors
    from serinus.audit.retention import Removal

OK, NOT_DONE = 0, 1
_STATUSES: Final = STATUSES | {NOT_DONE: f"{FAILED}; the trail does not verify; or the removal is left to another role"}
_MAX_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """Options of ``serinus audit prune``.

    Attributes:
        before: a time or an age that limits the records further; None for all that are past the retention.
        archive: a folder or bucket; None for that of the last removal.
        policy: a file with the Model, for a registry without a cluster.
        reason: for the audit trail; empty for the retention.
        finish: only remove records whose archiving is recorded.
        confirmed: make the changes; otherwise only print them.
    """

    model: str
    registry: RegistryOptions
    checkpoints: CheckpointSource
    before: datetime | timedelta | None
    archive: str | None
    policy: Path | None
    reason: str
    finish: bool
    confirmed: bool

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError for a policy beside that of the cluster."""
        registry = RegistryOptions.from_params(params)
        if params["policy"] is not None and registry.in_cluster:
            raise ConfigurationError(
                "--policy is for a registry without a cluster: in a cluster the Model has the policy"
            )
        return cls(
            model=params["model"],
            registry=registry,
            checkpoints=CheckpointSource.from_params(params),
            before=params["before"],
            archive=params["archive"],
            policy=params["policy"],
            reason=params["reason"],
            finish=params["finish"],
            confirmed=params["yes"],
        )


@command(
    "prune",
    PruneOptions.from_params,
    "archive and remove records that are older than the Model's retention",
    statuses=_STATUSES,
)
@model_argument
@registry_options
@checkpoint_options
@click.option(
    "--before",
    type=parse_time,
    metavar="TIME",
    help="only records before this time that are also past the retention",
)
@click.option("--archive", metavar="PLACE", help="folder or s3://bucket/prefix (default: that of the last removal)")
@click.option("--policy", type=FILE, metavar="FILE", help="manifest of the Model, for a registry without a cluster")
@click.option("--reason", metavar="TEXT", default="", help="reason, for the audit trail (default: the retention)")
@click.option(
    "--finish",
    is_flag=True,
    help="only remove records whose archiving is recorded, for a role that may do nothing else",
)
@click.option("--yes", is_flag=True, help="make the changes (default: only print them)")
async def prune(options: PruneOptions, context: CliContext) -> int:
    """Prune and return 0; 1 if the trail does not verify, or the removal is left to another role."""
    model, now = options.registry.model_key(options.model), context.clock.now()
    days = None if options.finish else await _retention_days(options, context, model)
    if days is None and not options.finish:
        echo(f"{name_of(model)} has no spec.retentionDays: its records are kept for ever, nothing is pruned")
        return OK
    seen = await seen_by_checkpoints(options.checkpoints, model)
    async with open_registry(options.registry, context) as store:
        if not await _verifies(Registry(store, context.clock, this_process()), model, seen):
            return NOT_DONE
        if days is None:
            return await _finish(options, store, model)
        too_old = now - timedelta(days=days)
        before = min(too_old, resolve_time(options.before, now)) if options.before is not None else too_old
        covered = None
        if options.checkpoints.url is not None:
            covered = max((anchor.sequence for anchor in seen.of(model, await store.owner())), default=0)
        return await _remove(options, context, _Plan(store, model, before, covered, days))


async def _verifies(registry: Registry, model: ObjectKey, seen: "CheckpointAnchors") -> bool:
    """Return whether the trail verifies, and print the findings: a trail that does not is not pruned."""
    from serinus.audit.verify import prove  # noqa: PLC0415 - slow to load

    proof = await prove(registry, model, seen)
    findings = (*seen.findings, *proof.findings)
    if findings:
        echo(f"{name_of(model)} does not verify, so nothing is pruned:")
        for finding in findings[:_MAX_SHOWN]:
            echo(finding_lines(finding))
    return not findings


async def _finish(options: PruneOptions, store: RegistryStore, model: ObjectKey) -> int:
    """Remove the records whose archiving is recorded; print how to continue if this role may not."""
    from serinus.audit.retention import finish_removal  # noqa: PLC0415 - boto3's exceptions

    try:
        removed = await finish_removal(store, model)
    except RefusedError as problem:
        url = options.registry.url
        echo(f"{name_of(model)}: the archived records are not removed yet: {problem}")
        echo(f"Continue with a role that may: serinus audit prune {name_of(model)} --finish --registry '{url}'")
        return NOT_DONE
    echo(f"{name_of(model)}: removed {count(removed, 'archived record')}")
    return OK


async def _retention_days(options: PruneOptions, context: CliContext, model: ObjectKey) -> int | None:
    """Return the retention of the cluster's Model, else of the given manifest; None if there is none."""
    policy = await _policy(options, context, model)
    return policy.retention_days if policy is not None else None


async def _policy(options: PruneOptions, context: CliContext, model: ObjectKey) -> ModelSpec | None:
    if options.policy is None:
        return await context.read_policy(model) if options.registry.in_cluster else None
    return read_policy(options.policy, model.name)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which records may be removed.

    Attributes:
        before: records older than this time.
        covered: the last record that a checkpoint covers; None if no checkpoints are read.
        days: of the retention.
    """

    store: RegistryStore
    model: ObjectKey
    before: datetime
    covered: int | None
    days: int


async def _remove(options: PruneOptions, context: CliContext, plan: _Plan) -> int:
    """Finish an earlier removal, then archive, record and remove old records; unconfirmed, only print which."""
    from serinus.audit.archive import open_archive  # noqa: PLC0415 - boto3's exceptions
    from serinus.audit.retention import finish_removal, plan_removal  # noqa: PLC0415 - likewise

    store, model = plan.store, plan.model
    if options.confirmed and (left := await finish_removal(store, model)):
        echo(f"{name_of(model)}: removed {count(left, 'record')} that an earlier run had archived")
    removal = await plan_removal(store, model, recorded_before=plan.before, covered=plan.covered)
    if not removal.records:
        echo(f"{name_of(model)}: nothing to prune before {plan.before:%Y-%m-%d %H:%M:%SZ}: {removal.bound}")
        return OK
    address = options.archive or (await store.read_head(model)).audit.archive
    if not address:
        raise ConfigurationError("--archive: name a folder or s3://bucket/prefix to keep the removed records")
    archive = open_archive(address)
    try:
        _print_removal(options, model, removal, archive.address)
        if not options.confirmed:
            return OK
        await _archive(options, context, plan, removal, archive)
    finally:
        await archive.close()
    status = await _finish(options, store, model)
    if status == OK:
        echo(f"Verify all of it: serinus audit verify {name_of(model)} --archive '{archive.address}'")
    return status


def _print_removal(options: PruneOptions, model: ObjectKey, removal: "Removal", archive: str) -> None:
    numbers = f"#{removal.after + 1} to #{removal.through}"
    what = f"{count(removal.records, 'record')}, {numbers}, recorded until {removal.last_at:%Y-%m-%d}"
    echo(f"{name_of(model)}: {what}, {'go' if options.confirmed else 'would go'} to {archive}")
    echo(f"No more: {removal.bound}")
    if not options.confirmed:
        echo("Nothing was changed: do it with --yes")


async def _archive(
    options: PruneOptions, context: CliContext, plan: _Plan, removal: "Removal", archive: "ArchivePlace"
) -> None:
    from serinus.audit.retention import Remover  # noqa: PLC0415 - boto3's exceptions

    actor, _ = current_actor(options.registry.url)
    remover = Remover(
        store=plan.store,
        archive=archive,
        actor=actor,
        reason=options.reason or f"Older than the {plan.days} days of spec.retentionDays.",
        by=this_process(),
        clock=context.clock,
    )
    await remover.archive_and_record(plan.model, removal)
