"""What a fleet without a cluster writes into its registry: promote, rollback, release."""

import argparse
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from serinus.api.audit_record import AuditEntry, AuditEvent, AuditRecordSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.cli.actor import acting
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.output import echo
from serinus.cli.session import (
    CliContext,
    RegistryOptions,
    add_model,
    add_registry,
    add_version,
    checked_reason,
    name_of,
    open_registry,
    this_process,
)
from serinus.errors import (
    AmbiguousError,
    ConfigurationError,
    ConflictError,
    RefusedError,
    TransientError,
)
from serinus.registry.service import Registry

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Which model is to change, why, and under which id: what promote, rollback and release have in common.

    Attributes:
        id: of the record; the same one again changes nothing again.
    """

    registry: RegistryOptions
    model: str
    reason: str
    id: str

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed, with a new id where none was given."""
        registry = RegistryOptions.from_args(args)
        return cls(registry=registry, model=args.model, reason=args.reason, id=args.id or str(uuid.uuid4()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What a change depends on.

    Attributes:
        generation: of the production version that the caller has seen; None for any.
        force: although a Rollout moves this model's traffic.
    """

    generation: int | None = None
    force: bool = False

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(generation=args.generation, force=args.force)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions:
    """Options of ``serinus registry promote``."""

    change: Change
    guards: Guards
    version: str

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(change=Change.from_args(args), guards=Guards.from_args(args), version=args.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions:
    """Options of ``serinus registry release``."""

    change: Change
    version: str

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(change=Change.from_args(args), version=args.version.removeprefix("v"))


def add_reason(parser: argparse.ArgumentParser) -> None:
    """Add why, and by which id the same wish is known again."""
    parser.add_argument("--reason", default="", help="why, in at least 10 characters: it stands in the audit trail")
    parser.add_argument(
        "--id",
        type=_uuid,
        metavar="UUID",
        help="of this wish: the same one again does nothing again; a new one by default",
    )


def add_guards(parser: argparse.ArgumentParser) -> None:
    """Add what a change depends on."""
    parser.add_argument(
        "--generation", type=int, help="the one that you have seen: refused if the production version changed since"
    )
    parser.add_argument(
        "--force", action="store_true", help="although a Rollout moves this model's traffic; the record says so"
    )


def add_parsers(verbs: Subparsers) -> None:
    """Add ``promote`` and ``release``."""
    explanation = "make a registered version the production version"
    promote = verbs.add_parser("promote", help=explanation, description=explanation)
    add_model(promote)
    add_version(promote)
    add_registry(promote)
    add_reason(promote)
    add_guards(promote)
    set_handler(promote, PromoteOptions.from_args, _promote)
    explanation = "let a version serve again that was rolled back"
    release = verbs.add_parser("release", help=explanation, description=explanation)
    add_model(release)
    add_version(release)
    add_registry(release)
    add_reason(release)
    set_handler(release, ReleaseOptions.from_args, _release)


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{text!r} is no UUID") from problem


def check_without_cluster(registry: RegistryOptions) -> None:
    """Refuse to write where the operator does: ConfigurationError."""
    if registry.in_cluster:
        raise ConfigurationError(
            "--registry: give the address of a registry in DynamoDB. In a cluster apply a ModelVersion and a Rollout: "
            "the operator records what the traffic does"
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
    """Return what is to be recorded of an event: now, by whoever runs this command."""
    actor, facts = acting(registry.url)
    details = {**facts, **(details or {})}
    return AuditEntry(id=id, event=event, at=context.clock.now(), actor=actor, details=details, **fields)


@dataclass(frozen=True, slots=True)
class _Writer:
    """One model of an open registry, and the change that it is open for."""

    registry: Registry
    model: ObjectKey
    change: Change
    context: CliContext

    def entry(self, event: AuditEvent, **fields: Any) -> AuditEntry:  # noqa: ANN401 - fields of a record
        reason = checked_reason(self.change.reason)
        return new_entry(self.change.registry, self.context, event, id=self.change.id, reason=reason, **fields)

    async def forced(self, guards: Guards) -> dict[str, str]:
        """Refuse to say what the traffic does not do; return what the record says where it is forced."""
        head = await self.registry.head(self.model)
        if not head.managed_by:
            return {}
        if not guards.force:
            raise RefusedError(
                f"the Rollout {head.managed_by} moves the traffic of {name_of(self.model)}: the registry would say "
                "what the traffic does not do. Roll back there (serinus rollback without --registry), or say --force "
                "if the cluster is gone"
            )
        return {"forced": "true", "managedBy": head.managed_by}

    async def written(self, sequence: int) -> AuditRecordSpec:
        """Return the record that came of it, the first time where the id was there before."""
        async for stored in self.registry.store.read_records(self.model, after=sequence - 1, through=sequence):
            return decode(AuditRecordSpec, dict(stored.content), f"record {sequence}")
        raise AmbiguousError(
            f"{name_of(self.model)}: record {sequence} was written, but cannot be read: look at the log"
        )


@asynccontextmanager
async def _open_for(change: Change, context: CliContext) -> AsyncIterator[_Writer]:
    check_without_cluster(change.registry)
    model = change.registry.model_key(change.model)
    checked_reason(change.reason)
    async with open_registry(change.registry, context) as store:
        yield _Writer(Registry(store, context.clock, this_process()), model, change, context)


@contextmanager
def _retry_by_id(change: Change) -> Iterator[None]:
    """Add to an error, after which nobody knows whether the change was made, the one way to try it again safely."""
    try:
        yield
    except (AmbiguousError, ConflictError, TransientError) as problem:
        raise type(problem)(
            f"{problem}. Try again with --id {change.id}: it is done once, however often it is asked"
        ) from problem


async def _promote(options: PromoteOptions, context: CliContext) -> int:
    """Make a registered version the production version."""
    async with _open_for(options.change, context) as writer:
        details = await writer.forced(options.guards)
        entry = writer.entry(AuditEvent.PROMOTED, version=options.version, details=details)
        with _retry_by_id(options.change):
            sequence = await writer.registry.promote(
                writer.model, options.version, entry, generation=options.guards.generation
            )
        record = await writer.written(sequence)
    name = name_of(writer.model)
    echo(f"{name}: {record.after.production} is the production version, record #{sequence} ({record.id})")
    return OK


async def roll_back(change: Change, guards: Guards, context: CliContext, *, to: str | None) -> int:
    """Go back to a version, or to the last known good one."""
    async with _open_for(change, context) as writer:
        entry = writer.entry(AuditEvent.ROLLED_BACK, details=await writer.forced(guards))
        with _retry_by_id(change):
            sequence = await writer.registry.rollback(writer.model, entry, to=to, generation=guards.generation)
        record = await writer.written(sequence)
    name = name_of(writer.model)
    echo(f"{name}: went back from {record.version} to {record.to}, record #{sequence} ({record.id})")
    echo(f"{record.version} is quarantined until serinus registry release {name} {record.version} --reason …")
    return OK


async def _release(options: ReleaseOptions, context: CliContext) -> int:
    """Let a version serve again that was rolled back."""
    version = options.version
    async with _open_for(options.change, context) as writer:
        head = await writer.registry.head(writer.model)
        entry = writer.entry(AuditEvent.QUARANTINE_LIFTED, version=version)
        if (
            version not in head.quarantined
            and await writer.registry.store.find_record(writer.model, head, entry.id) is None
        ):
            raise RefusedError(f"{name_of(writer.model)} {version} is not quarantined: there is nothing to release")
        with _retry_by_id(options.change):
            sequence = await writer.registry.record(writer.model, entry)
    echo(f"{name_of(writer.model)}: {version} may be promoted again, record #{sequence} ({entry.id})")
    return OK
