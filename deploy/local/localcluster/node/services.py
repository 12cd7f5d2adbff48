"""Services: forwards each ClusterIP to ready endpoints and writes each name to the private hosts file."""

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
    """One open port of a Service; each connection goes to a random current endpoint."""

    endpoints: list[Endpoint]
    server: asyncio.Server | None = None

    async def open(self, address: str, port: int) -> None:
        self.server = await asyncio.start_server(self._accept, address, port)

    def close(self) -> None:
        # Open connections continue, as with real Services.
        if self.server:
            self.server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = random.choice(self.endpoints)  # noqa: S311 - load balancing, not cryptography
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(address, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, upstream_writer), _pump(upstream_reader, writer))
        upstream_writer.close()
        writer.close()


class Services:
    """Maintains the addresses and names of all Services."""

    def __init__(self, api: Api, hosts: Path) -> None:
        self._hosts = hosts
        self._stale = asyncio.Event()
        self._open: dict[Endpoint, _Forwarder] = {}
        self.services = Mirror(api, "/api/v1/services", self._invalidate, self._invalidate)
        self.slices = Mirror(api, "/apis/discovery.k8s.io/v1/endpointslices", self._invalidate, self._invalidate)

    async def run(self) -> None:
        """Update addresses and names for ever."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            await self._forward()
            self._write_hosts()

    def _invalidate(self, _: Manifest) -> None:
        self._stale.set()

    async def _forward(self) -> None:
        desired = dict(self._listeners())
        for listener in self._open.keys() - desired.keys():
            self._open.pop(listener).close()
        for listener, endpoints in desired.items():
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

    def _listeners(self) -> Iterator[tuple[Endpoint, list[Endpoint]]]:
        """Yield each Service port with ready endpoints; without any, connections must be refused."""
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

    def _write_hosts(self) -> None:
        lines = [base_hosts()]
        for (namespace, name), service in sorted(self.services.objects.items()):
            address = service["spec"].get("clusterIP", "None")
            addresses = [address] if address != "None" else self._headless(service)
            full = f"{name}.{namespace}.svc"
            lines += [f"{entry} {full} {full}.cluster.local {name}.{namespace}\n" for entry in addresses]
        text = "".join(lines)
        # The file is bind-mounted: write it in place, because a replaced file would not be visible.
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
