"""Probes: the questions that tell whether a container has started, lives and is ready."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import aiohttp

from localcluster.api import Manifest
from localcluster.children import Children
from localcluster.node.errors import ContainerError

_FIRST_ERROR: Final = 400
_KINDS: Final = ("httpGet", "tcpSocket", "exec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The container that is asked."""

    address: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    children: Children


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe with Kubernetes' defaults filled in."""

    question: Manifest
    delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def parse(cls, container: Manifest, name: str) -> Self | None:
        """Read one of a container's probes, or None where it has none.

        Raises:
            ContainerError: It is of a kind that the node does not offer.
        """
        written = container.get(name)
        if not written:
            return None
        if not any(kind in written for kind in _KINDS):
            raise ContainerError(
                "CreateContainerConfigError", f"the local node offers {name} by {', '.join(_KINDS)} only"
            )
        return cls(
            question=written,
            delay=written.get("initialDelaySeconds", 0),
            period=written.get("periodSeconds", 10),
            timeout=written.get("timeoutSeconds", 1),
            successes=written.get("successThreshold", 1),
            failures=written.get("failureThreshold", 3),
        )

    async def watch(self, subject: Subject, verdict: Callable[[bool], None]) -> None:
        """Ask for ever, and give a verdict each time enough answers in a row agree on another one."""
        await asyncio.sleep(self.delay)
        row, last = 0, False
        said: bool | None = None
        while True:
            passed = await self._ask(subject)
            row = row + 1 if passed is last else 1
            last = passed
            if passed is not said and row >= (self.successes if passed else self.failures):
                said = passed
                verdict(passed)
            await asyncio.sleep(self.period)

    async def _ask(self, subject: Subject) -> bool:
        try:
            async with asyncio.timeout(self.timeout):
                if "httpGet" in self.question:
                    return await _http(self.question["httpGet"], subject)
                if "tcpSocket" in self.question:
                    return await _tcp(self.question["tcpSocket"], subject)
                return await _exec(self.question["exec"]["command"], subject)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


async def _http(question: Manifest, subject: Subject) -> bool:
    host = question.get("host") or subject.address
    path = question.get("path", "/")
    url = f"{question.get('scheme', 'HTTP').lower()}://{host}:{_port(question, subject)}/{path.removeprefix('/')}"
    headers = {header["name"]: header["value"] for header in question.get("httpHeaders") or []}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=False) as answer:
        return answer.status < _FIRST_ERROR


async def _tcp(question: Manifest, subject: Subject) -> bool:
    _, writer = await asyncio.open_connection(question.get("host") or subject.address, _port(question, subject))
    writer.close()
    return True


async def _exec(command: list[str], subject: Subject) -> bool:
    child = subject.children.spawn(command, environment=subject.environment, log=Path("/dev/null"))
    try:
        return await asyncio.shield(child.exited) == 0
    finally:
        await child.stop(grace=0)


def _port(question: Manifest, subject: Subject) -> int:
    port = question["port"]
    return subject.ports.get(port, 0) if isinstance(port, str) else int(port)
