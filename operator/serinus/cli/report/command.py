"""``serinus report``: the audit report of a model as a page, and short answers to an auditor's questions.

Exit status: 0 done; 1 done, but the audit chain does not verify, which the first line of the page says.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

import click

from serinus.cli import cluster_names
from serinus.cli.audit.verify import CheckpointSource, checkpoint_options
from serinus.cli.command import FAILED, STATUSES, Params, choice, command
from serinus.cli.context import CliContext
from serinus.cli.session import ArgumentError, RegistryOptions, parse_digest, registry_options
from serinus.cli.times import parse_time, resolve_time
from serinus.engine.versions.catalogue import Query
from serinus.errors import ConfigurationError

OK, DOUBTFUL = 0, 1
_STATUSES: Final = STATUSES | {DOUBTFUL: f"done, but the audit chain does not verify; or {FAILED}"}


class Format(StrEnum):
    """The form of the page."""

    HTML = "html"
    MARKDOWN = "markdown"

    @property
    def suffix(self) -> str:
        """Suffix of its files."""
        return ".html" if self is Format.HTML else ".md"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of ``serinus report``: a page about a model, or an answer to one of live_at, data and artifact.

    Attributes:
        output: the file; ``-`` for standard output, None for a file named after the model.
        format: None to derive it from the file's name.
        as_of: a time or an age: later records are left out; None for now.
        live_at: a time or an age: find the version that was live then.
        data: a digest: find the versions that were trained on this data set.
        artifact: a digest: find the versions with this artifact.
    """

    model: str | None
    registry: RegistryOptions
    checkpoints: CheckpointSource
    output: str | None
    format: Format | None
    as_of: datetime | timedelta | None
    live_at: datetime | timedelta | None
    data: str | None
    artifact: str | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError if they contradict each other, or ask for nothing."""
        asked = (params["model"], params["live_at"], params["data"], params["artifact"])
        if all(one is None for one in asked):
            raise ConfigurationError("name a MODEL, or give --live-at, --data or --artifact")
        return cls(
            model=params["model"],
            registry=RegistryOptions.from_params(params),
            checkpoints=CheckpointSource.from_params(params),
            output=params["output"],
            format=Format(params["format"]) if params["format"] is not None else None,
            as_of=params["as_of"],
            live_at=params["live_at"],
            data=params["data"],
            artifact=params["artifact"],
        )


@command(
    "report",
    ReportOptions.from_params,
    "write the audit report of a model, or print which version was live when or used which data",
    statuses=_STATUSES,
    exclusive=("live_at", "data", "artifact"),
)
@click.argument(
    "model",
    metavar="[MODEL]",
    required=False,
    shell_complete=cluster_names.models,
    help="the model, as name or namespace/name",
)
@registry_options
@checkpoint_options
@click.option(
    "-o", "--output", metavar="FILE", help="file to write, - for standard output (default: <model>-report.html)"
)
@click.option("--format", type=choice(Format), help="format (default: that of the file's suffix, else html)")
@click.option(
    "--as-of",
    type=parse_time,
    metavar="TIME",
    help="leave out later records: 2026-11-01, 2026-11-01T14:00Z, or 36h for 36 hours ago",
)
@click.option(
    "--live-at",
    type=parse_time,
    metavar="TIME",
    help="print which version was live at this time; without MODEL, of all models",
)
@click.option(
    "--data", type=parse_digest, metavar="DIGEST", help="print all versions that were trained on this data set"
)
@click.option("--artifact", type=parse_digest, metavar="DIGEST", help="print all versions with this artifact")
async def report(options: ReportOptions, context: CliContext) -> int:
    """Write the page or print the answer, and return the exit status.

    Raises:
        SerinusError: the registry or the checkpoints could not be read, or the page could not be written.
    """
    # Loads all of engine.report: other verbs must not wait for it.
    from serinus.cli.report.produce import print_live, print_uses, write_page  # noqa: PLC0415

    as_of = _as_of(options, context)
    if options.data is not None:
        return await print_uses(options, context, as_of, Query(data_digest=options.data))
    if options.artifact is not None:
        return await print_uses(options, context, as_of, Query(digest=options.artifact))
    if options.live_at is not None:
        return await print_live(options, context, as_of, _past(options.live_at, as_of, "--live-at"))
    return await write_page(options, context, as_of, options.registry.model_key(options.model or ""))


def _as_of(options: ReportOptions, context: CliContext) -> datetime:
    now = context.clock.now()
    return _past(options.as_of, now, "--as-of") if options.as_of is not None else now


def _past(time: datetime | timedelta, now: datetime, option: str) -> datetime:
    at = resolve_time(time, now)
    if at > now:
        problem = f"{at:%Y-%m-%dT%H:%M:%SZ} is in the future: give a time up to now"
        raise ArgumentError(problem, param_hint=f"'{option}'")
    return at
