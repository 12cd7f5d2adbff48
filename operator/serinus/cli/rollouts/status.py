"""`serinus status`: one Rollout in one look, once or until its run is over."""

import argparse
from dataclasses import dataclass
from typing import Self

from serinus.cli.command import Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place, start_json
from serinus.cli.rollouts.options import RESOURCE, Output, add_name, add_place, checked_name, place_of
from serinus.cli.rollouts.outcome import OK, STATUS_ENDS
from serinus.cli.times import parse_length
from serinus.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions:
    """Options of ``serinus status``.

    Attributes:
        name: of the Rollout.
        place: where it is.
        output: the form of the result.
        watch: whether it is followed until its run is over.
        timeout: seconds after which following ends; None for no end.
    """

    name: str
    place: Place
    output: Output
    watch: bool
    timeout: float | None

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; ConfigurationError for a name that no Rollout has, or a lone timeout."""
        if args.timeout is not None and not args.watch:
            raise ConfigurationError("--timeout needs --watch: without it status returns at once")
        return cls(
            name=checked_name(args.name),
            place=place_of(args),
            output=Output(args.output),
            watch=args.watch,
            timeout=args.timeout.total_seconds() if args.timeout is not None else None,
        )


def add_parser(verbs: Subparsers) -> None:
    """Add ``status``."""
    explanation = "show what serves, what is tried, why, and what comes next"
    parser = verbs.add_parser("status", help=explanation, description=explanation)
    add_name(parser)
    add_place(parser)
    parser.add_argument("-w", "--watch", action="store_true", help="follow the run until it is over")
    parser.add_argument("--timeout", type=parse_length, metavar="TIME", help="with --watch: end after 90s, 10m or 2h")
    parser.add_argument("-o", "--output", choices=tuple(Output), default=Output.TEXT.value, help="(default: text)")
    set_handler(parser, StatusOptions.from_args, _run, closed_pipe=OK, statuses=STATUS_ENDS)


def _run(options: StatusOptions, context: CliContext) -> int:
    reading = None if options.watch else start_json(["get", RESOURCE, options.name, *options.place.words])
    # kubectl takes a tenth of a second: what the screen is made of loads meanwhile.
    from serinus.cli.rollouts.show import follow_rollout, show_rollout  # noqa: PLC0415

    if reading is None:
        return follow_rollout(options.name, options.place, options.output, options.timeout, context)
    return show_rollout(reading(), options.output, context)
