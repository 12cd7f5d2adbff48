"""Changes of a registry without a cluster: promote, rollback, release."""

import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import click

from serinus.api.audit_record import AuditEntry, AuditEvent, AuditRecordSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.cli.actor import current_actor
from serinus.cli.command import Params, command, together
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.session import (
    ArgumentError,
    RegistryOptions,
    checked_reason,
    model_argument,
    name_of,
    open_registry,
    registry_options,
    this_process,
    version_argument,
)
from serinus.errors import (
    AmbiguousError,
    ConflictError,
    RefusedError,
    TransientError,
)
from serinus.registry.service import Registry

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The options that promote, rollback and release have in common.

    Attributes:
        id: of the record; a repeated change with the same id is made once.
    """

    registry: RegistryOptions
    model: str
    reason: str
    id: str

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed, with a new id if none was given."""
        registry = RegistryOptions.from_params(params)
        return cls(
            registry=registry, model=params["model"], reason=params["reason"], id=params.get("id") or str(uuid.uuid4())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """Preconditions of a change.

    Attributes:
        generation: of the production version that the caller has seen; None for any.
        force: make the change even though a Rollout moves this model's traffic.
    """

    generation: int | None = None
    force: bool = False

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(generation=params["generation"], force=params["force"])


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """Options of ``serinus registry promote``."""

    change: Change
    guards: Guards
    version: str

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(change=Change.from_params(params), guards=Guards.from_params(params), version=params["version"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions:
    """Options of ``serinus registry release``."""

    change: Change
    version: str

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(change=Change.from_params(params), version=params["version"].removeprefix("v"))


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as problem:
        raise click.BadParameter(f"invalid UUID {text!r}") from problem


reason_option: Final = click.option(
    "--reason", metavar="TEXT", default="", help="reason, in at least 10 characters; the audit trail keeps it"
)

reason_options: Final = together(
    reason_option,
    click.option(
        "--id",
        type=_uuid,
        metavar="UUID",
        help="id of the change: one that is repeated with the same id is made once (default: a new id)",
    ),
)
"""The reason and the id."""

guard_options: Final = together(
    click.option(
        "--generation",
        type=int,
        metavar="NUMBER",
        help="generation that you have seen: refuse if the production version changed since",
    ),
    click.option(
        "--force",
        is_flag=True,
        help="make the change even though a Rollout moves this model's traffic; the record notes it",
    ),
)
"""The preconditions."""


def check_without_cluster(registry: RegistryOptions) -> None:
    """Raise ArgumentError for the registry of a cluster, which only the operator writes."""
    if registry.in_cluster:
        raise ArgumentError(
            "give the address of a registry in DynamoDB. In a cluster apply a ModelVersion and a Rollout: "
            "the operator writes the registry",
            param_hint="'--registry'",
        )


def new_entry(
    registry: RegistryOptions,
    context: CliContext,
    event: AuditEvent,
    *,
    id: str,  # noqa: A002 - the field's name
    details: Mapping[str, str] | None = None,
    **fields: Any,  # noqa: ANN401 - those of the event
) -> AuditEntry:
    """Return the entry of an event that happens now, by the actor who runs this command."""
    actor, facts = current_actor(registry.url)
    details = {**facts, **(details or {})}
    return AuditEntry(id=id, event=event, at=context.clock.now(), actor=actor, details=details, **fields)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Access to one model of an open registry, for one change."""

    registry: Registry
    model: ObjectKey
    change: Change
    context: CliContext

    def entry(self, event: AuditEvent, **fields: Any) -> AuditEntry:  # noqa: ANN401 - fields of a record
        reason = checked_reason(self.change.reason)
        return new_entry(self.change.registry, self.context, event, id=self.change.id, reason=reason, **fields)

    async def force_details(self, guards: Guards) -> dict[str, str]:
        """Return what a forced change notes in its record; RefusedError if a Rollout moves the traffic."""
        head = await self.registry.head(self.model)
        if not head.managed_by:
            return {}
        if not guards.force:
            raise RefusedError(
                f"the Rollout {head.managed_by} moves the traffic of {name_of(self.model)}: the registry would "
                "contradict the traffic. Roll back in the cluster (serinus rollback without --registry), or give "
                "--force if the cluster is gone"
            )
        return {"forced": "true", "managedBy": head.managed_by}

    async def written(self, sequence: int) -> AuditRecordSpec:
        """Return the record of the change, that of the first attempt if the change was repeated."""
        async for stored in self.registry.store.read_records(self.model, after=sequence - 1, through=sequence):
            return decode(AuditRecordSpec, dict(stored.content), f"record {sequence}")
        raise AmbiguousError(
            f"{name_of(self.model)}: record {sequence} was written but cannot be read: check serinus registry history"
        )


@asynccontextmanager
async def change_of(change: Change, context: CliContext) -> AsyncIterator[_Writer]:
    """Open the registry of a change; ArgumentError for that of a cluster, which only the operator writes."""
    check_without_cluster(change.registry)
    model = change.registry.model_key(change.model)
    checked_reason(change.reason)
    async with open_registry(change.registry, context) as store:
        yield _Writer(Registry(store, context.clock, this_process()), model, change, context)


@contextmanager
def retry_by_id(change: Change) -> Iterator[None]:
    """Add to an error that leaves the outcome open the one way to retry safely: with the same id."""
    try:
        yield
    except (AmbiguousError, ConflictError, TransientError) as problem:
        raise type(problem)(f"{problem}. Try again with --id {change.id}: the change is then made once") from problem


@command("promote", PromoteOptions.from_params, "make a registered version the production version")
@model_argument
@version_argument
@registry_options
@reason_options
@guard_options
async def promote(options: PromoteOptions, context: CliContext) -> int:
    """Make a registered version the production version."""
    async with change_of(options.change, context) as writer:
        details = await writer.force_details(options.guards)
        entry = writer.entry(AuditEvent.PROMOTED, version=options.version, details=details)
        with retry_by_id(options.change):
            sequence = await writer.registry.promote(
                writer.model, options.version, entry, generation=options.guards.generation
            )
        record = await writer.written(sequence)
    name = name_of(writer.model)
    echo(f"{name}: {record.after.production} is the production version, record #{sequence} ({record.id})")
    return OK


async def roll_back(change: Change, guards: Guards, context: CliContext, *, to: str | None) -> int:
    """Roll back to a version, by default to the last good one; return 0."""
    async with change_of(change, context) as writer:
        entry = writer.entry(AuditEvent.ROLLED_BACK, details=await writer.force_details(guards))
        with retry_by_id(change):
            sequence = await writer.registry.rollback(writer.model, entry, to=to, generation=guards.generation)
        record = await writer.written(sequence)
    name = name_of(writer.model)
    echo(f"{name}: rolled back from {record.version} to {record.to}, record #{sequence} ({record.id})")
    echo(f"{record.version} is quarantined until serinus registry release {name} {record.version} --reason …")
    return OK


@command("release", ReleaseOptions.from_params, "lift the quarantine of a version that was rolled back")
@model_argument
@version_argument
@registry_options
@reason_options
async def release(options: ReleaseOptions, context: CliContext) -> int:
    """Lift the quarantine of a version that was rolled back."""
    version = options.version
    async with change_of(options.change, context) as writer:
        head = await writer.registry.head(writer.model)
        entry = writer.entry(AuditEvent.QUARANTINE_LIFTED, version=version)
        if (
            version not in head.quarantined
            and await writer.registry.store.find_record(writer.model, head, entry.id) is None
        ):
            raise RefusedError(f"{name_of(writer.model)} {version} is not quarantined: nothing to release")
        with retry_by_id(options.change):
            sequence = await writer.registry.record(writer.model, entry)
    echo(f"{name_of(writer.model)}: {version} may be promoted again, record #{sequence} ({entry.id})")
    return OK
