"""``serinus report``: the page that an auditor asks for, and short answers to what auditors ask most.

0: done. 1: done, but the audit chain does not verify, and the page says so in its first line.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from serinus.api.names import ObjectKey
from serinus.api.schema import DIGEST
from serinus.cli.audit.verify import add_checkpoints, seen_by_checkpoints
from serinus.cli.output import echo, echo_error
from serinus.cli.report.answers import live_line, used_table
from serinus.cli.session import CliContext, add_registry, in_cluster, model_of, name_of, opened
from serinus.cli.times import moment, when
from serinus.engine.report.compile import AuditReport, ReportInput, compile_report
from serinus.engine.report.versions import VersionStory
from serinus.engine.versions.catalogue import Query
from serinus.errors import ConfigurationError, NotFoundError
from serinus.ports.registry_store import RegistryStore

OK, DOUBTFUL = 0, 1
STDOUT: Final = "-"


class Format(StrEnum):
    """The form of the page."""

    HTML = "html"
    MARKDOWN = "markdown"

    @property
    def suffix(self) -> str:
        """How a file of it is called."""
        return ".html" if self is Format.HTML else ".md"


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``report``."""
    explanation = "write the page that an auditor asks for, or say which version was live when and where data was used"
    parser = verbs.add_parser("report", help=explanation, description=explanation)
    parser.add_argument("model", metavar="MODEL", nargs="?", help="the model, as name or namespace/name")
    add_registry(parser)
    add_checkpoints(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="<model>-report.html by default; - for standard output")
    parser.add_argument(
        "--format", type=Format, choices=list(Format), help="html, or markdown; by default what the file's name says"
    )
    parser.add_argument(
        "--as-of", type=when, metavar="TIME", help="leave out what is later: 2026-11-01, 2026-11-01T14:00Z or 36h ago"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--live-at", type=when, metavar="TIME", help="instead: which version was live then; of all models without MODEL"
    )
    instead.add_argument("--data", metavar="DIGEST", help="instead: all versions that were trained on this data set")
    instead.add_argument("--artifact", metavar="DIGEST", help="instead: all versions with this artifact")


def run(given: argparse.Namespace, outside: CliContext | None = None) -> int:
    """Do what ``serinus report`` was given and return 0 or 1 as the module says.

    Raises:
        SerinusError: the registry or the checkpoints could not be asked, or the page could not be written.
    """
    found = outside or CliContext()
    if (given.checkpoints is None) != (not given.public_key):
        raise ConfigurationError("--checkpoints and --public-key go together: a checkpoint proves what its key signed")
    if given.data is not None or given.artifact is not None:
        return asyncio.run(_used(given, found))
    if given.live_at is not None:
        return asyncio.run(_live(given, found))
    if given.model is None:
        raise ConfigurationError("name a MODEL, or ask by --live-at, --data or --artifact")
    return asyncio.run(_page(given, found))


# ---- the page ---------------------------------------------------------------------------------


async def _page(given: argparse.Namespace, outside: CliContext) -> int:
    from serinus.cli.report.page import render_html, render_markdown  # noqa: PLC0415 - Jinja2 is for pages only

    model, as_of = model_of(given), _as_of(given, outside)
    form = given.format or _format_of(given.output)
    report = compile_report(await _known(given, outside, model), as_of)
    text = render_html(report) if form is Format.HTML else render_markdown(report)
    if given.output == STDOUT:
        echo(text.removesuffix("\n"))
    else:
        file = Path(given.output or f"{model.name}-report{form.suffix}")
        _write(file, text)
        echo(f"{file}: {name_of(model)} as of {as_of:%Y-%m-%dT%H:%M:%SZ}, {report.records} records")
    return _status(report)


def _format_of(output: str | None) -> Format:
    return Format.MARKDOWN if output is not None and Path(output).suffix in {".md", ".markdown"} else Format.HTML


def _as_of(given: argparse.Namespace, outside: CliContext) -> datetime:
    now = outside.clock.now()
    return _past(given.as_of, now, "--as-of") if given.as_of is not None else now


