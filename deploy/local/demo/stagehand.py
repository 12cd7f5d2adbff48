"""Prepares the first act wherever it is played: the versions, their route, the traffic."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from demo import manifests
from demo.acts import RULE, Scene
from demo.cluster import ClusterView, Kubectl
from demo.errors import DemoError
from demo.manifests import STABLE, VERSIONS
from demo.observe import serves, wait_for, wait_for_rollout
from demo.process import Running, running
from demo.settings import DemoSettings
from demo.terminal import Terminal
from demo.traffic.requestlog import RequestLog
from serinus.api.names import API_VERSION, REQUESTED_BY_ANNOTATION, ObjectKey

_ANSWERS_SECONDS: Final = 30.0
_FIRST_ANSWERS: Final = 100


async def adopt(scene: Scene) -> None:
    """Apply the Rollout for the version that serves already, and wait until the operator has adopted it.

    Raises:
        DemoError: the operator did not adopt it; the message contains the Rollout's own summary.
    """
    settings = scene.settings
    await apply(scene.kubectl, settings.folder, "rollout", manifests.rollout(STABLE, settings))
    await wait_for_rollout(
        scene.view,
        settings.key,
        serves(STABLE.number),
        within=settings.pace.adoption,
        what=f"the adoption of {STABLE.number}",
    )


async def serve_versions(
    view: ClusterView, admin: Kubectl, team: Kubectl, settings: DemoSettings, terminal: Terminal
) -> None:
    """Have the team bring its versions, and the platform's administrator the route.

    Raises:
        DemoError: a version or the route did not become ready in time.
    """
    versions = "---\n".join(manifests.version(version, settings) for version in VERSIONS)
    await apply(team, settings.folder, "versions", versions)
    await apply(admin, settings.folder, "route", manifests.route(STABLE, settings))
    keys = [ObjectKey(settings.namespace, version.backend) for version in VERSIONS]
    await asyncio.gather(*(await_server(view, key, settings.pace.servers) for key in keys))
    terminal.line(f"{len(VERSIONS)} versions serve: {', '.join(version.number for version in VERSIONS)}")
    await wait_for(
        lambda: view.route(settings.key, RULE),
        lambda route: route.accepted,
        within=settings.pace.route,
        what="a route that the gateway accepts",
        describe=lambda route: f"{route}: see `kubectl describe httproute -n {settings.namespace}`",
    )


async def await_server(view: ClusterView, key: ObjectKey, within: float) -> None:
    """Wait for a ready pod of a version's Deployment.

    Raises:
        DemoError: there was none in time.
    """
    await wait_for(
        lambda: view.ready_replicas(key),
        lambda ready: ready > 0,
        within=within,
        what=f"a ready pod of {key}",
        describe=lambda ready: f"{ready} ready pods: see `kubectl get pods -n {key.namespace}`",
    )


async def stamped(kubectl: Kubectl, namespace: str) -> str:
    """Return the name that the API server stamps on what is made in the namespace; empty where it stamps none.

    Raises:
        DemoError: nothing may be made there.
    """
    probe = {"apiVersion": API_VERSION, "kind": "Model", "metadata": {"name": "probe", "namespace": namespace}}
    arguments = ["create", "--dry-run=server", "-o", "json", "-f", "-"]
    created = json.loads(await kubectl.run(arguments, json.dumps({**probe, "spec": {}})))
    return str(created["metadata"].get("annotations", {}).get(REQUESTED_BY_ANNOTATION, ""))


async def apply(kubectl: Kubectl, folder: Path, name: str, manifest: str) -> None:
    """Apply a manifest, and keep it in the folder."""
    # The tutorial's readers find the applied manifests here.
    file = folder / "manifests" / f"{name}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(manifest, encoding="utf-8")
    await kubectl.apply(manifest)


def load_command(module: str, folder: Path, **options: object) -> list[str]:
    """Return the command of a load generator with these options that writes its requests into the folder."""
    told = {**options, "output": folder / "requests.csv"}
    return [sys.executable, "-P", "-m", module, *(f"--{name}={value}" for name, value in told.items())]


@asynccontextmanager
async def traffic(
    settings: DemoSettings, environment: Mapping[str, str], terminal: Terminal, *more: str
) -> AsyncIterator[tuple[RequestLog, Running]]:
    """Send requests until the block ends, and yield once they are answered.

    Raises:
        DemoError: there were too few good answers in time.
    """
    command = load_command(
        "demo.traffic.load",
        settings.folder,
        url=settings.gateway_url,
        hostname=settings.hostname,
        rate=settings.rate,
        seconds=settings.pace.load,
    )
    async with running("the load generator", [*command, *more], environment, settings.folder / "load.log") as load:
        log = RequestLog(settings.folder / "requests.csv")
        await await_traffic(log, load)
        terminal.line(f"{settings.rate:g} requests/s go through the gateway; {STABLE.number} answers them")
        yield log, load


async def await_traffic(log: RequestLog, load: Running) -> None:
    """Wait for good answers.

    Raises:
        DemoError: there were too few in time, or the load generator has exited.
    """

    async def answered() -> int:
        load.check()
        recent = log.read()[-_FIRST_ANSWERS:]
        return sum(not record.failed for record in recent)

    await wait_for(
        answered,
        lambda good: good >= _FIRST_ANSWERS,
        within=_ANSWERS_SECONDS,
        what=f"{_FIRST_ANSWERS} good answers in a row",
        describe=lambda good: f"{good}; {load.tail()}" if good == 0 else str(good),
    )


def fresh_folder(folder: Path) -> Path:
    """Create the folder, remove the files of an earlier run, and return it.

    Raises:
        DemoError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("result.json", "requests.csv"):
            folder.joinpath(name).unlink(missing_ok=True)
    except OSError as problem:
        raise DemoError(f"cannot write to {folder}: {problem}") from problem
    return folder
