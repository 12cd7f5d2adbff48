"""A Rollout that is not there: the namespace that was looked in is named, whoever named it."""

import os
from pathlib import Path

import pytest

from serinus.cli.main import main

KUBECTL = """#!/bin/sh
case "$*" in
  "config view"*--context*) printf other ;;
  "config view"*) {namespace} ;;
  *) echo '{said}' >&2; exit 1 ;;
esac
"""
NOT_FOUND = 'Error from server (NotFound): rollouts.serinus.dev "fraud" not found'
ONE = "I1130 09:00:00.000000 1 log.go:1] noise"
COMMANDS = (["status"], ["history"], ["explain"], ["pause"], ["pause", "--no-wait"], ["rollback", "--no-wait"])


def a_kubectl(folder: Path, patch: pytest.MonkeyPatch, *, namespace: str = "printf ml", said: str = NOT_FOUND) -> None:
    program = folder / "kubectl"
    program.write_text(KUBECTL.format(namespace=namespace, said=said), encoding="utf-8")
    program.chmod(0o755)
    patch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.fixture
def _kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_kubectl(tmp_path, monkeypatch)


@pytest.mark.usefixtures("_kubectl")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ([], "no Rollout fraud in namespace ml: name its namespace with -n"),
        (["--context", "c"], "no Rollout fraud in namespace other: name its namespace with -n"),
        (["-n", "demo"], "no Rollout fraud in namespace demo: `serinus list -A` shows all namespaces"),
    ],
)
def test_the_namespace_is_named(
    capsys: pytest.CaptureFixture[str], words: list[str], place: list[str], said: str
) -> None:
    reason = ["--reason", "a reason that is long enough"] if words[0] == "rollback" else []
    assert main([words[0], "fraud", *words[1:], *place, *reason]) == 1
    assert capsys.readouterr().err == f"serinus: {said}\n"


@pytest.mark.parametrize("namespace", ["printf ''", "exit 1"])
def test_without_a_namespace_in_the_kubeconfig_it_is_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], namespace: str
) -> None:
    a_kubectl(tmp_path, monkeypatch, namespace=namespace, said=f"{ONE}\n{NOT_FOUND}")
    assert main(["status", "fraud"]) == 1
    assert "in namespace default: " in capsys.readouterr().err


@pytest.mark.parametrize(
    "said",
    [
        'Error from server (NotFound): services "fraud" not found',
        'Error from server (Forbidden): rollouts.serinus.dev "fraud" is forbidden',
        "Error from server (NotFound): the server could not find the requested resource",
    ],
)
def test_other_errors_are_kubectls_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    a_kubectl(tmp_path, monkeypatch, said=said)
    assert main(["history", "fraud"]) == 1
    assert capsys.readouterr().err == f"serinus: {said}\n"
