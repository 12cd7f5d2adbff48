"""The demo makes one namespace in a cluster of yours, and removes that one alone."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from demo.cluster import Kubectl
from demo.errors import DemoError
from demo.given.namespace import LABEL, MARK, ForeignNamespaceError, is_there, own_namespace
from demo.observe import wait_for
from demo.terminal import Terminal
from support.demo_kubectl import asked, kubectl_that_says


def a_namespace(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "serinus-demo", "uid": "1", "labels": {"a": "b"} | labels}}


async def test_a_namespace_that_no_demo_has_made_is_left_alone(tmp_path: Path) -> None:
    kubectl = kubectl_that_says(tmp_path, {"get namespace serinus-demo": a_namespace()})

    with pytest.raises(ForeignNamespaceError, match="no demo has made it"):
        await is_there(kubectl, "serinus-demo")
    with pytest.raises(ForeignNamespaceError):
        async with own_namespace(kubectl, "serinus-demo", Terminal(io.StringIO(), {}), keep=False):
            raise AssertionError("it was entered")
    assert {line.split()[0] for line in asked(tmp_path)} == {"get"}


async def test_a_namespace_of_an_earlier_demo_is_known_and_none_is_none(tmp_path: Path) -> None:
    mine = a_namespace(**{LABEL: MARK})

    assert await is_there(kubectl_that_says(tmp_path, {"get namespace": mine}), "serinus-demo")
    assert not await is_there(kubectl_that_says(tmp_path, {"get namespace": ""}), "serinus-demo")


async def test_a_kept_namespace_is_not_removed(tmp_path: Path) -> None:
    answers = {"get namespace": ""}
    out = io.StringIO()
    async with own_namespace(kubectl_that_says(tmp_path, answers), "serinus-demo", Terminal(out, {}), keep=True):
        kubectl_that_says(tmp_path, {"get namespace": a_namespace(**{LABEL: MARK})})

    assert [line for line in asked(tmp_path) if line.startswith("delete")] == []
    assert "kubectl delete namespace serinus-demo" in out.getvalue()


_API_SERVER = """#!/bin/sh
printf '%s\\n' "$*" >> {folder}/asked
case "$*" in
  create*) touch {folder}/there ;;
  "delete namespace"*) rm {folder}/there ;;
  "get namespace"*) [ -e {folder}/there ] && cat {folder}/namespace ;;
esac
exit 0
"""


def an_api_server(folder: Path, *, leftover: bool = False) -> Kubectl:
    """Return a kubectl whose API server has the namespace from its creation until its deletion."""
    (folder / "namespace").write_text(json.dumps(a_namespace(**{LABEL: MARK})), encoding="utf-8")
    if leftover:
        (folder / "there").touch()
    program = folder / "kubectl"
    program.write_text(_API_SERVER.format(folder=folder), encoding="utf-8")
    program.chmod(0o755)
    return Kubectl(program, {"PATH": "/usr/bin:/bin"})


def changes(folder: Path) -> list[str]:
    return [" ".join(line.split()[:2]) for line in asked(folder) if line.split()[0] in {"create", "delete"}]


async def test_the_rollouts_are_removed_before_the_namespace(tmp_path: Path) -> None:
    async with own_namespace(an_api_server(tmp_path), "serinus-demo", Terminal(io.StringIO(), {}), keep=False):
        assert changes(tmp_path) == ["create -f"]

    assert changes(tmp_path) == ["create -f", "delete rollouts.serinus.dev", "delete namespace"]


async def test_the_namespace_of_an_earlier_demo_is_removed_first(tmp_path: Path) -> None:
    kubectl = an_api_server(tmp_path, leftover=True)
    async with own_namespace(kubectl, "serinus-demo", Terminal(io.StringIO(), {}), keep=False):
        assert changes(tmp_path) == ["delete rollouts.serinus.dev", "delete namespace", "create -f"]


async def test_a_demo_that_is_interrupted_removes_its_namespace(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def play() -> None:
        async with own_namespace(an_api_server(tmp_path), "serinus-demo", Terminal(io.StringIO(), {}), keep=False):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(play())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert changes(tmp_path)[-1] == "delete namespace"


async def test_an_interruption_while_the_namespace_is_made_removes_it(tmp_path: Path) -> None:
    kubectl = an_api_server(tmp_path)
    kubectl.program.write_text(
        kubectl.program.read_text(encoding="utf-8").replace(
            "/there ;;", "/there; [ $1 = create ] && exec sleep 60 ;;", 1
        ),
        encoding="utf-8",
    )

    async def play() -> None:
        async with own_namespace(kubectl, "serinus-demo", Terminal(io.StringIO(), {}), keep=False):
            raise AssertionError("it was entered")

    task = asyncio.create_task(play())
    await wait_for(there_in(tmp_path), bool, within=60, what="the namespace")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert changes(tmp_path)[-1] == "delete namespace"


def there_in(folder: Path) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return (folder / "there").exists()

    return there


async def test_a_namespace_that_somebody_has_replaced_is_left(tmp_path: Path) -> None:
    async def play() -> None:
        async with own_namespace(an_api_server(tmp_path), "serinus-demo", Terminal(io.StringIO(), {}), keep=False):
            theirs = a_namespace(**{LABEL: MARK})
            theirs["metadata"]["uid"] = "2"
            (tmp_path / "namespace").write_text(json.dumps(theirs), encoding="utf-8")

    with pytest.raises(DemoError, match="somebody has replaced"):
        await play()

    assert changes(tmp_path) == ["create -f"]
