"""The operator as a process of its own, and what it needs: memory, CPU time, and its own metrics."""

import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from demo.errors import CouldNotAskError
from demo.observe import wait_for
from demo.operatorprocess import OperatorSetup
from demo.process import Running, running
from localcluster.client import Cluster
from localcluster.settings import CHECKOUT
from serinus.api.quantities import Duration
from serinus.settings import CONFIG_VARIABLE

CHECKOUT_VARIABLE: Final = "BENCH_OPERATOR"
"""The checkout whose operator is measured; this one if unset."""

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_SAMPLE: Final = re.compile(r"^([a-z_]+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)


def measured_checkout() -> Path:
    """Return the checkout whose operator runs."""
    return Path(os.environ.get(CHECKOUT_VARIABLE) or CHECKOUT)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used by a time: CPU time in seconds, memory now and at most in MiB."""

    at: float
    cpu: float
    rss: float
    peak: float


@dataclass(slots=True)
class Operator:
    """One running operator.

    Attributes:
        began: when it was started (seconds of the monotonic clock).
        answered: whether it has answered a request so far.
        silences: how long the answers of /livez took, in seconds.
    """

    running: Running
    setup: OperatorSetup
    session: aiohttp.ClientSession
    began: float
    answered: bool = False
    silences: list[float] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.running.process.pid

    def usage(self) -> Usage:
        """Read /proc."""
        self.running.check()
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        sizes = {name: int(re.findall(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[0]) for name in _SIZES}
        cpu = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
        return Usage(time.monotonic(), cpu, sizes["VmRSS"] / 1024, sizes["VmHWM"] / 1024)

    async def metrics(self) -> dict[str, float]:
        """Return its own metrics, each as the sum over its labels.

        Raises:
            CouldNotAskError: it does not answer.
        """
        self.running.check()
        try:
            async with self.session.get(f"http://{self.setup.address}/metrics", timeout=_TIMEOUT) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise CouldNotAskError(f"{self.setup.address} does not answer: {problem!r}") from problem
        return summed(text)

    async def is_live(self) -> bool:
        """Ask /livez; False where nobody answers."""
        try:
            async with self.session.get(f"http://{self.setup.address}/livez", timeout=_TIMEOUT) as response:
                live, self.answered = self.answered, True
                return live and response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def until(self, name: str, least: float, within: float) -> float:
        """Wait until one of its metrics is at least so much; return the seconds since its start."""

        async def read() -> float:
            return (await self.metrics()).get(name, 0.0)

        what = f"{name} >= {least:g}"
        await wait_for(read, lambda value: value >= least, within=within, what=what, every=0.05)
        return time.monotonic() - self.began


_SIZES: Final = ("VmRSS", "VmHWM")


def summed(text: str) -> dict[str, float]:
    """Return the metrics of an exposition, each as the sum over its labels."""
    found: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        found[name] = found.get(name, 0.0) + float(value)
    return found


@asynccontextmanager
async def operating(cluster: Cluster, session: aiohttp.ClientSession, folder: Path) -> AsyncIterator[Operator]:
    """Run the operator until the block ends; its configuration and log are in the folder."""
    setup = OperatorSetup(
        prometheus_url=cluster.prometheus_url,
        scrape_interval_seconds=Duration(cluster.settings.scrape_interval).seconds,
        identity="bench",
        # On a busy machine it would lose its Lease in the middle of a measurement.
        leader_election=False,
    )
    config = _configured(setup, folder)
    began = time.monotonic()
    command = [sys.executable, "-P", "-m", "serinus", "run"]
    async with running("the operator", command, _variables(cluster.environment(), config), folder / "log") as process:
        yield Operator(process, setup, session, began)


def _configured(setup: OperatorSetup, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "operator.yaml"
    config.write_bytes(setup.configuration())
    return config


def _variables(environment: Mapping[str, str], config: Path) -> dict[str, str]:
    return dict(environment) | {CONFIG_VARIABLE: str(config), "PYTHONPATH": str(measured_checkout() / "operator")}
