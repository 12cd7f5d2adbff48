"""``serinus import plan``: a Rollout from a plan of stages that somebody keeps in snake_case."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import click

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.names import API_VERSION, ROLLOUT
from serinus.api.quantities import ALL_OF_IT, NONE_OF_IT, Duration, Share
from serinus.api.schema import NAME, SEMVER, SEMVER_ADVICE, SUBDOMAIN, in_python
from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.importing.manifest import identity_options, namespace_option, output_option, write_text
from serinus.cli.importing.plan_file import Number, Plan, PlanStage, read_plan
from serinus.cli.output import printable
from serinus.errors import InvalidObjectError
from serinus.yaml_output import to_yaml

OK: Final = 0
_ID: Final = re.compile(r"(?P<model>.+?)-v(?P<version>[0-9].*)")
_LAST_GOOD: Final = frozenset({"previous", "stable", "last_good", "last-good", "last_known_good", "auto"})
_BETWEEN: Final = re.compile(r"\s*(?:,|;|\n|\|\||\bor\b)\s*")
_DAYS: Final = re.compile(r"([0-9]{1,3})d")
_ROUTE: Final = re.compile(rf"(?P<name>{SUBDOMAIN.strip('^$')})(?:/(?P<rule>{SUBDOMAIN.strip('^$')}))?")
_COMPARISON: Final = re.compile(r"\s*[<>]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanImportOptions:
    """Options of ``serinus import plan``.

    Attributes:
        path: the file with the plan.
        model: name of the model; None for that in the file.
        version: SemVer; None for that in the file.
        route: the HTTPRoute and its rule, as a Rollout has them; None for the name of the model.
        namespace: of the Rollout; empty for none.
        output: the file to write; None for standard output.
    """

    path: Path
    model: str | None
    version: str | None
    route: dict[str, str] | None
    namespace: str
    output: Path | None

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed."""
        return cls(
            path=params["path"],
            model=params["model"],
            version=params["version"],
            route=params["route"],
            namespace=params["namespace"],
            output=params["output"],
        )


def _parse_route(text: str) -> dict[str, str]:
    match = _ROUTE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"invalid route {text!r}: write name or name/rule")
    return {"name": match["name"]} | ({"ruleName": match["rule"]} if match["rule"] else {})


@command(
    "plan",
    PlanImportOptions.from_params,
    "write a Rollout from a plan of stages in snake_case (abort_on, rollback_to)",
)
@click.argument("path", type=FILE, metavar="FILE", help="the plan: stages with name, traffic, duration, abort_on")
@identity_options(
    "SemVer of the version (default: the one in the file)", "name of the model (default: the one in the file)"
)
@click.option(
    "--route",
    type=_parse_route,
    metavar="ROUTE",
    help="HTTPRoute that carries the traffic, as name or name/rule (default: the model's name)",
)
@namespace_option
@output_option
def import_plan(options: PlanImportOptions, _: CliContext) -> int:
    """Run the command."""
    write_text(_Conversion(options, read_plan(options.path)).text(), options.output)
    return OK


