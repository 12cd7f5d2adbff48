"""The load generator of the language model: an open loop of streamed requests, each read to its last token.

Each request writes a line of :mod:`demo.traffic.requestlog`, with the time until its first token. A stream that ends
without its last token is one without an answer.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final, TextIO

import aiohttp

from demo.llm.server import PATH
from demo.portable.server import SERVED_BY
from demo.traffic.load import LoadPlan, run
from demo.traffic.requestlog import NO_ANSWER, RequestRecord, line_of

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
    return run(arguments, generate, program="demo.llm.load", about="Send streamed requests.", most=_MOST_PER_SECOND)


if __name__ == "__main__":
    sys.exit(main())
