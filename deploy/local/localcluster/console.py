"""Terminal output on standard error, so that a command's own output stays clean."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_REPORT_SECONDS: Final = 15.0


def say(text: str) -> None:
    """Print one line."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Print what is being done and, periodically, for how long."""
    started = time.monotonic()
    finished = threading.Event()

    def report() -> None:
        while not finished.wait(_REPORT_SECONDS):
            say(f"  {what}: {time.monotonic() - started:.0f} s so far")

    say(f"  {what} ...")
    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
    say(f"  {what}: done in {time.monotonic() - started:.1f} s")
