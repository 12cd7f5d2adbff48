"""``serinus import plan``: a plan in snake_case becomes a Rollout, or the field that does not fit is named."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.api.route import RouteKind, RuleId
from serinus.cli import main

PLAN: Final[dict[str, Any]] = {
    "model_id": "fraud-detector-v2.3.1",
    "stages": [
        {"name": "staging", "traffic": "0%", "duration": "1h"},
        {
            "name": "canary",
            "traffic": "5%",
            "duration": "2h",
            "abort_on": ["latency_p95>200ms", "error_rate > 0.5%"],
            "rollback_to": "v2.2.4",
        },
        {"name": "production", "traffic": "100%", "duration": "30m"},
    ],
}


def write(folder: Path, plan: object) -> str:
    file = folder / "plan.yaml"
    file.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return str(file)


def with_stage(number: int, **changes: object) -> dict[str, Any]:
    stages = [{**stage, **(changes if index == number else {})} for index, stage in enumerate(PLAN["stages"])]
    return {**PLAN, "stages": stages}


def imported(folder: Path, plan: object, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[RolloutSpec, str]:
    assert main(["import", "plan", write(folder, plan), *words]) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    return decode(RolloutSpec, yaml.safe_load(text)["spec"], "spec"), text


def test_a_plan_becomes_a_rollout_with_comments_on_what_was_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = imported(tmp_path, PLAN, capsys, "-n", "payments", "--route", "scoring/predict")
    assert text == (
        """\
# Written by `serinus import plan`. Read before you apply it; what was decided:
# - spec.rollbackTo: 2.2.4, of the whole run, from plan.stages[1].rollback_to
# - spec.stages[0]: gets no traffic; add tests that must pass before the next
# - spec.stages[2].bake: 30m: the last stage bakes before the version counts as good
# - spec.stages[2].abortOn: as in the stage before, so that it is watched at 100% too
apiVersion: serinus.dev/v1alpha1
kind: Rollout
metadata:
  name: fraud-detector
  namespace: payments
spec:
  model: fraud-detector
  version: "2.3.1"
  rollbackTo: "2.2.4"
  route:
    httpRoute:
      name: scoring
      ruleName: predict
  stages:
  - name: staging
    traffic: "0%"
    duration: "1h"
  - name: canary
    traffic: "5%"
    duration: "2h"
    abortOn:
    - latency_p95 > 200ms
    - error_rate > 0.5%
  - name: production
    traffic: "100%"
    bake: "30m"
    abortOn:
    - latency_p95 > 200ms
    - error_rate > 0.5%
