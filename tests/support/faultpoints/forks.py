"""A program that forks operators: each is a process of its own, which starts without importing anything again.

It reads one JSON object a line, starts an operator for it and answers with its process id; whenever one has ended it
says so. It ends with its standard input, and kills what still runs.

The operator is put together as by ``serinus run``, but for the clock, which a test may set.
"""

import asyncio
import gc
import json
import mmap
import os
import select
import signal
import struct
import sys
import traceback
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from serinus import wiring
from serinus.cli.run import _log
from serinus.clock import SystemClock
from serinus.handlers.watcher import Watcher
from serinus.kube.client import KubernetesClient
from serinus.kube.connection import read_connection
from serinus.settings import load_settings

OFFSET = struct.Struct("d")
"""How a file says by how many seconds the wall clock is set forward."""


class SteppedClock(SystemClock):
    """The system clock, set by what a file says."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._offset = mmap.mmap(file.fileno(), OFFSET.size, prot=mmap.PROT_READ)

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=OFFSET.unpack(self._offset[:])[0])


async def _run(order: dict[str, Any]) -> None:
    kubeconfig = Path(order["kubeconfig"])
    settings = load_settings(Path(order["config"]))
    async with await KubernetesClient.open(kubeconfig) as client:
        operator = wiring.Operator(settings, client)
        watcher = Watcher(
            operator.controller, lambda: read_connection(kubeconfig), settings.namespaces, operator.route_sources
        )
        await operator.run(watcher)


def _operate(order: dict[str, Any]) -> None:
    """Be an operator, in a process that has just been forked; never returns."""
    status = 1
    try:
        null, log = os.open(os.devnull, os.O_RDONLY), os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _log("text")
        # The wiring has no setting for it: nobody but a test sets the clock.
        wiring.__dict__["SystemClock"] = lambda: SteppedClock(Path(order["clock"]))
        asyncio.run(_run(order))
        status = 0
    except BaseException:  # noqa: BLE001 - whatever ends it must be in its log: the process ends without any other word
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _say(**words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _reap(running: set[int]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            running.discard(pid)
            _say(ended=pid, status=status)


def main() -> None:
    """Fork on demand until the standard input ends."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.freeze()
    running: set[int] = set()
    rest = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            _reap(running)
        if 0 not in ready:
            continue
        received = os.read(0, 65536)
        if not received:
            break
        *lines, rest = (rest + received).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                _operate(json.loads(line))
            running.add(pid)
            _say(started=pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
