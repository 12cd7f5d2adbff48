"""All pods of the node: binds pods without a node to itself and runs those bound to it."""

import asyncio
import ipaddress
import json
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp

from localcluster.addresses import POD_NETWORK
from localcluster.api import ApiError, Manifest
from localcluster.console import say
from localcluster.node.container import Host
from localcluster.node.mirror import Key, Mirror, key_of
from localcluster.node.pod import PodRunner, complain, is_finished
from localcluster.node.registration import NAME

_PREFIX: Final = "prometheus.io"


class Pods:
    """Manages a runner for each pod of this node."""

    def __init__(self, host: Host, targets: Path) -> None:
        self._host = host
        self._targets = targets
        self._runners: dict[Key, PodRunner] = {}
        self._addresses = _addresses()
        self._taken: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.mirror = Mirror(host.api, "/api/v1/pods", self._changed, self._gone)

    def find(self, namespace: str, name: str) -> PodRunner | None:
        """Return the runner of a pod, or None."""
        return self._runners.get((namespace, name))

    async def kill_all(self) -> None:
        """Kill all processes; the pods remain for the next start of the node."""
        async with asyncio.TaskGroup() as group:
            for runner in self._runners.values():
                group.create_task(runner.kill())

    def _changed(self, pod: Manifest) -> None:
        node = pod["spec"].get("nodeName")
        if not node:
            if not pod["spec"].get("schedulingGates"):
                self._do(self._bind(pod))
        elif node == NAME:
            self._run(pod)
        self._write_targets()

    def _run(self, pod: Manifest) -> None:
        runner = self._runners.get(key_of(pod))
        if runner and runner.manifest["metadata"]["uid"] != pod["metadata"]["uid"]:
            # It was deleted and recreated while the watch was interrupted.
            self._do(runner.kill())
            runner = None
        if runner:
            runner.update(pod)
        elif not is_finished(pod) or pod["metadata"].get("deletionTimestamp"):
            self._start(pod)

    def _start(self, pod: Manifest) -> None:
        address = next(candidate for candidate in self._addresses if candidate not in self._taken)
        self._taken.add(address)
        runner = PodRunner(self._host, pod, address, lambda: self._taken.discard(address))
        self._runners[key_of(pod)] = runner
        runner.update(pod)

    def _gone(self, pod: Manifest) -> None:
        runner = self._runners.get(key_of(pod))
        if runner and runner.manifest["metadata"]["uid"] == pod["metadata"]["uid"]:
            del self._runners[key_of(pod)]
            self._do(runner.kill())
        self._write_targets()

    async def _bind(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "uid": metadata["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding"
        try:
            await self._host.api.request("POST", path, binding)
        except ApiError as error:
            # Deleted or bound in the meantime: the watch delivers its current state.
            say(f"not bound: {error}")
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(1)
            if key_of(pod) in self.mirror.objects:
                self._do(self._bind(pod))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(complain)

    def _write_targets(self) -> None:
        entries = [entry for pod in self.mirror.objects.values() if (entry := _target(pod))]
        text = json.dumps(sorted(entries, key=lambda entry: entry["targets"]), indent=1)
        if not self._targets.exists() or self._targets.read_text(encoding="utf-8") != text:
            part = self._targets.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(self._targets)


def _target(pod: Manifest) -> Manifest | None:
    metadata, status = pod["metadata"], pod.get("status", {})
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    if annotations.get(f"{_PREFIX}/scrape") != "true" or status.get("phase") != "Running" or not status.get("podIP"):
        return None
    labels = {_label(name): value for name, value in (metadata.get("labels") or {}).items()}
    return {
        "targets": [f"{status['podIP']}:{annotations.get(f'{_PREFIX}/port', '80')}"],
        "labels": labels
        | {
            "__metrics_path__": annotations.get(f"{_PREFIX}/path", "/metrics"),
            "__scheme__": annotations.get(f"{_PREFIX}/scheme", "http"),
            "namespace": metadata["namespace"],
            "pod": metadata["name"],
            "node": NAME,
        },
    }


def _label(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)


def _addresses() -> Iterator[str]:
    # The first 256 are reserved for the cluster; an address is reused only after all others.
    hosts = [str(address) for address in list(ipaddress.ip_network(POD_NETWORK))[256:-1]]
    while True:
        yield from hosts