"""
    )


def test_what_it_writes_passes_lint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "rollout.yaml"
    assert main(["import", "plan", write(tmp_path, PLAN), "-o", str(written)]) == 0
    assert main(["lint", "-f", str(written)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("abort_on", "lines"),
    [
        (["error_rate > 1%"], ("error_rate > 1%",)),
        ("error_rate > 1%", ("error_rate > 1%",)),
        ("error_rate > 1%, latency_p95 > 1s", ("error_rate > 1%", "latency_p95 > 1s")),
        ("error_rate > 1% or latency_p95 > 1s", ("error_rate > 1%", "latency_p95 > 1s")),
        ({"error_rate": "1%", "latency_p95": ">= 200ms"}, ("error_rate > 1%", "latency_p95 >= 200ms")),
        ({"error_rate": 0.01}, ("error_rate > 0.01",)),
    ],
)
def test_conditions_may_be_a_list_a_text_or_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], abort_on: object, lines: tuple[str, ...]
) -> None:
    spec, _ = imported(tmp_path, with_stage(1, abort_on=abort_on), capsys)
    assert spec.stages[1].abort_on == lines
    assert spec.stages[2].abort_on == lines


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"traffic": 5}, "# - spec.stages[1].traffic: 5%, for the number 5"),
        ({"duration": "2d"}, "# - spec.stages[1].duration: 48h, for 2d"),
        ({"name": "First Look"}, "# - spec.stages[1].name: first-look, for 'First Look'"),
        (
            {"rollback_to": "previous"},
            "# - spec.rollbackTo: left out, so a rollback goes to the last known good version",
        ),
        ({"rollback_to": "fraud-detector-v2.2.4"}, "# - spec.rollbackTo: 2.2.4, of the whole run,"),
    ],
)
def test_what_is_decided_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], line: str
) -> None:
    _, text = imported(tmp_path, with_stage(1, **change), capsys)
    assert any(told.startswith(line) for told in text.splitlines()), text


def test_conditions_of_a_stage_without_traffic_are_left_out_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, text = imported(tmp_path, with_stage(0, abort_on=["error_rate > 1%"]), capsys)
    assert spec.stages[0].abort_on == ()
    assert "# - spec.stages[0].abortOn: left out, at 0% there are no requests to judge" in text


def test_a_plan_may_be_the_list_of_stages_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, text = imported(tmp_path, PLAN["stages"], capsys, "--model", "fraud", "--version", "v2.3.1")
    assert (spec.model, spec.version, spec.route.rule) == ("fraud", "2.3.1", RuleId(RouteKind.HTTP_ROUTE, "fraud"))
    assert "# - spec.route: HTTPRoute fraud, the model's name; --route names another one" in text


REFUSED: Final = [
    (with_stage(1, abort_one=["x > 1"]), "plan.stages[1]: unknown field abort_one: did you mean abort_on?"),
    (with_stage(1, weight=5), "plan.stages[1]: unknown field weight: did you mean traffic?"),
    (with_stage(1, zebra=5), "plan.stages[1]: unknown field zebra: the known fields are abort_on, duration, name,"),
    ({**PLAN, "owner": "ml"}, "plan: unknown field owner: the known fields are model, model_id, rollback_to, stages,"),
    ({**PLAN, "stages": "all"}, "plan.stages: Expected `array`, got `str`"),
    (5, "plan: Expected `object`, got `int`"),
    (with_stage(1, traffic=0.05), 'plan.stages[1].traffic: 0.05 may be a ratio or a percentage: write "5%" or "0.05%"'),
    (with_stage(1, traffic="half"), "plan.stages[1].traffic: invalid share of traffic 'half'"),
    (with_stage(1, duration=30), 'plan.stages[1].duration: 30 has no unit: write "30s", "30m" or "30h"'),
    (with_stage(1, duration="soon"), "plan.stages[1].duration: invalid duration 'soon'"),
    (
        with_stage(1, abort_on=["error_rate > .5%"]),
        "plan.stages[1].abort_on: invalid condition 'error_rate > .5%': write",
    ),
    (with_stage(1, abort_on=None), 'plan.stages[1].abort_on: is missing: say when canary is bad, such as ["error_rate'),
    (with_stage(2, traffic="50%"), "the Rollout's spec.stages: the last stage must have 100% traffic"),
    (with_stage(2, rollback_to="2.1.0"), "plan.stages[2].rollback_to: 2.1.0 here, and 2.2.4 in plan.stages[1]"),
    (with_stage(1, rollback_to="yesterday"), "plan.stages[1].rollback_to: invalid version 'yesterday'"),
    ({**PLAN, "model_id": "fraud"}, "plan.model_id: write <model>-v<version>, such as fraud-detector-v2.3.1"),
    ({**PLAN, "model_id": ""}, "plan.model: is missing: give it there or by --model"),
    ({**PLAN, "model": "Fraud!"}, "plan.model: invalid name 'Fraud!'"),
    ({**PLAN, "version": "latest"}, "plan.version: invalid version 'latest': write a SemVer 2.0 version"),
]


@pytest.mark.parametrize(("plan", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_does_not_fit_is_refused_naming_the_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plan: object, words: str
) -> None:
    assert main(["import", "plan", write(tmp_path, plan)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"serinus: {tmp_path}/plan.yaml: {words}")


@pytest.mark.parametrize("content", ["a: [", "---\na: 1\n---\nb: 2\n", "", "\x00"])
def test_a_file_that_is_not_one_plan_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(content, encoding="utf-8")
    assert main(["import", "plan", str(file)]) == 1
    assert str(file) in capsys.readouterr().err
