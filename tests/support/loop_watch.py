"""How long the callbacks of an event loop take: while one runs, nothing else of the loop does."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Callbacks:
    """The callbacks of one loop so far.

    Attributes:
        longest: seconds of CPU time that the longest of them took; the load of the machine does not add to them.
        total: seconds that all of them took together.
    """

    longest: float = 0.0
    total: float = 0.0


@contextmanager
def callbacks_of_this_thread() -> Iterator[Callbacks]:
    """Measure all callbacks of the loop of this thread.

    The garbage collector rests meanwhile: it would search the objects of all tests before this one.
    """
    measured, thread, run = Callbacks(), threading.get_ident(), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        if threading.get_ident() == thread:
            took = time.thread_time() - began
            measured.longest = max(measured.longest, took)
            measured.total += took

    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
    gc.disable()
    try:
        yield measured
    finally:
        gc.enable()
        asyncio.Handle._run = run  # type: ignore[method-assign]
