"""Child processes of the director: each has a log, is monitored, and stops with the director."""

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
# Makes the kernel end the child when the director is killed, such as by SIGKILL. The local cluster needs setpriv, too.
_PARENT_DEATH_SIGNAL: Final = ("setpriv", "--pdeathsig", "TERM", "--")


@dataclass(frozen=True, slots=True)
class Running:
    """A started program."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def check(self) -> None:
        """Check that it is still running.

        Raises:
            DemoError: it has exited; the message contains the end of its log.
        """
        if self.process.returncode is not None:
            raise DemoError(f"{self.name} ended with status {self.process.returncode}; {self.tail()}")

    def tail(self) -> str:
        """Return the path and the last lines of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n  ".join([f"the end of {self.log}:", *lines])

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after a grace period."""
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(_GRACE_SECONDS):
                    await self.process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        # It has its own session (see `running`), so that its children are stopped as well.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


@asynccontextmanager
async def running(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
) -> AsyncIterator[Running]:
    """Run a program until the block ends.

    Raises:
        DemoError: it cannot be started.
    """
    with log.open("wb") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *_PARENT_DEATH_SIGNAL,
                *command,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The terminal's Ctrl-C goes to the director only, which stops the others in order.
                start_new_session=True,
            )
        except OSError as problem:
            raise DemoError(f"cannot start {name}: {problem}") from problem
    program = Running(name, process, log)
    try:
        yield program
    finally:
        await program.stop()
