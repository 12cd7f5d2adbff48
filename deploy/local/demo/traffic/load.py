"""The load generator: an open loop that sends requests through the gateway at a constant rate.

A client that waits for each response slows down with the server and so hides how many requests were late; this one does
not. Every request writes one line to a file (:mod:`demo.traffic.requestlog`).
"""

import argparse
import asyncio
import ipaddress
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final, TextIO
from urllib.parse import urlsplit

import msgspec

from demo.errors import DemoError
from demo.modelserver import InferRequest
from demo.portable.server import INFER_PATH, SERVED_BY
from demo.traffic.requestlog import NO_ANSWER, RequestRecord, line_of
from demo.traffic.wire import Answer, Connections, NoAnswerError, Target, request_of

MAX_SECONDS: Final = 3600.0
MAX_PER_SECOND: Final = 2000.0
MAX_PER_SECOND_ELSEWHERE: Final = 500.0
"""To a gateway that is not on this machine."""

_LOCAL_NETWORKS: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("198.18.0.0/15"))
_MAX_IN_FLIGHT: Final = 1000
_TIMEOUT_SECONDS: Final = 5.0
_FLUSH_SECONDS: Final = 0.1
_PAYMENTS: Final = tuple(
    msgspec.json.encode(InferRequest(float(5 + 37 * number % 900), number % 24, number % 10 / 10))
    for number in range(240)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """Target, rate and duration of the load.

    Attributes:
        url: the gateway, such as http://198.18.0.2:8080.
        hostname: host name of the HTTPRoute.
        rate: requests per second.
        seconds: duration.
        elsewhere: whether a person has named a gateway that is not on this machine.
    """

    url: str
    hostname: str
    rate: float
    seconds: float
    elsewhere: bool = False

    def __post_init__(self) -> None:
        """Reject foreign addresses and unbounded load.

        Raises:
            DemoError: the message says what is allowed.
        """
        most = MAX_PER_SECOND_ELSEWHERE if self.elsewhere else MAX_PER_SECOND
        if self.elsewhere:
            refuse_unusable(self.url)
        else:
            refuse_foreign(self.url)
        if not 0 < self.rate <= most or not 0 < self.seconds <= MAX_SECONDS:
            raise DemoError(
                f"{self.rate:g} requests/s for {self.seconds:g} s: give a rate up to {most:g}"
                f" and a time up to {MAX_SECONDS:g} s"
            )


def refuse_foreign(url: str) -> None:
    """Accept only addresses of this machine and of the local cluster.

    Raises:
        DemoError: the host is another address, or a name.
    """
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError as problem:
        raise DemoError(f"{url}: give an IPv4 address, because a name could resolve to any host") from problem
    if not any(address in network for network in _LOCAL_NETWORKS):
        raise DemoError(f"{url}: the load generator sends to {', '.join(map(str, _LOCAL_NETWORKS))} only")


def refuse_unusable(url: str) -> None:
    """Accept only what the load generator can send to and nothing else: http, a host, a port.

    It connects to that host alone: it follows no redirect and uses no proxy.

    Raises:
        DemoError: the message says what is allowed.
    """
    parts = urlsplit(url)
    try:
        fits = parts.scheme == "http" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits or parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc:
        raise DemoError(f"{url}: give the gateway as http://HOST:PORT, without a path or a user")


async def generate(plan: LoadPlan, output: TextIO, stop: asyncio.Event) -> None:
    """Send the plan's requests until its time is over or ``stop`` is set."""
    url = urlsplit(plan.url)
    connections = Connections(Target(url.hostname or "", url.port or 80, SERVED_BY))
    try:
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(_flush_often(output))
            await _Sender(connections, plan, output, group).run(stop)
            writer.cancel()
    finally:
        connections.close()


class _Sender:
    def __init__(self, connections: Connections, plan: LoadPlan, output: TextIO, group: asyncio.TaskGroup) -> None:
        self._connections = connections
        self._plan = plan
        self._output = output
        self._group = group
        self._in_flight = 0
        headers = {"Host": plan.hostname, "Content-Type": "application/json"}
        self._requests = [request_of(INFER_PATH, headers, body) for body in _PAYMENTS]

    async def run(self, stop: asyncio.Event) -> None:
        """Send each request when it is due; requests delayed by this process are sent immediately."""
        start = time.monotonic()
        for number, request in enumerate(cycle(self._requests)):
            due = number / self._plan.rate
            wait = start + due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if stop.is_set() or due >= self._plan.seconds:
                return
            self._send(request)

    def _send(self, request: bytes) -> None:
        if self._in_flight >= _MAX_IN_FLIGHT:
            self._output.write(line_of(RequestRecord(time.time(), "", NO_ANSWER, 0.0)))
            return
        self._in_flight += 1
        self._group.create_task(self._send_one(request))

    async def _send_one(self, request: bytes) -> None:
        started, start = time.time(), time.monotonic()
        try:
            answer = await self._connections.ask(request, _TIMEOUT_SECONDS)
        except NoAnswerError:
            answer = Answer(NO_ANSWER, "")
        finally:
            self._in_flight -= 1
        self._output.write(line_of(RequestRecord(started, answer.header, answer.status, time.monotonic() - start)))


async def _flush_often(output: TextIO) -> None:
    try:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            output.flush()
    finally:
        output.flush()


Generate = Callable[[LoadPlan, TextIO, asyncio.Event], Awaitable[None]]
"""Sends the requests of a plan until its time is over or the event is set, and writes a line for each."""


def run(
    arguments: Sequence[str] | None,
    send: Generate,
    *,
    program: str,
    about: str,
    most: float = MAX_PER_SECOND,
) -> int:
    """Generate load according to the options, at most ``most`` requests a second, until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("--url", required=True, help="URL of the gateway, with an IP address of this machine")
    parser.add_argument("--hostname", required=True, help="host name of the HTTPRoute")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--seconds", type=float, required=True, help="duration")
    parser.add_argument(
        "--elsewhere", action="store_true", help="the gateway is not on this machine, and may be a name"
    )
    parser.add_argument("--output", type=Path, required=True, help="file to which one line per request is written")
    options = parser.parse_args(arguments)
    try:
        plan = LoadPlan(
            url=options.url,
            hostname=options.hostname,
            rate=options.rate,
            seconds=options.seconds,
            elsewhere=options.elsewhere,
        )
    except DemoError as problem:
        parser.error(str(problem))
    if plan.rate > most:
        parser.error(f"give at most {most:g} requests per second")
    with options.output.open("w", encoding="ascii") as output:
        asyncio.run(_until_signal(send, plan, output))
    return 0


async def _until_signal(send: Generate, plan: LoadPlan, output: TextIO) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await send(plan, output, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate load according to the options."""
    return run(arguments, generate, program="demo.traffic.load", about="Send requests at a constant rate.")


if __name__ == "__main__":
    sys.exit(main())
