"""Recognises a plan of stages that is not a manifest, as deployment scripts keep it."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from serinus.api.names import ROLLOUT
from serinus.cli.lint.finding import Check, Problem
from serinus.cli.lint.object_check import schema_of
from serinus.cli.lint.schema_check import schema_problems

STDIN_NAME: Final = "<stdin>"
_TELLING: Final = frozenset({"traffic", "abort_on", "abortOn", "rollback_to", "rollbackTo"})
"""One of these tells a stage of ours from what other programs call so."""


def is_plan(value: object) -> bool:
    """Return whether a document without apiVersion has stages with traffic, or is a list of such."""
    if isinstance(value, Mapping):
        return "apiVersion" not in value and is_plan(value.get("stages"))
    return isinstance(value, list) and any(isinstance(one, Mapping) and _TELLING & one.keys() for one in value)


def plan_problems(plan: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Yield that the plan is not a Rollout, then each field that has another name there."""
    said = "a plan of stages without apiVersion and kind is no Rollout, and kubectl refuses it"
    named = "FILE" if file == STDIN_NAME else shlex.quote(file)
    yield Problem(Check.PLAN, "", said, f"serinus import plan {named} turns it into one")
    schema = schema_of(ROLLOUT.kind)["properties"]["spec"]
    for problem in schema_problems(plan, schema, ""):
        if problem.check is Check.UNKNOWN_FIELD:
            yield problem
