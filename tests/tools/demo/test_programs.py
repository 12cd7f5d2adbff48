"""Child processes of the director stop with it, in order or by force, and an early exit is reported."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.process import running

FOREVER = "import signal, time; print('up', flush=True); time.sleep(600)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


async def until(fits: Callable[[], bool], within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not fits():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_program_stops_when_the_block_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running("a server", python(FOREVER), os.environ, log) as program:
        await until(lambda: "up" in log.read_text())
        program.check()
        assert alive(program.process.pid)

    assert not alive(program.process.pid)
    assert program.process.returncode == -signal.SIGTERM


async def test_an_exited_program_is_an_error_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with running(
        "a server", python("print('port is taken'); raise SystemExit(3)"), os.environ, tmp_path / "log"
    ) as program:
        await program.process.wait()
        with pytest.raises(DemoError, match=r"a server ended with status 3[\s\S]*port is taken"):
            program.check()


async def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    async with running("a server", ["/nowhere/server"], os.environ, tmp_path / "log") as program:
        await program.process.wait()
        with pytest.raises(DemoError, match="/nowhere/server"):
            program.check()


async def test_a_program_does_not_outlive_a_killed_director(tmp_path: Path) -> None:
    log, pid_file = tmp_path / "log", tmp_path / "pid"
    director = (
        "import asyncio, os, sys; from pathlib import Path; from demo.process import running\n"
        "async def main():\n"
        f"    command, log = [sys.executable, '-c', {FOREVER!r}], Path({str(log)!r})\n"
        "    async with running('a server', command, os.environ, log) as program:\n"
        f"        Path({str(pid_file)!r}).write_text(str(program.process.pid))\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    sources = os.pathsep.join(entry for entry in sys.path if entry)
    process = await asyncio.create_subprocess_exec(*python(director), env=os.environ | {"PYTHONPATH": sources})
    await until(lambda: log.exists() and "up" in log.read_text() and pid_file.exists() and pid_file.read_text() != "")
    server = int(pid_file.read_text())
    process.kill()
    await process.wait()

    await until(lambda: not alive(server))
