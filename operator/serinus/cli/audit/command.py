"""``serinus audit``: read the trail, verify it, take it out, and have it witnessed by somebody outside."""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Final

from serinus import __version__
from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.audit.export import Export, Form, canonical_line, manifest_file, write_export
from serinus.cli.audit import checkpoint, prune, verify
from serinus.cli.audit.output import actor_text, csv_heading, csv_line, log_heading, log_line
from serinus.cli.output import echo
from serinus.cli.session import CliContext, add_registry, model_of, name_of, opened
from serinus.cli.times import moment, when
from serinus.engine.audit.chain import StoredRecord
from serinus.errors import ConfigurationError
from serinus.ports.registry_store import RegistryStore

OK: Final = 0


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``audit`` and its verbs."""
    audit = verbs.add_parser("audit", help="read, verify, export and keep the audit trail")
    kinds = audit.add_subparsers(dest="audit", required=True, metavar="VERB")
    add_log_options(kinds.add_parser("log", help="print what happened to a model, newest last"))
    _add_export(kinds.add_parser("export", help="write the records to a file, with a manifest beside it"))
    verify.add_parser(kinds)
    prune.add_parser(kinds)
    checkpoint.add_parsers(kinds)


def run(given: argparse.Namespace, outside: CliContext | None = None) -> int:
    """Do what ``serinus audit`` was given.

    Returns:
        0 done; of ``verify`` 1 where something is wrong and 2 where that could not be found out.

    Raises:
        SerinusError: it could not be done.
    """
    found = outside or CliContext()
    try:
        match given.audit:
            case "log":
                return asyncio.run(_log(given, found))
            case "export":
                return asyncio.run(_export(given, found))
            case "verify":
                return verify.run(given, found)
            case "prune":
                return prune.run(given, found)
            case _:
                return checkpoint.run(given, found)
    except BrokenPipeError:
        # Whoever read has seen enough; Python would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


# ---- log --------------------------------------------------------------------------------------


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """Add what the log takes."""
    parser.add_argument("model", metavar="MODEL", help="the model, as name or namespace/name")
    add_registry(parser)
    parser.add_argument(
        "--since",
        type=when,
        metavar="TIME",
        help="from then on: 2026-11-01, 2026-11-01T14:00Z, or 36h for the last 36 hours",
    )
    parser.add_argument("--until", type=when, metavar="TIME", help="before then")
    names = [event.value for event in AuditEvent]
    parser.add_argument(
        "--event", action="append", choices=names, metavar="EVENT", help=f"only these: {', '.join(names)}"
    )
    parser.add_argument("--version", help="only what is about this version, or went back to it")
    parser.add_argument("--actor", help="only what this one did")
    parser.add_argument("-o", "--output", choices=("table", "wide", "json"), default="table", help="table by default")


class _Wanted:
    """Which records the log shows."""

    def __init__(self, given: argparse.Namespace, now: datetime) -> None:
        self._since = moment(given.since, now) if given.since is not None else None
        self._until = moment(given.until, now) if given.until is not None else None
        self._events = frozenset(given.event or ())
        self._version = (given.version or "").removeprefix("v")
        self._actor = given.actor

    def __call__(self, record: StoredRecord) -> bool:
        content = record.content
        return (
            (not self._events or content.get("event") in self._events)
            and (not self._version or self._version in {content.get("version"), content.get("to")})
            and (not self._actor or self._actor in {actor_text(content), _actor(record)})
            and ((self._since is None and self._until is None) or self._in_time(content.get("at")))
        )

    def _in_time(self, at: object) -> bool:
        """A record whose time cannot be read is shown: it must not be hidden by what is wrong with it."""
        try:
            happened = datetime.fromisoformat(str(at))
        except ValueError:
            return True
        if happened.tzinfo is None:
            return True
        return not (self._since and happened < self._since) and not (self._until and happened >= self._until)


def _actor(record: StoredRecord) -> object:
    actor = record.content.get("actor")
    return actor.get("name") if isinstance(actor, dict) else None


async def _log(given: argparse.Namespace, outside: CliContext) -> int:
    model, wanted = model_of(given), _Wanted(given, outside.clock.now())
    wide, shown = given.output == "wide", 0
    width = os.get_terminal_size().columns if sys.stdout.isatty() else None
    async with opened(given, outside) as store:
        head = await store.read_head(model)
        async with aclosing(_records(store, model, head.audit.pruned_through)) as records:
            async for record in records:
                if not wanted(record):
                    continue
                if given.output == "json":
                    echo(canonical_line(record).decode("utf-8", "backslashreplace").removesuffix("\n"))
                else:
                    if not shown:
                        echo(log_heading(wide=wide))
                    echo(log_line(record, wide=wide, width=width))
                shown += 1
    _remark(given, model, head.audit.sequence, head.audit.pruned_through, head.audit.archive, shown)
    return OK


async def _records(store: RegistryStore, model: ObjectKey, after: int) -> AsyncGenerator[StoredRecord, None]:
    async for record in store.read_records(model, after=after):
        yield record


def _remark(  # noqa: PLR0913, PLR0917 - the facts of two sentences
    given: argparse.Namespace, model: ObjectKey, last: int, pruned: int, archive: str, shown: int
) -> None:
    """Say on standard error what the lines do not: that there are none, or that earlier ones are elsewhere."""
    where = f"in namespace {model.namespace}" if model.namespace else "without a namespace"
    if pruned:
        echo(f"The records up to #{pruned} were removed by retention; they are in {archive}.", err=True)
    if not last:
        echo(f"There is no record of {model.name} {where} in {given.registry}", err=True)
    elif not shown:
        echo(f"None of the records of {model.name} {where} is wanted: there are {last}", err=True)


# ---- export -----------------------------------------------------------------------------------


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="the model, as name or namespace/name")
    add_registry(parser)
    parser.add_argument(
        "--format",
        type=Form,
        choices=list(Form),
        default=Form.JSONL,
        help="jsonl: the records exactly as they are stored, which can be verified; csv: for a spreadsheet",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="<model>-audit.<format> by default")


async def _export(given: argparse.Namespace, outside: CliContext) -> int:
    model = model_of(given)
    file = given.output or Path(f"{model.name}-audit.{given.format.value}")
    what = Export(model=model, form=given.format, at=outside.clock.now(), by=__version__)
    if given.format is Form.CSV:
        what = Export(model=model, form=Form.CSV, at=what.at, by=what.by, first_line=csv_heading(), line=csv_line)
    async with opened(given, outside) as store:
        head = await store.read_head(model)
        if not head.audit.sequence:
            raise ConfigurationError(
                f"there is no record of {name_of(model)} in {given.registry}: is the namespace right?"
            )
        # Up to what the head says: a record that is on its way is not part of it yet.
        records = store.read_records(model, after=head.audit.pruned_through, through=head.audit.sequence)
        manifest = await write_export(records, file, what)
    echo(f"{file}: {manifest.records} records, #{manifest.first_sequence} to #{manifest.last_sequence}")
    echo(f"{manifest_file(file)}: {manifest.sha256}")
    if given.format is Form.JSONL:
        echo(f"Verify it anywhere, without the registry: serinus audit verify --file {file}")
    return OK
