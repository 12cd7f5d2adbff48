"""`serinus status`: one Rollout in one look, once or until its run is over."""

from dataclasses import dataclass
from typing import Final, Self

import click

from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place, start_json
from serinus.cli.rollouts.options import (
    RESOURCE,
    Output,
    checked_name,
    name_argument,
    output_option,
    place_of,
    place_options,
)
from serinus.cli.rollouts.outcome import OK, STATUS_ENDS
from serinus.cli.times import parse_length
from serinus.errors import ConfigurationError

_ABOUT: Final = "show what serves, what is tried, why, and what comes next"


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
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError for a name that no Rollout has, or a lone timeout."""
        if params["timeout"] is not None and not params["watch"]:
            raise ConfigurationError("--timeout needs --watch: without it status returns at once")
        return cls(
            name=checked_name(params["name"]),
            place=place_of(params),
            output=Output(params["output"]),
            watch=params["watch"],
            timeout=params["timeout"].total_seconds() if params["timeout"] is not None else None,
        )


@command("status", StatusOptions.from_params, _ABOUT, closed_pipe=OK, statuses=STATUS_ENDS)
@name_argument
@place_options
@click.option("-w", "--watch", is_flag=True, help="follow the run until it is over")
@click.option("--timeout", type=parse_length, metavar="TIME", help="with --watch: end after 90s, 10m or 2h")
@output_option
def status(options: StatusOptions, context: CliContext) -> int:
    """Run the command."""
    reading = None if options.watch else start_json(["get", RESOURCE, options.name, *options.place.words])
    # kubectl takes a tenth of a second: what the screen is made of loads meanwhile.
    from serinus.cli.rollouts.show import follow_rollout, show_rollout  # noqa: PLC0415

    if reading is None:
        return follow_rollout(options.name, options.place, options.output, options.timeout, context)
    return show_rollout(reading(), options.output, context)
