"""Load for many routes at once from one process: the demo's load generator with changing host names."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import msgspec

from demo.modelserver import InferRequest
from demo.portable.server import INFER_PATH, SERVED_BY
from demo.traffic.load import refuse_foreign
from demo.traffic.wire import Connections, NoAnswerError, Target, request_of

_MAX_PER_SECOND = 400.0
_MAX_IN_FLIGHT = 400
_TIMEOUT_SECONDS = 5.0


@dataclass(slots=True)
class ManyHosts:
    """Sends requests at a constant rate, to the hosts in turn.

    Attributes:
        patience: seconds after which a client goes away.
        path: of each request.
        headers: of each request, beside those that every one has.
        statuses: number of responses by HTTP status; 0 for no response.
    """

    url: str
    hostnames: Sequence[str]
    rate: float
    patience: float = _TIMEOUT_SECONDS
    path: str = INFER_PATH
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    statuses: Counter[int] = field(default_factory=Counter)
    _in_flight: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        refuse_foreign(self.url)
        assert 0 < self.rate <= _MAX_PER_SECOND

    async def run(self) -> None:
        """Send until cancelled; requests delayed by this process are sent immediately."""
        url = urlsplit(self.url)
        connections = Connections(Target(url.hostname or "", url.port or 80, SERVED_BY))
        body = msgspec.json.encode(InferRequest(12.5, 13, 0.05))
        requests = [request_of(self.path, {"Host": host, **self.headers}, body) for host in self.hostnames]
        start = time.monotonic()
        try:
            for number, request in enumerate(cycle(requests)):
                await asyncio.sleep(max(0.0, start + number / self.rate - time.monotonic()))
                if len(self._in_flight) < _MAX_IN_FLIGHT:
                    task = asyncio.create_task(self._send(connections, request))
                    self._in_flight.add(task)
                    task.add_done_callback(self._in_flight.discard)
        finally:
            connections.close()
            pending = list(self._in_flight)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _send(self, connections: Connections, request: bytes) -> None:
        try:
            self.statuses[(await connections.ask(request, self.patience)).status] += 1
        except NoAnswerError:
            self.statuses[0] += 1


@asynccontextmanager
async def traffic_to(url: str, hostnames: Sequence[str], rate: float, **fields: Any) -> AsyncIterator[ManyHosts]:
    """Send until the block ends; ``rate`` in requests per second over all hosts."""
    load = ManyHosts(url, hostnames, rate, **fields)
    task = asyncio.create_task(load.run())
    try:
        yield load
        assert not task.done(), f"the load stopped unexpectedly: {task.exception()!r}"
    finally:
        task.cancel()
        await asyncio.wait([task])
