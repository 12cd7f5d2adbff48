"""``serinus report``: the page that an auditor asks for, and short answers to what auditors ask most.

0: done. 1: done, but the audit chain does not verify, and the page says so in its first line.
"""

import argparse
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from serinus.api.schema import DIGEST
from serinus.cli.audit.verify import CheckpointSource, add_checkpoints
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.session import CliContext, RegistryOptions, add_registry
from serinus.cli.times import moment, when
from serinus.engine.versions.catalogue import Query
from serinus.errors import ConfigurationError

OK, DOUBTFUL = 0, 1


class Format(StrEnum):
    """The form of the page."""

    HTML = "html"
    MARKDOWN = "markdown"

    @property
    def suffix(self) -> str:
        """How a file of it is called."""
        return ".html" if self is Format.HTML else ".md"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of ``serinus report``: a page about a model, or instead one of ``live_at``, ``data`` and ``artifact``.

    Attributes:
        output: the file; ``-`` for standard output, None for one named after the model.
        format: None for what the file's name says.
        as_of: a time, or how long ago: leave out what is later; None for now.
        live_at: likewise: which version was live then.
        data: a digest: which versions were trained on this data set.
        artifact: a digest: which versions have this artifact.
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
    set_handler(parser, ReportOptions.from_args, _report)


async def _report(options: ReportOptions, context: CliContext) -> int:
    """Answer what was asked and return 0 or 1 as the module says.

    Raises:
        SerinusError: the registry or the checkpoints could not be asked, or the page could not be written.
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
        raise ConfigurationError("name a MODEL, or ask by --live-at, --data or --artifact")
    return await write_page(options, context, as_of, options.registry.model_key(options.model))


def _as_of(options: ReportOptions, context: CliContext) -> datetime:
    now = context.clock.now()
    return _past(options.as_of, now, "--as-of") if options.as_of is not None else now


def _past(time: datetime | timedelta, now: datetime, option: str) -> datetime:
    at = moment(time, now)
    if at > now:
        raise ConfigurationError(f"{option}: {at:%Y-%m-%dT%H:%M:%SZ} is yet to come: give a time until now")
    return at


def _checked(option: str, digest: str) -> str:
    if re.fullmatch(DIGEST, digest) is None:
        raise ConfigurationError(f"{option}: {digest!r} is no digest: write sha256: and 64 hexadecimal digits")
    return digest
