"""Prepares a cluster that somebody else runs: the demo's namespace, the versions, the route, the traffic."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from demo import portable
from demo.acts import Scene
from demo.cluster import ClusterView, Kubectl
from demo.given.access import proxied
from demo.given.checks import Found
from demo.given.namespace import own_namespace
from demo.given.operator import meter_of
from demo.given.options import Options
from demo.given.pace import pace_of
from demo.metrics.dataplanes import DATA_PLANES
from demo.metrics.prometheus import Probe
from demo.settings import DemoSettings, Programs
from demo.stagehand import apply, serve_versions, stamped, traffic
from demo.terminal import Terminal
from serinus.api.names import UNVERIFIED

_PROGRAMS: Final = "programs"
_PROGRAM: Final = "PROGRAM"
# Isolated from the image's environment; the program is in a variable, as not every node mounts ConfigMaps.
_COMMAND: Final = ("python3", "-I", "-u", "-c", f"import os; exec(os.environ['{_PROGRAM}'])")


def settings_of(options: Options, scrape: float) -> DemoSettings:
    """Return the settings of the acts in this cluster, whose Prometheus scrapes at this interval.

    Whom the audit trail may name is known once the namespace is there.
    """
    return DemoSettings(
        namespace=options.namespace,
        hostname=options.hostname,
        gateway=options.gateway,
        gateway_url=options.gateway_url,
        preset=options.preset,
        source=options.source,
        plane=DATA_PLANES[options.preset],
        programs=_programs(options.image),
        folder=options.folder.resolve(),
        rate=options.rate,
        pace=pace_of(scrape, options.rate),
        actors=frozenset(),
        trouble="See the operator's log, and load.log in the folder of the demo",
    )


def _programs(image: str) -> Programs:
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return Programs(
        image=image,
        server=_COMMAND,
        server_environment=(_program("server.py"), address),
        contract=_COMMAND,
        contract_environment=(_program("contract.py"),),
        trains=False,
    )


def _program(file: str) -> dict[str, object]:
    return {"name": _PROGRAM, "valueFrom": {"configMapKeyRef": {"name": _PROGRAMS, "key": file}}}


def programs(namespace: str) -> str:
    """Return the ConfigMap with the programs of the pods."""
    folder = Path(*portable.__path__)
    files = {name: (folder / name).read_text(encoding="utf-8") for name in ("server.py", "contract.py")}
    metadata = {"name": _PROGRAMS, "namespace": namespace}
    manifest: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}
    return json.dumps(manifest, indent=2)


@asynccontextmanager
async def ready_scene(
    options: Options, found: Found, settings: DemoSettings, kubectl: Kubectl, terminal: Terminal
) -> AsyncIterator[Scene]:
    """Set up the scene, yield it, and remove everything when the block ends.

    Raises:
        DemoError: something did not become ready, or could not be removed.
    """
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        await stack.enter_async_context(own_namespace(kubectl, options.namespace, terminal, keep=options.keep))
        api, proxy = await stack.enter_async_context(proxied(kubectl, settings.folder / "proxy.log"))
        view = ClusterView(api)
        person = await stamped(kubectl, options.namespace) or UNVERIFIED
        terminal.line(f"the audit trail will name {person}")
        await apply(kubectl, settings.folder, "programs", programs(options.namespace))
        await serve_versions(view, kubectl, kubectl, settings, terminal)
        log, load = await stack.enter_async_context(traffic(settings, kubectl.environment, terminal, "--elsewhere"))
        probe = Probe(session, options.prometheus, settings.plane)
        scrape = found.source.scrape_interval.seconds if found.source else 0.0
        yield Scene(
            settings=replace(settings, actors=frozenset({person, "serinus"})),
            view=view,
            kubectl=kubectl,
            probe=probe,
            log=log,
            terminal=terminal,
            programs=(proxy, load),
            meter=meter_of(probe, scrape, alone=found.alone),
        )
