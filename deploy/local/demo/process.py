"""Programs that run beside the director: started with a log, watched, and ended with it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.errors import DemoError

_GRACE_SECONDS: Final = 10.0
_TAIL_LINES: Final = 25
# The kernel ends it when the director is gone without a word, such as by SIGKILL. The local cluster needs setpriv too.
_LEASH: Final = ("setpriv", "--pdeathsig", "TERM", "--")


@dataclass(frozen=True, slots=True)
class Running:
    """A program that was started."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            DemoError: it has ended; the message has the end of its log.
        """
        if self.process.returncode is not None:
            raise DemoError(f"{self.name} ended with status {self.process.returncode}; {self.tail()}")

    def tail(self) -> str:
        """Return where the log is, and its last lines."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n  ".join([f"the end of {self.log}:", *lines])

    async def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_GRACE_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # Its own session (see `running`), so that nothing it started stays behind.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@asynccontextmanager
async def running(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
) -> AsyncIterator[Running]:
    """Run a program as long as the block lasts.

    Raises:
        DemoError: it cannot be started.
    """
    with log.open("wb") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *_LEASH,
                *command,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A terminal's Ctrl-C is for the director, which then ends the others in order.
                start_new_session=True,
            )
        except OSError as problem:
            raise DemoError(f"cannot start {name}: {problem}") from problem
    program = Running(name, process, log)
    try:
        yield program
    finally:
        await program.stop()
