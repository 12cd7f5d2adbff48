"""`serinus list`: every Rollout in one line each, those that need a person first."""

import json
import sys
from dataclasses import dataclass
from typing import Final, Self

import click

from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from serinus.cli.kubectl import DEFAULT_NAMESPACE, Place, current_namespace
from serinus.cli.output import echo, echo_error, write_screen
from serinus.cli.rollouts.list_text import list_lines
from serinus.cli.rollouts.options import RESOURCE, Output, output_option, place_of, place_options
from serinus.cli.rollouts.read import Raw, read_rollouts, subject_of
from serinus.cli.rollouts.read import without_managed_fields as clean
from serinus.cli.screen import Look, render
from serinus.engine.view.rollout import view_of
from serinus.engine.view.standing import ORDER, Subject, standing_of
from serinus.errors import InvalidObjectError

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    """Options of ``serinus list``; ``everywhere`` lists all namespaces."""

    place: Place
    everywhere: bool
    output: Output

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(place=place_of(params), everywhere=params["all_namespaces"], output=Output(params["output"]))


@command("list", ListOptions.from_params, "list the Rollouts, those that need a person first", closed_pipe=OK)
@place_options
@click.option("-A", "--all-namespaces", is_flag=True, help="list the Rollouts of all namespaces")
@output_option
def list_rollouts(options: ListOptions, context: CliContext) -> int:
    """Run the command."""
    found = read_rollouts(options.place, everywhere=options.everywhere)
    subjects = _typed(found)
    if subjects or options.output not in {Output.TEXT, Output.WIDE}:
        write_screen(_shown(subjects, options, context))
    elif not found:
        echo(_nothing(options), err=True)
    return OK


def _nothing(options: ListOptions) -> str:
    """Return where no Rollout was found: kubectl is asked for the namespace only then."""
    if options.everywhere:
        return "No Rollouts found in any namespace."
    namespace = options.place.namespace or current_namespace(options.place.kube_context) or DEFAULT_NAMESPACE
    return f"No Rollouts found in namespace {namespace}; -A looks in all of them."


def _typed(raws: list[Raw]) -> list[tuple[Raw, Subject]]:
    """Return the Rollouts in order: what needs a person first; one that cannot be read is told and left out."""
    found = []
    for raw in raws:
        try:
            found.append((raw, subject_of(raw)))
        except InvalidObjectError as problem:
            metadata = raw.get("metadata")
            name = metadata.get("name", "?") if isinstance(metadata, dict) else "?"
            echo_error(f"Rollout {name} is left out: {problem}")
    return sorted(found, key=lambda one: (ORDER[standing_of(one[1])], one[1].key))


def _shown(subjects: list[tuple[Raw, Subject]], options: ListOptions, context: CliContext) -> str:
    objects = {"apiVersion": "v1", "kind": "List", "items": [clean(raw) for raw, _ in subjects]}
    match options.output:
        case Output.JSON:
            return f"{json.dumps(objects, indent=2)}\n"
        case Output.YAML:
            from serinus.yaml_output import to_yaml  # noqa: PLC0415 - the other forms need no YAML

            return to_yaml(objects)
        case Output.NAME:
            return "".join(f"{RESOURCE.replace('rollouts', 'rollout')}/{one.key.name}\n" for _, one in subjects)
        case Output.TEXT | Output.WIDE:
            look, now = Look.of(sys.stdout, context.environment), context.clock.now()
            views = [(view_of(one, now), one.created_at) for _, one in subjects]
            wide = options.output is Output.WIDE
            return render(list_lines(views, now, look, everywhere=options.everywhere, wide=wide), look)
