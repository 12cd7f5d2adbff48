"""What a person sees in the terminal: lines on standard error, so that a command's own output stays clean."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_BEAT_SECONDS: Final = 15.0


def say(text: str) -> None:
    """Print one line."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say what is being done and, as long as it lasts, for how long."""
    started = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_BEAT_SECONDS):
            say(f"  {what}: {time.monotonic() - started:.0f} s so far")

    say(f"  {what} ...")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    say(f"  {what}: done in {time.monotonic() - started:.1f} s")
