"""``serinus report``: the audit report of a model as a page, and short answers to an auditor's questions.

Exit status: 0 done; 1 done, but the audit chain does not verify, which the first line of the page says.
"""

import argparse
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from serinus.api.schema import DIGEST
from serinus.cli.audit.verify import CheckpointSource, add_checkpoints
from serinus.cli.command import FAILED, STATUSES, Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.session import RegistryOptions, add_registry
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
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed."""
        return cls(
            model=args.model,
            registry=RegistryOptions.from_args(args),
            checkpoints=CheckpointSource.from_args(args),
            output=args.output,
            format=args.format,
            as_of=args.as_of,
            live_at=args.live_at,
            data=args.data,
            artifact=args.artifact,
        )


def add_parser(verbs: Subparsers) -> None:
    """Add ``report``."""
    explanation = "write the audit report of a model, or print which version was live when or used which data"
    parser = verbs.add_parser("report", help=explanation, description=explanation)
    parser.add_argument("model", metavar="MODEL", nargs="?", help="the model, as name or namespace/name")
    add_registry(parser)
    add_checkpoints(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="file to write, - for standard output (default: <model>-report.html)"
    )
    parser.add_argument(
        "--format", type=Format, choices=list(Format), help="format (default: that of the file's suffix, else html)"
    )
    parser.add_argument(
        "--as-of",
        type=parse_time,
        metavar="TIME",
        help="leave out later records: 2026-11-01, 2026-11-01T14:00Z, or 36h for 36 hours ago",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--live-at",
        type=parse_time,
        metavar="TIME",
        help="print which version was live at this time; without MODEL, of all models",
    )
    instead.add_argument("--data", metavar="DIGEST", help="print all versions that were trained on this data set")
    instead.add_argument("--artifact", metavar="DIGEST", help="print all versions with this artifact")
    set_handler(parser, ReportOptions.from_args, _report, statuses=_STATUSES)


async def _report(options: ReportOptions, context: CliContext) -> int:
    """Write the page or print the answer, and return the exit status.

    Raises:
        SerinusError: the registry or the checkpoints could not be read, or the page could not be written.
    """
    # Loads all of engine.report: other verbs must not wait for it.
    from serinus.cli.report.produce import print_live, print_uses, write_page  # noqa: PLC0415

    options.checkpoints.check()
    as_of = _as_of(options, context)
    if options.data is not None:
        return await print_uses(options, context, as_of, Query(data_digest=_checked("--data", options.data)))
    if options.artifact is not None:
        return await print_uses(options, context, as_of, Query(digest=_checked("--artifact", options.artifact)))
    if options.live_at is not None:
        return await print_live(options, context, as_of, _past(options.live_at, as_of, "--live-at"))
    if options.model is None:
        raise ConfigurationError("name a MODEL, or give --live-at, --data or --artifact")
    return await write_page(options, context, as_of, options.registry.model_key(options.model))


def _as_of(options: ReportOptions, context: CliContext) -> datetime:
    now = context.clock.now()
    return _past(options.as_of, now, "--as-of") if options.as_of is not None else now


def _past(time: datetime | timedelta, now: datetime, option: str) -> datetime:
    at = resolve_time(time, now)
    if at > now:
        raise ConfigurationError(f"{option}: {at:%Y-%m-%dT%H:%M:%SZ} is in the future: give a time up to now")
    return at


def _checked(option: str, digest: str) -> str:
    if re.fullmatch(DIGEST, digest) is None:
        raise ConfigurationError(f"{option}: invalid digest {digest!r}: write sha256: and 64 hexadecimal digits")
    return digest
