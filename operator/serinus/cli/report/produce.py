"""Produces the output of ``serinus report``: the page, or a short answer on the terminal.

It loads everything that compiles a report, so :mod:`serinus.cli.report.command` imports it only to run.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from serinus.api.names import ObjectKey
from serinus.cli.audit.verify import seen_by_checkpoints
from serinus.cli.context import CliContext
from serinus.cli.output import echo, echo_error
from serinus.cli.report.answers import live_line, used_table
from serinus.cli.report.command import DOUBTFUL, OK, Format, ReportOptions
from serinus.cli.session import name_of, open_registry
from serinus.engine.report.compile import AuditReport, ReportInput, compile_report
from serinus.engine.report.versions import VersionStory
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.errors import ConfigurationError, NotFoundError, RefusedError
from serinus.ports.registry_store import RegistryStore

STDOUT: Final = "-"


# ---- the page ---------------------------------------------------------------------------------


async def write_page(options: ReportOptions, context: CliContext, as_of: datetime, model: ObjectKey) -> int:
    """Write the page about a model to a file or to standard output; return the exit status."""
    from serinus.cli.report.page import render_html, render_markdown  # noqa: PLC0415 - Jinja2 is for pages only

    form = options.format or _format_of(options.output)
    report = compile_report(await _read_known(options, context, model), as_of)
    text = render_html(report) if form is Format.HTML else render_markdown(report)
    if options.output == STDOUT:
        echo(text.removesuffix("\n"))
    else:
        file = Path(options.output or f"{model.name}-report{form.suffix}")
        _write(file, text)
        echo(f"{file}: {name_of(model)} as of {as_of:%Y-%m-%dT%H:%M:%SZ}, {report.records} records")
    return _status(report)


def _format_of(output: str | None) -> Format:
    return Format.MARKDOWN if output is not None and Path(output).suffix in {".md", ".markdown"} else Format.HTML


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


async def _read_known(options: ReportOptions, context: CliContext, model: ObjectKey) -> ReportInput:
    """Read everything about one model; NotFoundError if the registry has nothing.

    The checkpoints are read before the head: one that is ahead of the head is then a finding, not a race.
    """
    registry, source = options.registry, options.checkpoints
    seen = await seen_by_checkpoints(source, model) if source.url is not None else None
    async with open_registry(registry, context) as store:
        report_input = await _read(store, model)
    if not report_input.head.audit.sequence and not report_input.entries:
        raise NotFoundError(f"there is no record of {name_of(model)} in {registry.url}: is the namespace right?")
    if seen is not None:
        anchors = seen.of(model, report_input.owner)
        report_input = replace(report_input, anchors=anchors, findings=seen.findings, notes=seen.notes)
    return replace(report_input, policy=await context.read_policy(model) if registry.in_cluster else None)


async def _read(store: RegistryStore, model: ObjectKey) -> ReportInput:
    contents = await store.inspect(model)
    head = await store.read_head(model)
    records = [record async for record in store.read_records(model, after=head.audit.pruned_through)]
    latest = await store.read_head(model) if records and records[-1].sequence > head.audit.sequence else head
    return ReportInput(
        model=model,
        head=head,
        records=records,
        entries=await _entries(store, model),
        contents=contents,
        latest=latest.audit.sequence,
        owner=await store.owner(),
    )


async def _entries(store: RegistryStore, model: ObjectKey) -> list[VersionEntry]:
    """Return the versions that can be read; those that cannot are findings of the chain's verification."""
    try:
        return [entry async for entry in store.list_versions(model, Query())]
    except RefusedError:
        return []


# ---- short answers ----------------------------------------------------------------------------


async def print_live(options: ReportOptions, context: CliContext, as_of: datetime, at: datetime) -> int:
    """Print which version of each model was live at a time; return the exit status."""
    statuses = []
    async for report in _reports(options, context, as_of):
        echo(live_line(report, report.live_at(at)))
        statuses.append(_status(report))
    if not statuses:
        echo_error(f"there is no model in {options.registry.url}")
    return max(statuses, default=OK)


async def _reports(options: ReportOptions, context: CliContext, as_of: datetime) -> AsyncIterator[AuditReport]:
    registry = options.registry
    if options.model is not None:
        yield compile_report(await _read_known(options, context, registry.model_key(options.model)), as_of)
        return
    async with open_registry(registry, context, everywhere=registry.namespace is None) as store:
        models = sorted([model async for model, _ in store.list_models()])
        for model in models:
            if registry.namespace in {None, model.namespace}:
                yield compile_report(await _read(store, model), as_of)


async def print_uses(options: ReportOptions, context: CliContext, as_of: datetime, query: Query) -> int:
    """Print the versions with a data set or an artifact, and when each was in production; return the exit status."""
    only = options.registry.model_key(options.model) if options.model is not None else None
    namespace = only.namespace if only is not None else options.registry.namespace
    uses: list[tuple[ObjectKey, VersionStory]] = []
    statuses = [OK]
    async with open_registry(options.registry, context, everywhere=namespace is None) as store:
        versions: dict[ObjectKey, set[str]] = {}
        async for model, entry in store.find_versions(query):
            if only in {None, model} and namespace in {None, model.namespace}:
                versions.setdefault(model, set()).add(entry.version)
        for model in sorted(versions):
            report = compile_report(await _read(store, model), as_of)
            uses += ((model, story) for story in report.versions if story.version in versions[model])
            statuses.append(_status(report))
    if uses:
        echo(used_table(uses))
    else:
        kind, digest = ("data", options.data) if options.data is not None else ("artifact", options.artifact)
        echo(f"No registered version has {kind} {digest}.")
    return max(statuses)
