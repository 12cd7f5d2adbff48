"""``serinus audit log``: prints the audit records of a model that match the filters."""

import argparse
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from serinus.api.audit_record import AuditEvent
from serinus.api.model import ChainHead
from serinus.api.names import ObjectKey
from serinus.audit.export import canonical_line
from serinus.cli.audit.output import actor_text, log_heading, log_line
from serinus.cli.command import set_handler
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.session import RegistryOptions, add_model, add_registry, open_registry
from serinus.cli.times import parse_time, resolve_time
from serinus.engine.audit.chain import StoredRecord
from serinus.ports.registry_store import RegistryStore

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """Options of ``serinus audit log`` and ``serinus registry history``.

    Attributes:
        since: a time or an age, inclusive; None for no limit.
        until: likewise, exclusive.
        events: names of events; empty for all.
        version: without its v; empty for all.
        actor: None for all.
    """

    model: str
    registry: RegistryOptions
    since: datetime | timedelta | None
    until: datetime | timedelta | None
    events: frozenset[str]
    version: str
    actor: str | None
    output: Literal["table", "wide", "json"]

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(
            model=args.model,
            registry=RegistryOptions.from_args(args),
            since=args.since,
            until=args.until,
            events=frozenset(args.event or ()),
            version=(args.version or "").removeprefix("v"),
            actor=args.actor,
            output=args.output,
        )


def add_log(parser: argparse.ArgumentParser) -> None:
    """Make the parser a command that prints the log."""
    add_model(parser)
    add_registry(parser)
    parser.add_argument(
        "--since",
        type=parse_time,
        metavar="TIME",
        help="records from this time on: 2026-11-01, 2026-11-01T14:00Z, or 36h for the last 36 hours",
    )
    parser.add_argument("--until", type=parse_time, metavar="TIME", help="records before this time")
    names = [event.value for event in AuditEvent]
    parser.add_argument(
        "--event",
        action="append",
        choices=names,
        metavar="EVENT",
        help=f"records of this event; repeatable: {', '.join(names)}",
    )
    parser.add_argument("--version", help="records about this version, or about a rollback to it")
    parser.add_argument("--actor", help="records of this actor")
    parser.add_argument(
        "-o", "--output", choices=("table", "wide", "json"), default="table", help="format (default: table)"
    )
    set_handler(parser, LogOptions.from_args, _log, closed_pipe=OK)


class _Filter:
    """Decides which records the log shows."""

    def __init__(self, options: LogOptions, now: datetime) -> None:
        self._options = options
        self._since = resolve_time(options.since, now) if options.since is not None else None
        self._until = resolve_time(options.until, now) if options.until is not None else None

    def matches(self, record: StoredRecord) -> bool:
        options, content = self._options, record.content
        return (
            (not options.events or content.get("event") in options.events)
            and (not options.version or options.version in {content.get("version"), content.get("to")})
            and (not options.actor or options.actor in {actor_text(content), _actor_name(record)})
            and ((self._since is None and self._until is None) or self._in_time(content.get("at")))
        )

    def _in_time(self, at: object) -> bool:
        """Return True also for a record without a readable time: a filter must not hide a damaged record."""
        try:
            time = datetime.fromisoformat(str(at))
        except ValueError:
            return True
        if time.tzinfo is None:
            return True
        return not (self._since and time < self._since) and not (self._until and time >= self._until)


def _actor_name(record: StoredRecord) -> object:
    actor = record.content.get("actor")
    return actor.get("name") if isinstance(actor, dict) else None


async def _log(options: LogOptions, context: CliContext) -> int:
    model, records_filter = options.registry.model_key(options.model), _Filter(options, context.clock.now())
    wide, shown = options.output == "wide", 0
    width = os.get_terminal_size().columns if sys.stdout.isatty() else None
    async with open_registry(options.registry, context) as store:
        head = await store.read_head(model)
        async with aclosing(_records(store, model, head.audit.pruned_through)) as records:
            async for record in records:
                if not records_filter.matches(record):
                    continue
                if options.output == "json":
                    echo(canonical_line(record).decode("utf-8", "backslashreplace").removesuffix("\n"))
                else:
                    if not shown:
                        echo(log_heading(wide=wide))
                    echo(log_line(record, wide=wide, width=width))
                shown += 1
    _print_remarks(options, model, head.audit, shown)
    return OK


async def _records(store: RegistryStore, model: ObjectKey, after: int) -> AsyncGenerator[StoredRecord, None]:
    async for record in store.read_records(model, after=after):
        yield record


def _print_remarks(options: LogOptions, model: ObjectKey, chain: ChainHead, shown: int) -> None:
    """Print on standard error that no record is shown, or that earlier ones are in an archive."""
    where = f"in namespace {model.namespace}" if model.namespace else "without a namespace"
    if chain.pruned_through:
        echo(
            f"Records up to #{chain.pruned_through} were removed by retention; they are in {chain.archive}.",
            err=True,
        )
    if not chain.sequence:
        echo(f"There is no record of {model.name} {where} in {options.registry.url}", err=True)
    elif not shown:
        echo(f"No record of {model.name} {where} matches the filters ({chain.sequence} in total).", err=True)
