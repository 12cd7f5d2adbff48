"""Services: each ClusterIP forwards to a ready endpoint, and each name is in the private hosts file."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcluster.api import Api, Manifest
from localcluster.console import say
from localcluster.namespaces import base_hosts
from localcluster.node.mirror import Mirror

_CHUNK: Final = 1 << 16
_SERVICE_LABEL: Final = "kubernetes.io/service-name"

Endpoint = tuple[str, int]


@dataclass(slots=True)
class _Forwarder:
    """One open port of a Service; a connection chooses among the endpoints of its moment."""

    endpoints: list[Endpoint]
    server: asyncio.Server | None = None

    async def open(self, address: str, port: int) -> None:
        self.server = await asyncio.start_server(self._accept, address, port)

    def close(self) -> None:
        # Open connections go on, as they do with real Services.
        if self.server:
            self.server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = random.choice(self.endpoints)  # noqa: S311 - load is spread, no secret is made
        try:
            back_reader, back_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, back_writer), _pump(back_reader, writer))
        back_writer.close()
        writer.close()


class Services:
    """Keeps the addresses and the names of all Services."""

    def __init__(self, api: Api, hosts: Path) -> None:
        self._hosts = hosts
        self._stale = asyncio.Event()
        self._open: dict[Endpoint, _Forwarder] = {}
        self.services = Mirror(api, "/api/v1/services", self._note, self._note)
        self.slices = Mirror(api, "/apis/discovery.k8s.io/v1/endpointslices", self._note, self._note)

    async def run(self) -> None:
        """Bring addresses and names up to date for ever."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._forward()
            self._name()

    def _note(self, _: Manifest) -> None:
        self._stale.set()

    async def _forward(self) -> None:
        wanted = dict(self._wanted())
        for listener in self._open.keys() - wanted.keys():
            self._open.pop(listener).close()
        for listener, endpoints in wanted.items():
            if listener in self._open:
                self._open[listener].endpoints = endpoints
                continue
            forwarder = _Forwarder(endpoints)
            try:
                await forwarder.open(*listener)
            except OSError as error:
                say(f"cannot listen at {listener[0]}:{listener[1]}: {error}")
                continue
            self._open[listener] = forwarder

    def _wanted(self) -> Iterator[tuple[Endpoint, list[Endpoint]]]:
        """Yield each port of each Service that has ready endpoints: without any, a connection must be refused."""
        for service in self.services.objects.values():
            address = service["spec"].get("clusterIP", "None")
            for port in service["spec"].get("ports") or []:
                endpoints = list(self._ready(service, port.get("name", "")))
                if address != "None" and port.get("protocol", "TCP") == "TCP" and endpoints:
                    yield (address, port["port"]), endpoints

    def _ready(self, service: Manifest, port_name: str) -> Iterator[Endpoint]:
        metadata = service["metadata"]
        for slice_ in self.slices.objects.values():
            labels: Mapping[str, str] = slice_["metadata"].get("labels") or {}
            if (
                slice_["metadata"]["namespace"] != metadata["namespace"]
                or labels.get(_SERVICE_LABEL) != metadata["name"]
            ):
                continue
            ports = [port["port"] for port in slice_.get("ports") or [] if (port.get("name") or "") == port_name]
            for endpoint in slice_.get("endpoints") or []:
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    yield from ((address, port) for address in endpoint["addresses"] for port in ports)

    def _name(self) -> None:
        lines = [base_hosts()]
        for (namespace, name), service in sorted(self.services.objects.items()):
            address = service["spec"].get("clusterIP", "None")
            addresses = [address] if address != "None" else self._headless(service)
            full = f"{name}.{namespace}.svc"
            lines += [f"{entry} {full} {full}.cluster.local {name}.{namespace}\n" for entry in addresses]
        text = "".join(lines)
        # The file is bind-mounted: it must be written in place, since a new one would not be seen.
        if self._hosts.read_text(encoding="utf-8") != text:
            self._hosts.write_text(text, encoding="utf-8")

    def _headless(self, service: Manifest) -> list[str]:
        names = [port.get("name", "") for port in service["spec"].get("ports") or []]
        return sorted({address for name in names for address, _ in self._ready(service, name)})


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