def _past(told: datetime | timedelta, now: datetime, option: str) -> datetime:
    at = moment(told, now)
    if at > now:
        raise ConfigurationError(f"{option}: {at:%Y-%m-%dT%H:%M:%SZ} is yet to come: give a time until now")
    return at


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as problem:
        raise ConfigurationError(f"{file} cannot be written: {problem.strerror or problem}") from problem


def _status(report: AuditReport) -> int:
    if report.proof.ok:
        return OK
    many = len(report.proof.findings)
    echo_error(f"the audit chain of {name_of(report.model)} does not verify: {many} findings; serinus audit verify")
    return DOUBTFUL


# ---- reading ----------------------------------------------------------------------------------


async def _known(given: argparse.Namespace, outside: CliContext, model: ObjectKey) -> ReportInput:
    """Read everything of one model; NotFoundError where the registry knows nothing of it.

    The checkpoints first: one that has seen more than the head says afterwards is a finding, not a race.
    """
    seen = await seen_by_checkpoints(given, model) if given.checkpoints is not None else None
    async with opened(given, outside) as store:
        report_input = await _material(store, model)
    if not report_input.head.audit.sequence and not report_input.entries:
        raise NotFoundError(f"there is no record of {name_of(model)} in {given.registry}: is the namespace right?")
    return ReportInput(
        model=model,
        head=report_input.head,
        records=report_input.records,
        entries=report_input.entries,
        anchors=seen.of(model) if seen is not None else (),
        findings=seen.findings if seen is not None else (),
        notes=seen.notes if seen is not None else (),
        policy=await outside.read_policy(model) if in_cluster(given) else None,
    )


async def _material(store: RegistryStore, model: ObjectKey) -> ReportInput:
    head = await store.read_head(model)
    begin, end = head.audit.pruned_through, head.audit.sequence
    return ReportInput(
        model=model,
        head=head,
        records=[record async for record in store.read_records(model, after=begin, through=end)],
        entries=[entry async for entry in store.list_versions(model, Query())],
    )


# ---- short answers ----------------------------------------------------------------------------


async def _live(given: argparse.Namespace, outside: CliContext) -> int:
    as_of = _as_of(given, outside)
    at = _past(given.live_at, as_of, "--live-at")
    statuses = [OK]
    async for report in _dossiers(given, outside, as_of):
        echo(live_line(report, report.live_at(at)))
        statuses.append(_status(report))
    if len(statuses) == 1:
        echo_error(f"there is no model in {given.registry}")
    return max(statuses)


async def _dossiers(given: argparse.Namespace, outside: CliContext, as_of: datetime) -> AsyncIterator[AuditReport]:
    if given.model is not None:
        yield compile_report(await _known(given, outside, model_of(given)), as_of)
        return
    async with opened(given, outside, everywhere=given.namespace is None) as store:
        models = sorted([model async for model, _ in store.list_models()])
        for model in models:
            if given.namespace in {None, model.namespace}:
                yield compile_report(await _material(store, model), as_of)


async def _used(given: argparse.Namespace, outside: CliContext) -> int:
    option, digest = ("--data", given.data) if given.data is not None else ("--artifact", given.artifact)
    if re.fullmatch(DIGEST, digest) is None:
        raise ConfigurationError(f"{option}: {digest!r} is no digest: write sha256: and 64 hexadecimal digits")
    query = Query(data_digest=digest) if given.data is not None else Query(digest=digest)
    as_of = _as_of(given, outside)
    only = model_of(given) if given.model is not None else None
    namespace = only.namespace if only is not None else given.namespace
    found: list[tuple[ObjectKey, VersionStory]] = []
    statuses = [OK]
    async with opened(given, outside, everywhere=namespace is None) as store:
        versions: dict[ObjectKey, set[str]] = {}
        async for model, entry in store.find_versions(query):
            if only in {None, model} and namespace in {None, model.namespace}:
                versions.setdefault(model, set()).add(entry.version)
        for model in sorted(versions):
            report = compile_report(await _material(store, model), as_of)
            found += ((model, story) for story in report.versions if story.version in versions[model])
            statuses.append(_status(report))
    echo(used_table(found) if found else f"No registered version has {option.removeprefix('--')} {digest}.")
    return max(statuses)
