"""The load generator of the language model: an open loop of streamed requests, each read to its last token.

Each request writes a line of :mod:`demo.requestlog`, with the time until its first token. A stream that ends without
its last token is one without an answer.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

import aiohttp

from demo.errors import DemoError
from demo.llm.server import PATH
from demo.load import LoadPlan
from demo.modelserver import SERVED_BY
from demo.requestlog import NO_ANSWER, RequestRecord, line_of

_MOST_PER_SECOND: Final = 200.0
_MAX_IN_FLIGHT: Final = 1000
_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
_BODY: Final = b'{"prompt": "My router is slow. What can I do?", "max_tokens": 12}'
_END: Final = b"data: [DONE]\n\n"


async def generate(plan: LoadPlan, output: TextIO, stop: asyncio.Event) -> None:
    """Send the plan's requests until its time is over or ``stop`` is set; streams under way are read to their end."""
    connector = aiohttp.TCPConnector(limit=_MAX_IN_FLIGHT)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=False) as session,
        asyncio.TaskGroup() as group,
    ):
        start, number, in_flight = time.monotonic(), 0, set[asyncio.Task[None]]()
        while not stop.is_set() and number / plan.rate < plan.seconds:
            await asyncio.sleep(max(0.0, start + number / plan.rate - time.monotonic()))
            number += 1
            if len(in_flight) < _MAX_IN_FLIGHT:
                task = group.create_task(_send(session, plan, output))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)


async def _send(session: aiohttp.ClientSession, plan: LoadPlan, output: TextIO) -> None:
    started, start = time.time(), time.monotonic()
    first, content, version, status = 0.0, b"", "", NO_ANSWER
    try:
        headers = {"Host": plan.hostname, "Content-Type": "application/json"}
        async with session.post(plan.url + PATH, data=_BODY, headers=headers) as response:
            version = response.headers.get(SERVED_BY, "")
            async for chunk in response.content.iter_any():
                first = first or time.monotonic() - start
                content = (content + chunk)[-len(_END) :]
            status = response.status if content == _END else NO_ANSWER
    except (aiohttp.ClientError, TimeoutError):
        status = NO_ANSWER
    output.write(line_of(RequestRecord(started, version, status, first or time.monotonic() - start)))
    output.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate load according to the options."""
    parser = argparse.ArgumentParser(prog="python -m demo.llm.load", description="Send streamed requests.")
    parser.add_argument("--url", required=True, help="URL of the gateway, with an IP address")
    parser.add_argument("--hostname", required=True, help="host name of the HTTPRoute")
    parser.add_argument("--rate", type=float, required=True, help="requests per second")
    parser.add_argument("--seconds", type=float, required=True, help="duration")
    parser.add_argument("--output", type=Path, required=True, help="file to which one line per request is written")
    options = parser.parse_args(arguments)
    try:
        plan = LoadPlan(url=options.url, hostname=options.hostname, rate=options.rate, seconds=options.seconds)
    except DemoError as problem:
        parser.error(str(problem))
    if plan.rate > _MOST_PER_SECOND:
        parser.error(f"give at most {_MOST_PER_SECOND:g} requests per second")
    with options.output.open("w", encoding="ascii") as output:
        asyncio.run(_until_signal(plan, output))
    return 0


async def _until_signal(plan: LoadPlan, output: TextIO) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await generate(plan, output, stop)


if __name__ == "__main__":
    sys.exit(main())
