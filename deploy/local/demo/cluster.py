"""Access to the cluster: kubectl for commands that users would type, plain HTTP for frequent reads."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp

from demo.errors import CouldNotAskError, DemoError
from localcluster.api import ApiError
from serinus.api.names import HTTP_ROUTE, ROLLOUT, Kind, ObjectKey
from serinus.api.parsing import decode
from serinus.api.rollout_status import RolloutStatus
from serinus.errors import InvalidObjectError

DEPLOYMENT: Final = Kind("apps", "v1", "Deployment", "deployments")

_KUBECTL_SECONDS: Final = 30.0


class ReadsObjects(Protocol):
    """Reads objects of the API server, such as :class:`localcluster.api.Api`."""

    async def request(self, method: str, path: str) -> dict[str, Any]:
        """Send a request and return the object.

        Raises:
            ApiError: the API server refused.
            aiohttp.ClientError: it could not be reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class RouteView:
    """One rule of an HTTPRoute.

    Attributes:
        weights: share of the traffic in percent, by backend.
        accepted: whether every parent has accepted exactly this generation.
    """

    weights: Mapping[str, float]
    accepted: bool

    def weight(self, backend: str) -> float:
        """Return a backend's share in percent; 0 for a backend that is not in the route."""
        return self.weights.get(backend, 0.0)


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A Rollout: the desired version and the status."""

    desired: str
    generation: int
    status: RolloutStatus

    @property
    def current(self) -> bool:
        """Whether the status is about the current spec."""
        return self.status.observed_generation >= self.generation


class ClusterView:
    """Reads objects of one cluster."""

    def __init__(self, api: ReadsObjects) -> None:
        self._api = api

    async def rollout(self, key: ObjectKey) -> RolloutView:
        """Return the current Rollout.

        Raises:
            CouldNotAskError: it cannot be read.
            DemoError: its status does not parse.
        """
        raw = await self._get(ROLLOUT, key)
        try:
            status = decode(RolloutStatus, raw.get("status", {}), "status")
        except InvalidObjectError as problem:
            raise DemoError(f"rollout {key}: {problem}") from problem
        return RolloutView(raw["spec"]["version"], raw["metadata"]["generation"], status)

    async def route(self, key: ObjectKey, rule: str) -> RouteView:
        """Return the current state of one rule of the HTTPRoute.

        Raises:
            CouldNotAskError: it cannot be read.
            DemoError: it has no such rule.
        """
        return route_view(await self._get(HTTP_ROUTE, key), rule)

    async def ready_replicas(self, key: ObjectKey) -> int:
        """Return the number of ready pods of a Deployment.

        Raises:
            CouldNotAskError: it cannot be read.
        """
        raw = await self._get(DEPLOYMENT, key)
        return int(raw.get("status", {}).get("readyReplicas", 0))

    async def _get(self, kind: Kind, key: ObjectKey) -> Mapping[str, Any]:
        path = f"/apis/{kind.api_version}/namespaces/{key.namespace}/{kind.plural}/{key.name}"
        try:
            return await self._api.request("GET", path)
        except (ApiError, aiohttp.ClientError, TimeoutError) as problem:
            raise CouldNotAskError(f"cannot read {kind.plural}/{key}: {problem}") from problem


def route_view(raw: Mapping[str, Any], rule: str) -> RouteView:
    """Return the shares of one rule of an HTTPRoute and whether they are in effect.

    Raises:
        DemoError: there is no such rule.
    """
    matching = [entry for entry in raw["spec"].get("rules", []) if entry.get("name") == rule]
    if not matching:
        raise DemoError(f"route {raw['metadata']['name']} has no rule named {rule!r}")
    entries = {ref["name"]: ref.get("weight", 1) for ref in matching[0].get("backendRefs", [])}
    total = sum(entries.values())
    shares = {name: 100.0 * weight / total if total else 0.0 for name, weight in entries.items()}
    return RouteView(shares, _accepted(raw))


def _accepted(raw: Mapping[str, Any]) -> bool:
    generation = raw["metadata"]["generation"]
    parents = raw.get("status", {}).get("parents", [])
    current = [
        {c["type"]: c["status"] for c in parent.get("conditions", []) if c.get("observedGeneration", 0) >= generation}
        for parent in parents
    ]
    expected = len(raw["spec"].get("parentRefs", []))
    accepted = [types.get("Accepted") == "True" and types.get("ResolvedRefs") == "True" for types in current]
    return expected > 0 and len(current) >= expected and all(accepted)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Runs a command-line program, such as kubectl."""

    program: Path
    environment: Mapping[str, str]

    async def run(self, arguments: Sequence[str], stdin: str = "", status: int = 0) -> str:
        """Run one command that must end with this exit status, and return its output.

        The terminal's Ctrl-C does not reach it: what removes the demo's objects runs to its end.

        Raises:
            DemoError: it ended with another one; the message contains its error output.
        """
        process = await asyncio.create_subprocess_exec(
            str(self.program),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self.environment),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_KUBECTL_SECONDS):
                output, errors = await process.communicate(stdin.encode())
        except TimeoutError as problem:
            command = f"{self.program.name} {' '.join(arguments)}"
            raise DemoError(f"`{command}` has not ended within {_KUBECTL_SECONDS:g} s") from problem
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != status:
            command = f"{self.program.name} {' '.join(arguments)}"
            raise DemoError(f"`{command}` ended with {process.returncode}: {errors.decode().strip()}")
        return output.decode()

    async def apply(self, manifest: str) -> str:
        """Apply a manifest and return kubectl's output.

        Raises:
            DemoError: the API server rejected it.
        """
        return await self.run(["apply", "-f", "-"], manifest)


def set_version_command(key: ObjectKey, version: str) -> list[str]:
    """Return kubectl's arguments to set the desired version of the Rollout, which starts a run."""
    change = json.dumps({"spec": {"version": version}})
    return ["patch", "mro", key.name, "-n", key.namespace, "--type", "merge", "-p", change]
