"""The init process inside the namespaces: `python -m localcluster.init STATE [-- COMMAND]`."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from localcluster import certificates, control, namespaces
from localcluster.api import Api
from localcluster.children import Children
from localcluster.client import Cluster
from localcluster.console import say
from localcluster.errors import LocalClusterError
from localcluster.node.part import node
from localcluster.parts import gateway
from localcluster.parts.controlplane import apiserver, controller_manager, etcd
from localcluster.parts.prometheus import prometheus
from localcluster.programs import crds
from localcluster.settings import Feature, Settings
from localcluster.supervisor import Supervisor, part_environment, run_in_foreground

_STARTUP_FAILED: Final = 70


class _Cluster:
    def __init__(self, settings: Settings, authority: certificates.Authority) -> None:
        self._settings = settings
        self._authority = authority
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._failure = ""
        self._children = Children()
        self._supervisor = Supervisor(settings, self._children, part_environment(settings))

    async def run(self, command: list[str]) -> int:
        self._children.listen()
        self._listen_to_signals(foreground=bool(command))
        server = await control.serve(self._settings.state, self._handle)
        status = await self._live(command)
        await self._supervisor.stop_all()
        server.close()
        return status

    async def _live(self, command: list[str]) -> int:
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait([starting])
            return 128 + signal.SIGTERM
        stopping.cancel()
        self._failure = _message(starting.exception())
        self._started.set()
        if self._failure:
            say(self._failure)
            return _STARTUP_FAILED
        if not command:
            await self._stop.wait()
            return 0
        environment = Cluster(self._settings.state).environment(part_environment(self._settings))
        return _shell_status(await run_in_foreground(self._children, command, environment, self._stop))

    async def _start(self) -> None:
        started = time.monotonic()
        settings, launch = self._settings, self._supervisor.launch
        async with asyncio.TaskGroup() as group:
            if settings.has(Feature.PROMETHEUS):
                group.create_task(launch(prometheus(settings)))
            await launch(etcd(settings))
            await launch(apiserver(settings, self._authority))
            group.create_task(launch(controller_manager(settings, self._authority)))
            if settings.has(Feature.NODE):
                group.create_task(launch(node(settings)))
            group.create_task(self._start_custom_resources())
        say(f"local cluster ready in {time.monotonic() - started:.1f} s; state in {settings.state}")

    async def _start_custom_resources(self) -> None:
        settings, launch = self._settings, self._supervisor.launch
        async with Api(settings.kubeconfig()) as api:
            await crds.install(api, settings)
            if settings.has(Feature.GATEWAY):
                for manifest in gateway.OBJECTS:
                    await api.apply(manifest)
                await launch(gateway.contour(settings))
                await launch(gateway.envoy(settings))
                await crds.await_condition(api, gateway.OBJECTS[-1], "Programmed")

    async def _handle(self, request: control.Request) -> control.Reply:
        match request:
            case {"do": "wait"}:
                await self._started.wait()
                return {"error": self._failure} if self._failure else {}
            case {"do": "status"}:
                return {"parts": self._supervisor.states(), "ready": self._started.is_set() and not self._failure}
            case {"do": "stop", "name": name}:
                await self._supervisor.stop(name)
            case {"do": "start", "name": name}:
                await self._supervisor.start(name)
            case {"do": "signal", "name": name, "signal": number}:
                self._supervisor.signal(name, control.to_signal(number))
            case {"do": "down"}:
                self._stop.set()
            case _:
                raise LocalClusterError(f"unknown request: {request}")
        return {}

    def _listen_to_signals(self, *, foreground: bool) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        # The terminal sends Ctrl-C to its whole foreground group, so the command receives it directly.
        ignored = foreground and sys.stdin.isatty()
        loop.add_signal_handler(signal.SIGINT, (lambda: None) if ignored else self._stop.set)


def _message(error: BaseException | None) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "\n".join(_message(inner) for inner in error.exceptions)
    return f"{type(error).__name__ if not isinstance(error, LocalClusterError) else 'error'}: {error}" if error else ""


def _shell_status(status: int) -> int:
    return status if status >= 0 else 128 - status


def main() -> int:
    """Set up the namespaces, run the cluster in them and return the exit status of the command."""
    os.umask(0o022)
    settings = Settings.load(Path(sys.argv[1]))
    command = sys.argv[3:]
    try:
        namespaces.set_up(settings)
        authority = certificates.issue(settings)
        return asyncio.run(_Cluster(settings, authority).run(command))
    except LocalClusterError as error:
        say(f"error: {error}")
        return _STARTUP_FAILED


if __name__ == "__main__":
    sys.exit(main())
