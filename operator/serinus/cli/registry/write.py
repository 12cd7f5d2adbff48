"""What a fleet without a cluster writes into its registry: promote, rollback, release."""

import argparse
import uuid
from typing import Any, Final

from serinus.api.audit_record import AuditEntry, AuditEvent, AuditRecordSpec
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.cli.actor import acting
from serinus.cli.output import echo
from serinus.cli.session import (
    CliContext,
    in_cluster,
    model_of,
    name_of,
    opened,
    reason_of,
    this_process,
)
from serinus.errors import (
    AmbiguousError,
    ConfigurationError,
    ConflictError,
    RefusedError,
    SerinusError,
    TransientError,
)
from serinus.registry.service import Registry

OK: Final = 0
_UNSURE: Final = (AmbiguousError, ConflictError, TransientError)


def add_reason(parser: argparse.ArgumentParser) -> None:
    """Add why, and by which id the same wish is known again."""
    parser.add_argument("--reason", default="", help="why, in at least 10 characters: it stands in the audit trail")
    add_id(parser)


def add_id(parser: argparse.ArgumentParser) -> None:
    """Add the id by which the same wish is known again."""
    parser.add_argument(
        "--id",
        type=_uuid,
        metavar="UUID",
        help="of this wish: the same one again does nothing again; a new one by default",
    )


def add_guards(parser: argparse.ArgumentParser) -> None:
    """Add what a wish depends on."""
    parser.add_argument(
        "--generation", type=int, help="the one that you have seen: refused if the production version changed since"
    )
    parser.add_argument(
        "--force", action="store_true", help="although a Rollout moves this model's traffic; the record says so"
    )


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{text!r} is no UUID") from problem


def without_cluster(given: argparse.Namespace) -> None:
    """Refuse to write where the operator does: ConfigurationError."""
    if in_cluster(given):
        raise ConfigurationError(
            "--registry: give the address of a registry in DynamoDB. In a cluster apply a ModelVersion and a Rollout: "
            "the operator records what the traffic does"
        )


def happening_of(given: argparse.Namespace, outside: CliContext, event: AuditEvent, **fields: Any) -> AuditEntry:  # noqa: ANN401 - fields of a record
    """Return what is to be recorded: now, by whoever acts, with the id that is given or a new one."""
    given.id = given.id or str(uuid.uuid4())
    actor, facts = acting(given)
    details = {**facts, **fields.pop("details", {})}
    return AuditEntry(id=given.id, event=event, at=outside.clock.now(), actor=actor, details=details, **fields)


def _free(head: Head, model: ObjectKey, *, force: bool) -> dict[str, str]:
    """Refuse to say what the traffic does not do; return what the record says where it is forced."""
    if not head.managed_by:
        return {}
    if not force:
        raise RefusedError(
            f"the Rollout {head.managed_by} moves the traffic of {name_of(model)}: the registry would say what the "
            "traffic does not do. Roll back there (serinus rollback without --registry), or say --force if the cluster "
            "is gone"
        )
    return {"forced": "true", "managedBy": head.managed_by}


async def _told(registry: Registry, model: ObjectKey, sequence: int) -> AuditRecordSpec:
    """Return the record that came of it, the first time where the id was there before."""
    async for stored in registry.store.read_records(model, after=sequence - 1, through=sequence):
        return decode(AuditRecordSpec, dict(stored.content), f"record {sequence}")
    raise AmbiguousError(f"{name_of(model)}: record {sequence} was written, but cannot be read: look at the log")


def _again(given: argparse.Namespace, problem: SerinusError) -> SerinusError:
    """Return the error with the one way in which it is safe to try again."""
    return type(problem)(f"{problem}. Try again with --id {given.id}: it is done once, however often it is asked")


async def promote(given: argparse.Namespace, outside: CliContext) -> int:
    """Make a registered version the production version."""
    without_cluster(given)
    model, reason = model_of(given), reason_of(given)
    async with opened(given, outside) as store:
        registry = Registry(store, outside.clock, this_process())
        details = _free(await registry.head(model), model, force=given.force)
        told = happening_of(given, outside, AuditEvent.PROMOTED, version=given.version, reason=reason, details=details)
        try:
            sequence = await registry.promote(model, given.version, told, generation=given.generation)
        except _UNSURE as problem:
            raise _again(given, problem) from problem
        record = await _told(registry, model, sequence)
    echo(f"{name_of(model)}: {record.after.production} is the production version, record #{sequence} ({record.id})")
    return OK


async def rollback(given: argparse.Namespace, outside: CliContext) -> int:
    """Go back to a version, or to the last known good one."""
    without_cluster(given)
    model, reason = model_of(given), reason_of(given)
    async with opened(given, outside) as store:
        registry = Registry(store, outside.clock, this_process())
        details = _free(await registry.head(model), model, force=given.force)
        told = happening_of(given, outside, AuditEvent.ROLLED_BACK, reason=reason, details=details)
        try:
            sequence = await registry.rollback(model, told, to=given.to, generation=given.generation)
        except _UNSURE as problem:
            raise _again(given, problem) from problem
        record = await _told(registry, model, sequence)
    echo(f"{name_of(model)}: went back from {record.version} to {record.to}, record #{sequence} ({record.id})")
    echo(f"{record.version} is quarantined until serinus registry release {name_of(model)} {record.version} --reason …")
    return OK


async def release(given: argparse.Namespace, outside: CliContext) -> int:
    """Let a version serve again that was rolled back."""
    without_cluster(given)
    model, reason, version = model_of(given), reason_of(given), given.version.removeprefix("v")
    async with opened(given, outside) as store:
        registry = Registry(store, outside.clock, this_process())
        head = await registry.head(model)
        told = happening_of(given, outside, AuditEvent.QUARANTINE_LIFTED, version=version, reason=reason)
        if version not in head.quarantined and await store.find_record(model, head, told.id) is None:
            raise RefusedError(f"{name_of(model)} {version} is not quarantined: there is nothing to release")
        try:
            sequence = await registry.record(model, told)
        except _UNSURE as problem:
            raise _again(given, problem) from problem
    echo(f"{name_of(model)}: {version} may be promoted again, record #{sequence} ({told.id})")
    return OK
