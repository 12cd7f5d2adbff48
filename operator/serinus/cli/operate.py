"""``serinus run``: the command that starts the operator."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import click

from serinus.cli.command import FILE, STATUSES, Params, choice, command
from serinus.cli.context import CliContext

OK: Final = 0
LEADERSHIP_LOST: Final = 3
_ENDS: Final = STATUSES | {OK: "stopped by a signal", LEADERSHIP_LOST: "another process leads"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of ``serinus run``."""

    config: Path | None
    log_format: str

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(config=params["config"], log_format=params["log_format"])


@command("run", RunOptions.from_params, "run the operator", statuses=_ENDS)
@click.option("--config", type=FILE, metavar="FILE", help="configuration file (default: SERINUS_CONFIG)")
@click.option(
    "--log-format", type=choice(("text", "json")), default="text", show_default=True, help="format of log lines"
)
def operate(options: RunOptions, _: CliContext) -> int:
    """Run the command."""
    # The operator's libraries take half a second to load: other verbs must not wait for them.
    from serinus.cli.run import run  # noqa: PLC0415

    return run(options.config, options.log_format)
