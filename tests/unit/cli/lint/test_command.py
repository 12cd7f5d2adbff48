"""``serinus lint``: files, folders and standard input, the four formats, exit statuses, and places in the file."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from serinus.cli import main
from serinus.cli.lint.finding import Check

_FIRST = """\
apiVersion: serinus.dev/v1alpha1
kind: Rollout
metadata: {name: fraud-detector}
spec:
  model: fraud-detector
  version: fraud-detector-v2.3.1
  rollback_to: 2.2.4
  route: {httpRoute: {name: fraud-detector}}
  stages:
  - name: canary
    traffic: 5
    abort_on:
    - latency_p95 > 200
  - {name: production, traffic: 100%, bake: 30m}
"""

_TOLD = """\
rollout.yaml:6:12: Rollout fraud-detector: spec.version: write 2.3.1, without the name of the model [rule]
rollout.yaml:7:3: Rollout fraud-detector: spec.rollback_to: unknown field "spec.rollback_to": did you mean rollbackTo? \
[unknown-field]
rollout.yaml:11:14: Rollout fraud-detector: spec.stages[0].traffic: write 5% [rule]
rollout.yaml:12:5: Rollout fraud-detector: spec.stages[0].abort_on: unknown field "spec.stages[0].abort_on": did you \
mean abortOn? [unknown-field]
rollout.yaml:13:7: Rollout fraud-detector: spec.stages[0].abortOn[0]: write 200ms or 200s: a latency needs a limit in \
ms or s [rule]
rollout.yaml:14:5: Rollout fraud-detector: spec.stages[1].abortOn: a stage with traffic needs abortOn, a stage at 0% \
has nothing to judge without mirror: say when production is bad, such as abortOn: ["error_rate > 1%"] [rule]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rollout.yaml").write_text(_FIRST, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_finding_has_its_place_its_field_and_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "-f", "rollout.yaml"]) == 1
    said = capsys.readouterr()
    assert said.out == _TOLD
    assert said.err == "6 findings in 1 object of 1 file\n"


def test_on_a_terminal_findings_are_wrapped_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["lint", "-f", "rollout.yaml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "rollout.yaml:6:12: Rollout fraud-detector: spec.version: write 2.3.1, without",
        "    the name of the model [rule]",
    ]
    assert max(map(len, lines)) <= 80


def test_a_clean_file_has_status_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = _FIRST.replace("fraud-detector-v", "").replace("rollback_to", "rollbackTo").replace("abort_on", "abortOn")
    good = (
        good.replace("traffic: 5", "traffic: 5%").replace("> 200", "> 200ms").replace("30m}", "30m, abortOn: [x > 1]}")
    )
    (folder / "rollout.yaml").write_text(good, encoding="utf-8")
    assert main(["lint", "-f", "rollout.yaml"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "no findings in 1 object of 1 file\n")


def test_standard_input_is_read_for_a_dash(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(_FIRST.encode())))
    assert main(["lint", "-f", "-"]) == 1
    assert capsys.readouterr().out == _TOLD.replace("rollout.yaml", "<stdin>")


def test_github_shows_each_finding_at_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "-f", "rollout.yaml", "-o", "github"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "::error file=rollout.yaml,line=6,col=12,title=serinus lint%3A rule::"
        "spec.version: write 2.3.1, without the name of the model"
    )
    assert "a stage at 0%25 has nothing" in lines[-1]


def test_json_has_every_part_of_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "-f", "rollout.yaml", "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found[2] == {
        "file": "rollout.yaml",
        "line": 11,
        "column": 14,
        "object": "Rollout fraud-detector",
        "check": "rule",
        "level": "error",
        "field": "spec.stages[0].traffic",
        "message": "write 5%",
        "advice": "",
    }


def test_sarif_has_a_rule_for_every_check_and_a_place_for_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "-f", "rollout.yaml", "-o", "sarif"]) == 1
    log: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [check.value for check in Check]
    assert all(rule["shortDescription"]["text"] for rule in rules)
    assert run["results"][0] == {
        "ruleId": "rule",
        "level": "error",
        "message": {"text": "spec.version: write 2.3.1, without the name of the model"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "rollout.yaml"},
                    "region": {"startLine": 6, "startColumn": 12},
                }
            }
        ],
    }


