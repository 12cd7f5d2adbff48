"""The option --kubeconfig: every command that asks a cluster has it, and it holds for that command alone."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from serinus.cli.main import cli, main
from support.scripted_kubectl import ScriptedKubectl, scripted_kubectl


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedKubectl:
    return scripted_kubectl(tmp_path, monkeypatch)


@pytest.mark.parametrize("words", [["list"], ["status", "fraud"], ["version", "--operator"], ["abort", "fraud"]])
@pytest.mark.parametrize("before", [None, "/other"])
def test_kubectl_reads_the_kubeconfig_that_is_named(
    words: list[str], before: str | None, kubectl: ScriptedKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    if before is not None:
        monkeypatch.setenv("KUBECONFIG", before)
    main([*words, "--kubeconfig", "/a/config"])
    assert (kubectl.folder / "kubeconfig").read_text() == "/a/config"
    assert os.environ.get("KUBECONFIG") == before


def commands(group: click.Group, ctx: click.Context) -> Iterator[click.Command]:
    for word in group.list_commands(ctx):
        found = group.get_command(ctx, word)
        assert found is not None
        yield from commands(found, ctx) if isinstance(found, click.Group) else [found]


def test_whoever_can_name_a_context_can_name_a_kubeconfig() -> None:
    ctx = click.Context(cli)
    for command in commands(cli, ctx):
        options: set[Any] = {param.name for param in command.params}
        assert ("context" in options) == ("kubeconfig" in options), command.name
