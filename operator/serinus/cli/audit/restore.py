"""``serinus audit restore``: builds a lost or wrong head, and what else is lost, from the chain and its archive."""

import uuid
from dataclasses import dataclass
from typing import Final, Self

import click

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.cli.actor import current_actor
from serinus.cli.audit.output import count, finding_lines
from serinus.cli.command import FAILED, STATUSES, Params, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.session import (
    RegistryOptions,
    checked_reason,
    model_argument,
    name_of,
    open_registry,
    registry_options,
    this_process,
)
from serinus.registry.service import Registry

OK, NOT_WHOLE = 0, 1
_STATUSES: Final = STATUSES | {NOT_WHOLE: f"{FAILED}; or restored, and the chain has findings that remain"}
_MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """Options of ``serinus audit restore``.

    Attributes:
        archive: where retention keeps removed records; None where none were removed.
        confirmed: make the changes; otherwise only print them.
    """

    model: str
    registry: RegistryOptions
    archive: str | None
    reason: str
    confirmed: bool

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        registry = RegistryOptions.from_params(params)
        return cls(
            model=params["model"],
            registry=registry,
            archive=params["archive"],
            reason=params["reason"],
            confirmed=params["yes"],
        )


@command(
    "restore",
    RestoreOptions.from_params,
    "build a lost or wrong head, lost records and versions from the chain and its archive",
    statuses=_STATUSES,
)
@model_argument
@registry_options
@click.option(
    "--archive", metavar="PLACE", help="folder or s3://bucket/prefix of the records that retention has removed"
)
@click.option(
    "--reason", metavar="TEXT", default="", help="reason, in at least 10 characters; the audit trail keeps it"
)
@click.option("--yes", is_flag=True, help="make the changes (default: only print them)")
async def restore_head(options: RestoreOptions, context: CliContext) -> int:
    """Restore and verify; return 0, or 1 if the chain has findings that no restoration removes."""
    from serinus.audit.archive import open_archive  # noqa: PLC0415 - slow to load
    from serinus.audit.restore import plan_restoration, restore, restored_details  # noqa: PLC0415 - likewise
    from serinus.audit.verify import prove  # noqa: PLC0415 - likewise

    model = options.registry.model_key(options.model)
    reason = checked_reason(options.reason) if options.confirmed else ""
    archive = open_archive(options.archive) if options.archive is not None else None
    try:
        async with open_registry(options.registry, context) as store:
            registry = Registry(store, context.clock, this_process())
            plan = await plan_restoration(store, model, archive)
            name, audit = name_of(model), plan.restoration.head.audit
            source = f"{count(plan.records, 'record')} ({plan.archived} archived)"
            if not plan.needed:
                echo(f"{name}: nothing to restore: the head is #{audit.sequence}, as {source} say")
                return OK
            lost = f"{count(len(plan.restoration.records), 'lost record')}, "
            lost += count(len(plan.restoration.versions), "lost or changed version")
            if not options.confirmed:
                echo(f"{name}: would restore the head #{audit.sequence} from {source}, {lost}: give --reason and --yes")
                return OK
            actor, facts = current_actor(options.registry.url)
            entry = AuditEntry(
                id=str(uuid.uuid4()),
                event=AuditEvent.HEAD_RESTORED,
                at=context.clock.now(),
                actor=actor,
                reason=reason,
                details={**facts, **restored_details(plan)},
            )
            sequence = await restore(registry, model, plan, entry)
            echo(f"{name}: restored the head #{audit.sequence} from {source}, {lost}; record #{sequence}")
            proof = await prove(registry, model, archive=archive)
    finally:
        if archive is not None:
            await archive.close()
    for finding in proof.findings[:_MOST_SHOWN]:
        echo(finding_lines(finding))
    return OK if proof.ok else NOT_WHOLE
