"""`serinus history`: the runs of a Rollout that have ended."""

import json
import sys
from dataclasses import dataclass
from typing import Final, Self

from serinus.api.parsing import encode
from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place
from serinus.cli.output import echo, write_screen
from serinus.cli.rollouts.list_text import history_lines
from serinus.cli.rollouts.options import checked_name, data_option, name_argument, place_of, place_options
from serinus.cli.rollouts.read import get_rollout, subject_of
from serinus.cli.screen import Look, render
from serinus.engine.view.rollout import run_view

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryOptions:
    """Options of ``serinus history``."""

    name: str
    place: Place
    output: str

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError for a name that no Rollout has."""
        return cls(name=checked_name(params["name"]), place=place_of(params), output=params["output"])


@command(
    "history",
    HistoryOptions.from_params,
    "list the last runs of a Rollout: version, result, when, how long, why",
    closed_pipe=OK,
)
@name_argument
@place_options
@data_option
def history(options: HistoryOptions, context: CliContext) -> int:
    """Run the command."""
    runs = subject_of(get_rollout(options.name, options.place)).status.history
    if options.output == "json":
        write_screen(f"{json.dumps([encode(run) for run in runs], indent=2)}\n")
    elif options.output == "yaml":
        from serinus.yaml_output import to_yaml  # noqa: PLC0415 - the other forms need no YAML

        write_screen(to_yaml({"history": [encode(run) for run in runs]}))
    elif not runs:
        echo(f"No run of {options.name} has ended yet.", err=True)
    else:
        look = Look.of(sys.stdout, context.environment)
        write_screen(render(history_lines([run_view(run) for run in runs], context.clock.now(), look), look))
    return OK
