"""Work of a process that goes on until the process is told to end."""

import asyncio
import signal
from collections.abc import Coroutine, Iterable
from typing import Any


def told_to_end() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set from now on."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


async def work_until(told: asyncio.Event, work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of this until the event is set or a part has ended; raise the error of a part that failed."""
    tasks = [asyncio.create_task(part) for part in work]
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (*tasks, stopping):
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
