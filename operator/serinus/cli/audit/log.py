"""``serinus audit log``: prints the audit records of a model that match the filters."""

import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Self

import click

from serinus.api.audit_record import AuditEvent
from serinus.api.model import ChainHead
from serinus.api.names import ObjectKey
from serinus.audit.export import canonical_line
from serinus.cli.audit.output import actor_text, lines_heading, log_heading, log_line, needs_lines, record_lines
from serinus.cli.command import Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.output import echo
from serinus.cli.screen import NARROWEST
from serinus.cli.session import RegistryOptions, model_argument, open_registry, registry_options
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
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(
            model=params["model"],
            registry=RegistryOptions.from_params(params),
            since=params["since"],
            until=params["until"],
            events=frozenset(params["event"]),
            version=(params["version"] or "").removeprefix("v"),
            actor=params["actor"],
            output=params["output"],
        )


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


@command("log", LogOptions.from_params, "print the audit records of a model, newest last", closed_pipe=OK)
@model_argument
@registry_options
@click.option(
    "--since",
    type=parse_time,
    metavar="TIME",
    help="records from this time on: 2026-11-01, 2026-11-01T14:00Z, or 36h for the last 36 hours",
)
@click.option("--until", type=parse_time, metavar="TIME", help="records before this time")
@click.option(
    "--event",
    multiple=True,
    type=choice(AuditEvent),
    metavar="EVENT",
    help=f"records of this event; repeatable: {', '.join(AuditEvent)}",
)
@click.option("--version", metavar="VERSION", help="records about this version, or about a rollback to it")
@click.option("--actor", metavar="NAME", help="records of this actor")
@click.option(
    "-o", "--output", type=choice(("table", "wide", "json")), default="table", show_default=True, help="format"
)
async def log(options: LogOptions, context: CliContext) -> int:
    """Run the command."""
    model, records_filter = options.registry.model_key(options.model), _Filter(options, context.clock.now())
    form, shown = _Form.of(options), 0
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
                        echo(form.heading())
                    echo(form.text(record))
                shown += 1
    _print_remarks(options, model, head.audit, shown)
    return OK


@dataclass(frozen=True, slots=True)
class _Form:
    """How records are shown: as they come, so that a long trail needs no memory.

    Attributes:
        width: of the terminal; None into a pipe.
        wide: with more columns, nothing shortened.
    """

    width: int | None
    wide: bool

    @classmethod
    def of(cls, options: LogOptions) -> Self:
        width = max(NARROWEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None
        return cls(width, options.output == "wide")

    def heading(self) -> str:
        narrow = self._narrow()
        return log_heading(wide=self.wide) if narrow is None else lines_heading(narrow)

    def text(self, record: StoredRecord) -> str:
        narrow = self._narrow()
        return log_line(record, wide=self.wide, width=self.width) if narrow is None else record_lines(record, narrow)

    def _narrow(self) -> int | None:
        """Return the width where the table does not fit."""
        return self.width if self.width is not None and not self.wide and needs_lines(self.width) else None


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
