"""`serinus explain`: why a version was rolled back, or why a run waits, with the queries to check it."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from serinus.api.abort_condition import NamedQuery, parse_abort_condition
from serinus.api.modelversion import BackendRef
from serinus.cli.command import Subparsers, set_handler
from serinus.cli.context import CliContext
from serinus.cli.kubectl import Place
from serinus.cli.output import write_screen
from serinus.cli.rollouts.explain_text import Query, explain_lines
from serinus.cli.rollouts.options import add_name, add_place, checked_name, place_of
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

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Self:
        """Return the options that were parsed; ConfigurationError for a name that no Rollout has."""
        return cls(name=checked_name(args.name), place=place_of(args), everything=args.all)


def add_parser(verbs: Subparsers) -> None:
    """Add ``explain``."""
    explanation = "say why a version was rolled back or a run waits, with the queries to check it"
    parser = verbs.add_parser("explain", help=explanation, description=explanation)
    add_name(parser)
    add_place(parser)
    parser.add_argument("--all", action="store_true", help="explain every condition of the stage")
    set_handler(parser, ExplainOptions.from_args, _run, closed_pipe=OK)


def _run(options: ExplainOptions, context: CliContext) -> int:
    subject, now = subject_of(get_rollout(options.name, options.place)), context.clock.now()
    explained = explanation_of(subject, now, everything=options.everything)
    look = Look.of(sys.stdout, context.environment)
    write_screen(render(explain_lines(explained, queries_of(explained, subject), now, look), look))
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
