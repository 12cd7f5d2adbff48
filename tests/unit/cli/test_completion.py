"""Completion: the protocol of kubectl's plugins, and click's own for bash, zsh and fish, from the same commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from serinus.cli import completion
from serinus.cli.completion import KubectlCompletion

KUBECTL = """#!/bin/sh
echo "$*" >> "$0.asked"
case "$*" in
  "get rollouts.serinus.dev --namespace ml "*) echo rollout.serinus.dev/churn ;;
  "get rollouts.serinus.dev "*) echo rollout.serinus.dev/fraud; echo rollout.serinus.dev/ranker ;;
  "get models.serinus.dev "*) echo model.serinus.dev/fraud-detector ;;
  "get modelversions.serinus.dev --selector=serinus.dev/model=fraud-detector --namespace ml "*)
    echo 2.3.1; echo 2.2.4 ;;
  "get namespaces --context prod "*) echo namespace/ml ;;
  "config get-contexts --output=name") echo prod; echo staging ;;
  *) echo "no such request: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path / "kubectl.asked"


def candidates(*words: str) -> tuple[list[str], str]:
    """Return what may come next, without explanations, and the directive."""
    *lines, directive = KubectlCompletion([*words]).complete().splitlines()
    return [line.partition("\t")[0] for line in lines], directive


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["stat"], ["status"]),
        (["status", ""], ["fraud", "ranker"]),
        (["status", "f"], ["fraud"]),
        (["explain", "-n", "ml", ""], ["churn"]),
        (["explain", "--namespace=ml", ""], ["churn"]),
        (["rollback", ""], ["fraud", "ranker"]),
        (["status", "fraud", ""], []),
        (["status", "fraud", "-o", ""], ["text", "wide", "json", "yaml", "name"]),
        (["status", "fraud", "--output=j"], ["json"]),
        (["status", "--cont"], ["--context"]),
        (["status", "--context", ""], ["prod", "staging"]),
        (["status", "--context", "prod", "-n", ""], ["ml"]),
        (["lint", "--cl"], ["--cluster"]),
        (["lint", "-f", "x", "--cluster", "--context", "prod", "-n", ""], ["ml"]),
        (["lint", "-f", "x", "--cluster", "--context", ""], ["prod", "staging"]),
        (["list", ""], []),
        (["audit", "ver"], ["verify"]),
        (["audit", "verify", "--chec"], ["--checkpoints"]),
        (["audit", "log", ""], ["fraud-detector"]),
        (["audit", "log", "--registry", "dynamodb://fleet?region=eu-central-1", ""], []),
        (["registry", "get", "ml/fraud-detector", "2.3"], ["2.3.1"]),
        (["registry", "get", "--namespace", "ml", "fraud-detector", ""], ["2.3.1", "2.2.4"]),
        (["no-such-verb", ""], []),
        (["status", "--no-such-option", ""], ["fraud", "ranker"]),
        (["web", "--port", "x", ""], []),
    ],
)
def test_what_may_come_next(words: list[str], expected: list[str]) -> None:
    found, directive = candidates(*words)
    if words != ["no-such-verb", ""]:
        assert found == expected
    else:
        # click offers the verbs once more.
        assert "status" in found
    assert directive == ":4"


@pytest.mark.parametrize("words", [["lint", "-f", ""], ["diff", "-f", "examples/"], ["import", "plan", "p"]])
def test_a_file_is_left_to_the_shell(words: list[str]) -> None:
    assert candidates(*words) == ([], ":0")


def test_every_verb_is_offered_with_its_help() -> None:
    lines = dict(line.split("\t") for line in KubectlCompletion([]).complete().splitlines()[:-1])
    assert lines["status"] == "show what serves, what is tried, why, and what comes next"
    assert {"list", "history", "explain", "pause", "abort", "audit", "version", "run"} <= lines.keys()


def test_the_output_is_that_of_the_protocol(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl_complete-serinus", "hist"])
    assert completion.main() == 0
    verb, end = capsys.readouterr().out.splitlines()
    assert verb.startswith("history\t")
    assert end == ":4"


def test_a_kubectl_without_a_cluster_offers_no_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert candidates("status", "") == ([], ":4")
    assert capsys.readouterr().err == ""


def _serinus(**variables: str) -> str:
    program = [sys.executable, "-c", "import sys; from serinus.cli import main; sys.exit(main())"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    return subprocess.run(program, capture_output=True, text=True, check=True, timeout=60, env=environment).stdout


@pytest.mark.parametrize(
    ("shell", "said"), [("bash", "complete -o nosort"), ("zsh", "#compdef serinus"), ("fish", "complete --no-files")]
)
def test_each_shell_has_its_script(shell: str, said: str) -> None:
    assert said in _serinus(_SERINUS_COMPLETE=f"{shell}_source")


@pytest.mark.usefixtures("kubectl")
def test_a_shell_is_offered_the_names_of_rollouts() -> None:
    offered = _serinus(_SERINUS_COMPLETE="bash_complete", COMP_WORDS="serinus status f", COMP_CWORD="2")
    assert offered.splitlines() == ["plain,fraud"]
