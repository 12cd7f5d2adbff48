"""The operator as a separate process, started with a configuration file and `serinus run`."""

import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from demo.errors import CouldNotAskError, DemoError
from demo.observe import wait_for
from demo.process import Running, running
from localcluster.addresses import OPERATOR_METRICS
from serinus.settings import CONFIG_VARIABLE

LEASE_NAMESPACE: Final = "serinus-system"

_READY_SECONDS: Final = 30.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
_MIN_TICK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSetup:
    """Settings of the operator process.

    Attributes:
        prometheus_url: URL of the metric source ``default``.
        scrape_interval_seconds: scrape interval of that Prometheus.
        address: host:port of /livez, /readyz and /metrics.
        identity: the process's name in the Lease.
        leader_election: if off, the process leads at once; only valid without a second process.
        settings: further settings, in the form of the configuration file.
    """

    prometheus_url: str
    scrape_interval_seconds: float
    address: str = OPERATOR_METRICS
    identity: str = "demo"
    leader_election: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tick_seconds(self) -> float:
        """Interval of the operator's queries: a third of the scrape interval, at least 1 s."""
        return max(_MIN_TICK_SECONDS, self.scrape_interval_seconds / 3)

    def configuration(self) -> bytes:
        """Return the configuration file, as YAML."""
        host, _, port = self.address.rpartition(":")
        milliseconds = round(self.scrape_interval_seconds * 1000)
        source = {"url": self.prometheus_url, "scrapeInterval": f"{milliseconds}ms"}
        return msgspec.yaml.encode(
            {
                "sources": {"default": source},
                "httpHost": host,
                "httpPort": int(port),
                "leaseNamespace": LEASE_NAMESPACE,
                "identity": self.identity,
                "leaderElection": self.leader_election,
            }
            | dict(self.settings)
        )


def operator(
    setup: OperatorSetup, environment: Mapping[str, str], folder: Path
) -> AbstractAsyncContextManager[Running]:
    """Run the operator until the block ends; its configuration and log are in the folder.

    Raises:
        DemoError: it is not installed.
    """
    program = Path(sys.executable).with_name("serinus")
    if not program.exists():
        raise DemoError(f"{program} does not exist: install the operator into this environment (`make install`)")
    config = folder / "operator.yaml"
    config.write_bytes(setup.configuration())
    variables = dict(environment) | {CONFIG_VARIABLE: str(config)}
    return running("the operator", [str(program), "run"], variables, folder / "operator.log")


async def await_ready(operator: Running, setup: OperatorSetup, session: aiohttp.ClientSession) -> None:
    """Wait until the operator reports ready.

    Raises:
        DemoError: it exited, or was not ready in time; the message contains the end of its log.
    """

    async def read() -> int:
        operator.check()
        try:
            async with session.get(f"http://{setup.address}/readyz", timeout=_TIMEOUT) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise CouldNotAskError(f"http://{setup.address}/readyz does not answer: {problem!r}") from problem

    try:
        await wait_for(read, lambda status: status == 200, within=_READY_SECONDS, what="a ready operator")  # noqa: PLR2004 - OK
    except DemoError as problem:
        raise DemoError(f"{problem}; {operator.tail()}") from problem
