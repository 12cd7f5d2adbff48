"""A part: one program of the cluster, how it is started and how one sees that it works."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

_GLANCE: Final = aiohttp.ClientTimeout(total=2)

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One program of the cluster.

    Attributes:
        name: What it is called in commands and in the name of its log.
        command: The program and its arguments.
        ready: Says whether it works; it must not raise while the program starts.
        environment: Variables besides those that all parts get.
        grace: Seconds between asking it to end and making it.
    """

    name: str
    command: tuple[str, ...]
    ready: Check
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 5.0


def answers(url: str) -> Check:
    """Make a check that an address answers without an error; the certificate of a part is its own."""

    async def check() -> bool:
        try:
            async with aiohttp.ClientSession(timeout=_GLANCE) as session, session.get(url, ssl=False) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False

    return check