def test_no_findings_are_an_empty_list_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "service.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", encoding="utf-8")
    assert main(["lint", "-f", "service.yaml", "-o", "json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert said.err == "nothing to check: no object of serinus.dev in service.yaml\n"


def test_yaml_that_cannot_be_read_is_a_finding_with_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rollout.yaml").write_text("kind: Rollout\nspec: [\n", encoding="utf-8")
    assert main(["lint", "-f", "rollout.yaml"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("rollout.yaml:3:1: not valid YAML: ")
    assert told.endswith("[yaml]\n")


def test_a_document_that_is_not_an_object_is_a_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rollout.yaml").write_text("---\n---\n- a\n", encoding="utf-8")
    assert main(["lint", "-f", "rollout.yaml"]) == 1
    assert capsys.readouterr().out.startswith("rollout.yaml:3:1: not an object")


def test_a_key_that_is_written_twice_is_a_finding(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = _FIRST.replace("    traffic: 5\n", "    traffic: 5%\n    traffic: 10%\n")
    (folder / "rollout.yaml").write_text(twice, encoding="utf-8")
    assert main(["lint", "-f", "rollout.yaml"]) == 1
    assert "rollout.yaml:12:5: Rollout fraud-detector: traffic: is written twice" in capsys.readouterr().out


def test_the_members_of_a_list_are_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member = "\n".join(f"  {line}" for line in _FIRST.splitlines())
    (folder / "list.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:\n-{member[1:]}\n", encoding="utf-8")
    assert main(["lint", "-f", "list.yaml"]) == 1
    said = capsys.readouterr()
    assert "list.yaml:9:14: Rollout fraud-detector: spec.version: write 2.3.1" in said.out
    assert len(said.out.splitlines()) == len(_TOLD.splitlines())


def test_control_characters_do_not_reach_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = _FIRST.replace("fraud-detector-v2.3.1", '"\\e[2J\\nx"')
    (folder / "rollout.yaml").write_text(bad.replace("rollback_to", '"a\\e[31m"'), encoding="utf-8")
    for form in ("text", "github"):
        assert main(["lint", "-f", "rollout.yaml", "-o", form]) == 1
        assert "\x1b" not in capsys.readouterr().out


def test_a_folder_is_read_with_all_below_it_but_what_is_hidden(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "below").mkdir()
    (folder / ".git").mkdir()
    (folder / "below" / "more.yml").write_text(
        _FIRST.replace("name: fraud-detector}", "name: other}", 1), encoding="utf-8"
    )
    (folder / ".git" / "old.yaml").write_text("]", encoding="utf-8")
    (folder / "notes.txt").write_text("]", encoding="utf-8")
    assert main(["lint", "-f", "."]) == 1
    assert capsys.readouterr().err == "12 findings in 2 objects of 2 files\n"


@pytest.mark.parametrize("words", [["lint"], ["lint", "-f"], ["lint", "-f", "x", "-o", "xml"]])
def test_wrong_usage_has_status_2(words: list[str]) -> None:
    assert main(words) == 2


def test_a_file_that_is_not_there_and_an_empty_folder_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    assert main(["lint", "-f", "missing.yaml"]) == 1
    assert "missing.yaml cannot be read" in capsys.readouterr().err
    assert main(["lint", "-f", "empty"]) == 1
    assert "empty has no file that ends in .yaml" in capsys.readouterr().err


def test_the_examples_have_no_findings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(Path(__file__).parents[4])
    assert main(["lint", "-f", "examples"]) == 0, capsys.readouterr().out


def test_the_how_to_shows_what_is_printed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "check-manifests.md").read_text(encoding="utf-8")
    manifest = page.partition('```text title="rollout.yaml"\n')[2].partition("```")[0]
    shown = page.partition("$ serinus lint -f rollout.yaml\n")[2].partition("```")[0]
    (folder / "rollout.yaml").write_text(manifest, encoding="utf-8")
    monkeypatch.chdir(folder)
    assert main(["lint", "-f", "rollout.yaml"]) == 1
    said = capsys.readouterr()
    assert said.out + said.err == shown
