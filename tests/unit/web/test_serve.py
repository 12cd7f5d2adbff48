"""``serinus web`` as a process: it serves on a real socket, says where, and ends with Ctrl-C."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from serinus.cli import main

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: me, user: {token: secret}}]
"""


async def test_the_page_is_served_until_ctrl_c_and_says_what_cannot_be_reached(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(KUBECONFIG, encoding="utf-8")
    environment = {**os.environ, "KUBECONFIG": str(config), "PYTHONPATH": os.pathsep.join(sys.path)}
    words = (sys.executable, "-m", "serinus", "web", "--port", "0")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, env=environment, stdout=pipe, stderr=pipe)
    try:
        assert process.stdout is not None
        said = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert said.startswith("Serving http://127.0.0.1:")
        async with aiohttp.ClientSession() as session, session.get(said.split()[1]) as answer:
            assert answer.status == 502
            assert "The cluster cannot be read" in await answer.text()
            assert "server" not in {name.lower() for name in answer.headers}
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("words", [["--port", "70000"], ["--port", "-1"], ["--port", "٣"], ["-A", "-n", "ml"]])
def test_wrong_usage_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", *words]) == 2
    assert capsys.readouterr().err


def test_an_address_that_others_reach_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", "--address", "0.0.0.0"]) == 1  # noqa: S104 - refused
    assert "ssh -L" in capsys.readouterr().err
