"""The lifecycle of one pod, from its binding to its deletion."""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

from localcluster.api import ApiError, Manifest
from localcluster.console import say
from localcluster.node.container import Assignment, Container, Host
from localcluster.node.records import Pod, Policy, pod_status

_RETRY_SECONDS: Final = 0.5
_GONE: Final = (404, 409)


class PodRunner:
    """Runs the containers of one pod and keeps its status up to date."""

    def __init__(self, host: Host, manifest: Manifest, address: str, released: Callable[[], None]) -> None:
        self._host = replace(host, folder=host.folder / pod_folder(manifest))
        self._manifest = manifest
        self._address = address
        self._released = released
        self._started_at = datetime.now(UTC)
        self._changed = asyncio.Event()
        self._deleted = asyncio.Event()
        self._written: Manifest | None = None
        spec = manifest["spec"]
        self._inits = {entry["name"]: self._container(entry) for entry in spec.get("initContainers") or []}
        self._mains = {entry["name"]: self._container(entry) for entry in spec["containers"]}
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(complain)

    @property
    def manifest(self) -> Manifest:
        """The latest version of the pod."""
        return self._manifest

    @property
    def address(self) -> str:
        """The pod's IP address."""
        return self._address

    def log(self, container: str, *, previous: bool) -> Path | None:
        """Return the path of a container's log, or None if there is none."""
        runner = self._mains.get(container) or self._inits.get(container)
        if runner is None:
            return None
        file = runner.log(runner.record.restarts - 1 if previous else runner.record.restarts)
        return file if file.exists() else None

    def update(self, manifest: Manifest) -> None:
        """Replace the pod by a newer version."""
        self._manifest = manifest
        if manifest["metadata"].get("deletionTimestamp"):
            self._deleted.set()
        self._changed.set()

    async def kill(self) -> None:
        """Kill all processes at once, without reporting to the API server."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._stop(grace=0)
        self._released()

    def writes(self, container: str, file: Path) -> bool:
        """Return whether a container is still writing to this log."""
        runner = self._mains.get(container) or self._inits.get(container)
        return runner is not None and runner.writes(file)

    async def _run(self) -> None:
        # A pod that was deleted while no node was running has no processes.
        if not self._deleted.is_set():
            await self._run_until_deleted()
            await self._persist(self._report)
        await self._persist(self._delete)
        self._released()

    async def _run_until_deleted(self) -> None:
        reporting = asyncio.create_task(self._report_for_ever())
        living = asyncio.create_task(self._live())
        for task in (reporting, living):
            task.add_done_callback(complain)
        try:
            await self._deleted.wait()
            await self._stop(float(self._manifest["metadata"].get("deletionGracePeriodSeconds") or 0))
        finally:
            await _cancel(living)
            await _cancel(reporting)

    async def _live(self) -> None:
        policy = Policy(self._manifest["spec"].get("restartPolicy", "Always"))
        for container in self._inits.values():
            if await container.run(Policy.NEVER if policy is Policy.NEVER else Policy.ON_FAILURE):
                return
        async with asyncio.TaskGroup() as group:
            for container in self._mains.values():
                group.create_task(container.run(policy))

    async def _stop(self, grace: float) -> None:
        async with asyncio.TaskGroup() as group:
            for container in (*self._mains.values(), *self._inits.values()):
                group.create_task(container.stop(grace))

    async def _report_for_ever(self) -> None:
        while True:
            self._changed.clear()
            await self._persist(self._report)
            await self._changed.wait()

    async def _persist(self, write: Callable[[], Any]) -> None:
        """Retry a write until the API server has accepted it or the pod is gone."""
        while True:
            try:
                await write()
            except ApiError as error:
                if error.status in _GONE:
                    return
                say(f"{error}; retrying")
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            else:
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _report(self) -> None:
        pod = Pod(
            manifest=self._manifest,
            address=self._address,
            started_at=self._started_at,
            inits={name: container.record for name, container in self._inits.items()},
            mains={name: container.record for name, container in self._mains.items()},
        )
        status = pod_status(pod, datetime.now(UTC))
        if status != self._written:
            change = {"metadata": {"uid": self._manifest["metadata"]["uid"]}, "status": status}
            self._manifest = await self._host.api.merge(f"{self._path}/status", change)
            self._written = status

    async def _delete(self) -> None:
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self._manifest["metadata"]["uid"]},
        }
        await self._host.api.request("DELETE", self._path, options)

    def _container(self, spec: Manifest) -> Container:
        assignment = Assignment(
            pod=self._manifest,
            container=spec,
            address=self._address,
            restarts=_restarts_before(self._manifest, spec["name"]),
        )
        return Container(self._host, assignment, self._changed.set)

    @property
    def _path(self) -> str:
        metadata = self._manifest["metadata"]
        return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def pod_folder(manifest: Manifest) -> str:
    """Return the name of a pod's folder."""
    metadata = manifest["metadata"]
    return f"{metadata['namespace']}_{metadata['name']}_{metadata['uid']}"


def is_finished(manifest: Manifest) -> bool:
    """Return whether a pod has succeeded or failed."""
    return manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _restarts_before(manifest: Manifest, container: str) -> int:
    # The processes of pods that ran before a restart of the node were killed with it.
    status = manifest.get("status", {})
    known = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return next((entry["restartCount"] + 1 for entry in known if entry["name"] == container), 0)


def complain(task: asyncio.Task[None]) -> None:
    """Print the error of a task that is not expected to fail."""
    if not task.cancelled() and (error := task.exception()):
        say("".join(traceback.format_exception(error)))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
