"""Plans of stages that are not manifests: lint recognises them, and says what to write."""

import io
import sys
from pathlib import Path

import pytest

from serinus.cli.main import main

PLAN = """\
model_id: fraud-detector-v2.3.1
stages:
  - name: canary
    traffic: 5%
    abort_on: ["error_rate > 0.5%"]
  - name: production
    traffic: 100%
    rollback_to: fraud-detector-v2.3.0
"""


def test_a_plan_in_snake_case_is_told_field_by_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    assert main(["lint", "-f", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"{file}:1:1: ")
    assert f"serinus import plan {file} turns it into one [plan]" in lines[0]
    assert lines[1].endswith('model_id: unknown field "model_id": did you mean model? [unknown-field]')
    assert lines[2].startswith(f"{file}:5:5: stages[0].abort_on: ")
    assert lines[2].endswith("did you mean abortOn? [unknown-field]")
    assert "did you mean spec.rollbackTo?" in lines[3]


def test_a_list_of_stages_is_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a plan.yaml"
    file.write_text('[{name: canary, traffic: 5%, abort_on: ["error_rate > 0.5%"]}]')
    assert main(["lint", "-f", str(file)]) == 1
    told = capsys.readouterr().out
    assert f"serinus import plan '{file}' turns it into one" in told
    assert "did you mean abortOn?" in told


def test_a_plan_on_standard_input_is_imported_from_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PLAN.encode())))
    assert main(["lint", "-f", "-"]) == 1
    assert "serinus import plan FILE turns it into one" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["stages: [build, test]", "stages: [{stage: build, jobs: []}]", "stages: 3"])
def test_the_stages_of_other_programs_are_no_plan(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ci.yaml"
    file.write_text(content)
    assert main(["lint", "-f", str(file)]) == 0
    assert "nothing to check" in capsys.readouterr().err
