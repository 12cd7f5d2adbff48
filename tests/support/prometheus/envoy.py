"""A real Envoy on loopback with one cluster for each backend, named as Contour names them."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from demo.observe import wait_for
from localcluster.programs.provide import envoy
from support.servers.ready import free_port

_FILTERS: Final = "type.googleapis.com/envoy.extensions.filters"
_UPSTREAMS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BOUNDS: Final = [100, 200, 250, 500]
_DEADLINE_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One backend: requests whose path begins with its name go to it.

    Attributes:
        port: of its only endpoint; None for none.
        timeout: of the route.
        retries: how often a request is repeated that fails or is reset.
        http2: whether it speaks HTTP/2 in clear text.
        most: how many requests it may have at once; None for Envoy's own limit.
    """

    port: int | None
    timeout: str = "10s"
    retries: int = 0
    http2: bool = False
    most: int | None = None


@dataclass(frozen=True, slots=True)
class RunningEnvoy:
    """Where to send requests, and where its statistics are."""

    port: int
    admin: int


@asynccontextmanager
async def running_envoy(folder: Path, upstreams: Mapping[str, Upstream]) -> AsyncIterator[RunningEnvoy]:
    """Run one until the block ends; it answers when the block begins."""
    ports = RunningEnvoy(free_port(), free_port())
    file = folder / "envoy.json"
    file.write_text(json.dumps(_bootstrap(ports, upstreams)))
    command = [str(envoy()), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    process = _started(command, folder / "envoy.log")
    try:
        await wait_for(
            lambda: _ready(ports.admin), lambda ready: ready, within=_DEADLINE_SECONDS, what="Envoy to be ready"
        )
        yield ports
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, timeout=_DEADLINE_SECONDS)


def _started(command: list[str], log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output)


async def _ready(admin: int) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{admin}/ready") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _bootstrap(ports: RunningEnvoy, upstreams: Mapping[str, Upstream]) -> dict[str, Any]:
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "http_filters": [
            {
                "name": "grpc_stats",
                "typed_config": {
                    "@type": f"{_FILTERS}.http.grpc_stats.v3.FilterConfig",
                    "stats_for_all_methods": False,
                },
            },
            {"name": "router", "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"}},
        ],
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [_route(name, upstreams[name]) for name in upstreams]}
            ]
        },
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "admin": {"address": _address(ports.admin)},
        "stats_config": {"histogram_bucket_settings": [{"match": {"suffix": "upstream_rq_time"}, "buckets": _BOUNDS}]},
        "static_resources": {
            "listeners": [{"address": _address(ports.port), "filter_chains": [chain]}],
            "clusters": [_cluster(name, upstreams[name]) for name in upstreams],
        },
    }


def _route(name: str, upstream: Upstream) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": name, "timeout": upstream.timeout}
    if upstream.retries:
        action["retry_policy"] = {"retry_on": "5xx,reset", "num_retries": upstream.retries}
    return {"match": {"prefix": f"/{name}/"}, "route": action}


def _cluster(name: str, upstream: Upstream) -> dict[str, Any]:
    hosts = [] if upstream.port is None else [{"endpoint": {"address": _address(upstream.port)}}]
    load = {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}
    made: dict[str, Any] = {
        "name": name,
        "alt_stat_name": f"ml_{name}_80",
        "type": "STATIC",
        "load_assignment": load,
    }
    if upstream.http2:
        options = {
            "@type": f"type.googleapis.com/{_UPSTREAMS}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        made["typed_extension_protocol_options"] = {_UPSTREAMS: options}
    if upstream.most is not None:
        most = {"max_connections": upstream.most, "max_pending_requests": 1, "max_requests": upstream.most}
        made["circuit_breakers"] = {"thresholds": [most]}
    return made


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
