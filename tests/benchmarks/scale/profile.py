"""A profile of the operator by py-spy, which is not a dependency: set ``BENCH_PY_SPY`` to its program."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from benchmarks.scale.process import Operator

PROGRAM_VARIABLE: Final = "BENCH_PY_SPY"
_OPTIONS: Final = ("--rate", "50", "--gil", "--nonblocking", "--format", "raw", "--duration", "600")
"""Only threads that hold the lock of the interpreter count; the process is not paused for a sample."""


@asynccontextmanager
async def recording(operator: Operator, file: str | None) -> AsyncIterator[None]:
    """Record the operator's stacks until the block ends, and write them and a summary beside; nothing without file."""
    if file is None:
        yield
        return
    command = [os.environ[PROGRAM_VARIABLE], "record", "--pid", str(operator.pid), *_OPTIONS, "--output", file]
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()
        _summarize(Path(file))


def _summarize(file: Path) -> None:
    file.with_name(f"{file.name}.txt").write_text(summary(file.read_text(encoding="utf-8")), encoding="utf-8")


def summary(raw: str, most: int = 45) -> str:
    """Return the functions by their share of the samples, callers included and each function once a stack."""
    inclusive: Counter[str] = Counter()
    own: Counter[str] = Counter()
    total = 0
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_function(frame) for frame in stack.split(";")]
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            inclusive[frame] += int(count)
    lines = [f"{total} samples; inclusive share, own share, function"]
    lines += [f"{count / total:7.1%} {own[name] / total:7.1%}  {name}" for name, count in inclusive.most_common(most)]
    return "\n".join(lines) + "\n"


def _function(frame: str) -> str:
    """Return a frame without its line number."""
    name, _, place = frame.rpartition(" (")
    return f"{name} ({place.rpartition(':')[0]})" if name else frame
