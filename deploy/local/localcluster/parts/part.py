"""A part: one program of the cluster, with its command line and its readiness check."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp

_CHECK_TIMEOUT: Final = aiohttp.ClientTimeout(total=2)

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One program of the cluster.

    Attributes:
        name: Its name in commands and in the name of its log.
        command: The program and its arguments.
        ready: Returns whether it is ready; must not raise while the program starts.
        environment: Variables in addition to those of all parts.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    ready: Check
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 5.0


def answers(url: str) -> Check:
    """Return a check that a URL answers without an error; certificates are not verified, parts sign their own."""

    async def check() -> bool:
        try:
            async with (
                aiohttp.ClientSession(timeout=_CHECK_TIMEOUT) as session,
                session.get(url, ssl=False) as response,
            ):
                return response.ok
        except (aiohttp.ClientError, TimeoutError):
            return False

    return check
