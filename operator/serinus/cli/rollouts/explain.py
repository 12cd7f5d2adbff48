"""`serinus explain`: why a version was rolled back, or why a run waits, with the queries to check it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import click

from serinus.api.abort_condition import NamedQuery, parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.cli.command import Params, command
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place
from serinus.cli.output import write_screen
from serinus.cli.rollouts.explain_text import Query, explain_lines
from serinus.cli.rollouts.options import checked_name, data_option, name_argument, place_of, place_options
from serinus.cli.rollouts.read import get_rollout, subject_of
from serinus.cli.screen import Look, render
from serinus.engine.view.explanation import Explanation, explanation_of
from serinus.engine.view.standing import Subject
from serinus.metrics.paste import stage_query
from serinus.metrics.presets import PRESETS

OK: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainOptions:
    """Options of ``serinus explain``; ``everything`` explains the conditions that hold too."""

    name: str
    place: Place
    everything: bool
    output: str

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed; ConfigurationError for a name that no Rollout has."""
        return cls(
            name=checked_name(params["name"]), place=place_of(params), everything=params["all"], output=params["output"]
        )


@command(
    "explain",
    ExplainOptions.from_params,
    "say why a version was rolled back or a run waits, with the queries to check it",
    closed_pipe=OK,
)
@name_argument
@place_options
@click.option("--all", is_flag=True, help="explain every condition of the stage")
@data_option
def explain(options: ExplainOptions, context: CliContext) -> int:
    """Run the command."""
    subject, now = subject_of(get_rollout(options.name, options.place)), context.clock.now()
    explained = explanation_of(subject, now, everything=options.everything)
    queries = queries_of(explained, subject)
    if options.output == "text":
        look = Look.of(sys.stdout, context.environment)
        write_screen(render(explain_lines(explained, queries, now, look), look))
        return OK
    from serinus.cli.rollouts.explain_data import explanation_data  # noqa: PLC0415 - the text needs none of it
    from serinus.yaml_output import to_yaml  # noqa: PLC0415 - nor that

    data = explanation_data(explained, queries)
    write_screen(to_yaml(data) if options.output == "yaml" else f"{json.dumps(data, indent=2)}\n")
    return OK


def queries_of(explained: Explanation, subject: Subject) -> Mapping[str, Sequence[Query]]:
    """Return, by condition, what to paste into Prometheus; for a comparison also of the stable version."""
    return {check.condition: tuple(_queries(check.condition, explained, subject)) for check, _ in explained.checks}


def _queries(line: str, explained: Explanation, subject: Subject) -> list[Query]:
    spec, condition = subject.spec, parse_abort_condition(line)
    if spec is None:
        return []
    if isinstance(condition.metric, NamedQuery):
        where = f"the named query {condition.name} of the source {spec.metrics.source} in the operator's configuration"
        return [Query(explained.version, f"# {where}")]
    preset = PRESETS.get(spec.metrics.preset)
    if preset is None or explained.begin is None:
        return []
    sides: list[tuple[str, BackendRef | None]] = [(explained.version, explained.backend)]
    if condition.compared:
        sides.append(("the stable version", explained.stable_backend))
    found = []
    for of, backend in sides:
        query = ""
        if backend is not None:
            period = (explained.begin, explained.end)
            query = stage_query(preset, condition, subject.key.namespace, backend, period)
        if query:
            found.append(Query(of, query))
    return found