@dataclass
class _Conversion:
    """One plan on its way to a Rollout.

    Attributes:
        decisions: what the plan does not say in so many words, a line each.
    """

    options: PlanImportOptions
    plan: Plan
    decisions: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the manifest, under comments on what was decided.

        Raises:
            InvalidObjectError: a value has no form in a Rollout, or the API server would refuse the Rollout.
        """
        manifest = self._manifest()
        self._check(manifest)
        head = "# Written by `serinus import plan`. Read before you apply it; what was decided:\n"
        return head + "".join(f"# - {printable(line)}\n" for line in self.decisions) + to_yaml(manifest)

    def _check(self, manifest: dict[str, Any]) -> None:
        from serinus.cli.lint.object_check import object_problems  # noqa: PLC0415 - the schemas, for this command only

        problem = next(iter(object_problems(manifest)), None)
        if problem is not None:
            raise self._refused(f"the Rollout's {problem.path}", problem.sentence)

    def _refused(self, where: str, problem: str) -> InvalidObjectError:
        return InvalidObjectError(f"{self.options.path}: {where}", problem)

    def _manifest(self) -> dict[str, Any]:
        model, version = self._model_and_version()
        spec: dict[str, Any] = {"model": model, "version": version}
        target = self._rollback_target(model)
        if target:
            spec["rollbackTo"] = target
        spec["route"] = {"httpRoute": self._route(model)}
        spec["stages"] = self._stages()
        metadata = {"name": model} | ({"namespace": self.options.namespace} if self.options.namespace else {})
        return {"apiVersion": API_VERSION, "kind": ROLLOUT.kind, "metadata": metadata, "spec": spec}

    def _model_and_version(self) -> tuple[str, str]:
        found = _ID.fullmatch(self.plan.model_id)
        if self.plan.model_id and found is None:
            raise self._refused("plan.model_id", "write <model>-v<version>, such as fraud-detector-v2.3.1")
        of_id = (found["model"], found["version"]) if found else ("", "")
        model = self.options.model or self.plan.model or of_id[0]
        version = self.options.version or self.plan.version or of_id[1]
        for name, value in (("model", model), ("version", version)):
            if not value:
                raise self._refused(f"plan.{name}", f"is missing: give it there or by --{name}")
        if re.fullmatch(in_python(NAME), model) is None:
            raise self._refused("plan.model", f"invalid name {model!r}: use lower-case letters, digits and dashes")
        return model, self._version("plan.version", version, model)

    def _version(self, where: str, text: str, model: str) -> str:
        number = text.removeprefix(f"{model}-").removeprefix("v")
        if re.fullmatch(in_python(SEMVER), number) is None:
            raise self._refused(where, f"invalid version {text!r}: {SEMVER_ADVICE}")
        return number

    def _rollback_target(self, model: str) -> str:
        said = [("plan.rollback_to", self.plan.rollback_to)]
        said += [(f"plan.stages[{index}].rollback_to", one.rollback_to) for index, one in enumerate(self.plan.stages)]
        targets: dict[str, str] = {}
        for where, text in said:
            if text and text.lower() not in _LAST_GOOD:
                targets.setdefault(self._version(where, text, model), where)
        if len(targets) > 1:
            first, second = list(targets)[:2]
            raise self._refused(
                targets[second], f"{second} here, and {first} in {targets[first]}: a run has one target"
            )
        if not targets:
            self.decisions.append("spec.rollbackTo: left out, so a rollback goes to the last known good version")
            return ""
        target = next(iter(targets))
        self.decisions.append(f"spec.rollbackTo: {target}, of the whole run, from {targets[target]}")
        return target

    def _route(self, model: str) -> dict[str, str]:
        if self.options.route is None:
            self.decisions.append(f"spec.route: HTTPRoute {model}, the model's name; --route names another one")
            return {"name": model}
        return self.options.route

    # ---- stages ----------------------------------------------------------------------------------

    def _stages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        before: Sequence[str] = ()
        for index, stage in enumerate(self.plan.stages):
            last = index == len(self.plan.stages) - 1
            share = self._share(index, stage.traffic)
            converted: dict[str, Any] = {"name": self._name(index, stage.name), "traffic": str(share)}
            converted |= self._duration(index, stage.duration, last=last)
            lines = self._conditions(index, stage, share, before)
            if lines:
                converted["abortOn"], before = list(lines), lines
            elif share == NONE_OF_IT:
                self.decisions.append(
                    f"spec.stages[{index}]: gets no traffic; add tests that must pass before the next"
                )
            found.append(converted)
        return found

    def _name(self, index: int, name: str) -> str:
        plain = name.strip().lower().replace("_", "-").replace(" ", "-")
        if plain != name:
            self.decisions.append(f"spec.stages[{index}].name: {plain}, for {name!r}")
        return plain

    def _share(self, index: int, traffic: str | Number) -> Share:
        where = f"plan.stages[{index}].traffic"
        if isinstance(traffic, str):
            text = traffic.replace(" ", "")
        elif 0 < traffic < 1:
            raise self._refused(
                where, f'{traffic} may be a ratio or a percentage: write "{traffic * 100:g}%" or "{traffic}%"'
            )
        else:
            text = f"{traffic:g}%"
            self.decisions.append(f"spec.stages[{index}].traffic: {text}, for the number {traffic:g}")
        try:
            return Share(text)
        except ValueError as problem:
            raise self._refused(where, str(problem)) from problem

    def _duration(self, index: int, duration: str | Number | None, *, last: bool) -> dict[str, str]:
        if duration is None or duration in {"", 0}:
            return {}
        where, text = f"plan.stages[{index}].duration", str(duration).replace(" ", "")
        if not isinstance(duration, str):
            raise self._refused(where, f'{duration} has no unit: write "{duration}s", "{duration}m" or "{duration}h"')
        days = _DAYS.fullmatch(text)
        if days is not None:
            text = f"{int(days[1]) * 24}h"
            self.decisions.append(f"spec.stages[{index}].duration: {text}, for {duration}")
        try:
            Duration(text)
        except ValueError as problem:
            raise self._refused(where, str(problem)) from problem
        if not last:
            return {"duration": text}
        self.decisions.append(
            f"spec.stages[{index}].bake: {text}: the last stage bakes before the version counts as good"
        )
        return {"bake": text}

    def _conditions(self, index: int, stage: PlanStage, share: Share, before: Sequence[str]) -> Sequence[str]:
        where = f"plan.stages[{index}].abort_on"
        lines = tuple(self._normal(where, line) for line in _lines(stage.abort_on))
        if share == NONE_OF_IT:
            if lines:
                self.decisions.append(f"spec.stages[{index}].abortOn: left out, at 0% there are no requests to judge")
            return ()
        if lines:
            return lines
        if not before:
            raise self._refused(where, f'is missing: say when {stage.name} is bad, such as ["error_rate > 1%"]')
        at = "100%" if share == ALL_OF_IT else str(share)
        self.decisions.append(
            f"spec.stages[{index}].abortOn: as in the stage before, so that it is watched at {at} too"
        )
        return before

    def _normal(self, where: str, line: str) -> str:
        try:
            return parse_abort_condition(line).text
        except ValueError as problem:
            raise self._refused(where, str(problem)) from problem


def _lines(abort_on: list[str] | dict[str, str | Number] | str | None) -> list[str]:
    """Return the conditions, each as one line."""
    match abort_on:
        case None:
            return []
        case str():
            return [line for line in _BETWEEN.split(abort_on.strip()) if line]
        case list():
            return abort_on
        case _:
            return [
                f"{metric} {limit}" if _COMPARISON.match(str(limit)) else f"{metric} > {limit}"
                for metric, limit in abort_on.items()
            ]
