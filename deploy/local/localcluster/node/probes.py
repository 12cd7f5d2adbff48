"""Startup, liveness and readiness probes of a container."""

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
    """The probed container."""

    address: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    children: Children


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe, with Kubernetes' defaults filled in."""

    action: Manifest
    delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def parse(cls, container: Manifest, name: str) -> Self | None:
        """Return one of a container's probes, or None if it is not set.

        Raises:
            ContainerError: The node does not support its kind.
        """
        spec = container.get(name)
        if not spec:
            return None
        if not any(kind in spec for kind in _KINDS):
            raise ContainerError(
                "CreateContainerConfigError", f"the local node offers {name} by {', '.join(_KINDS)} only"
            )
        return cls(
            action=spec,
            delay=spec.get("initialDelaySeconds", 0),
            period=spec.get("periodSeconds", 10),
            timeout=spec.get("timeoutSeconds", 1),
            successes=spec.get("successThreshold", 1),
            failures=spec.get("failureThreshold", 3),
        )

    async def watch(self, subject: Subject, on_result: Callable[[bool], None]) -> None:
        """Probe for ever, and report each change of the result once its threshold is reached."""
        await asyncio.sleep(self.delay)
        consecutive, last = 0, False
        reported: bool | None = None
        while True:
            passed = await self._run(subject)
            consecutive = consecutive + 1 if passed is last else 1
            last = passed
            if passed is not reported and consecutive >= (self.successes if passed else self.failures):
                reported = passed
                on_result(passed)
            await asyncio.sleep(self.period)

    async def _run(self, subject: Subject) -> bool:
        try:
            async with asyncio.timeout(self.timeout):
                if "httpGet" in self.action:
                    return await _http(self.action["httpGet"], subject)
                if "tcpSocket" in self.action:
                    return await _tcp(self.action["tcpSocket"], subject)
                return await _exec(self.action["exec"]["command"], subject)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


async def _http(action: Manifest, subject: Subject) -> bool:
    host = action.get("host") or subject.address
    path = action.get("path", "/")
    url = f"{action.get('scheme', 'HTTP').lower()}://{host}:{_port(action, subject)}/{path.removeprefix('/')}"
    headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=False) as response:
        return response.status < _FIRST_ERROR


async def _tcp(action: Manifest, subject: Subject) -> bool:
    _, writer = await asyncio.open_connection(action.get("host") or subject.address, _port(action, subject))
    writer.close()
    return True


async def _exec(command: list[str], subject: Subject) -> bool:
    child = subject.children.spawn(command, environment=subject.environment, log=Path("/dev/null"))
    try:
        return await asyncio.shield(child.exited) == 0
    finally:
        await child.stop(grace=0)


def _port(action: Manifest, subject: Subject) -> int:
    port = action["port"]
    return subject.ports.get(port, 0) if isinstance(port, str) else int(port)
