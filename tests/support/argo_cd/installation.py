"""Argo CD as processes beside the local cluster: controller, repository server, API server and Redis."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from demo.cluster import Kubectl
from demo.errors import CouldNotAskError
from demo.observe import wait_for
from demo.process import Running, running
from localcluster.api import Api, Manifest
from localcluster.client import Cluster
from localcluster.programs.crds import await_condition
from localcluster.settings import CHECKOUT
from support.argo_cd.programs import Programs

NAMESPACE: Final = "argocd"
FILES: Final = CHECKOUT / "deploy" / "argocd"

_REDIS_PORT, _REPO_PORT, _SERVER_PORT = 16379, 18081, 18080
_READY_SECONDS: Final = 120.0
_PART_OF: Final = {"app.kubernetes.io/part-of": "argocd"}
_EMPTY_MAPS: Final = (
    "argocd-rbac-cm",
    "argocd-cmd-params-cm",
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
    "argocd-gpg-keys-cm",
)


@dataclass(frozen=True, slots=True)
class ArgoCd:
    """A running Argo CD.

    Attributes:
        program: its command line.
    """

    program: Kubectl

    async def cli(self, *arguments: str) -> str:
        """Run ``argocd`` against its API server and return what it printed.

        Raises:
            DemoError: it failed; the message contains its output.
        """
        return await self.program.run([*arguments, "--server", f"127.0.0.1:{_SERVER_PORT}", "--plaintext"])


@asynccontextmanager
async def argo_cd(
    cluster: Cluster, environment: Mapping[str, str], programs: Programs, folder: Path
) -> AsyncIterator[ArgoCd]:
    """Install Argo CD with the settings of deploy/argocd and run it until the block ends."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / programs.verify.name).symlink_to(programs.verify)
    (folder / "bin" / "argocd").symlink_to(programs.argocd)
    variables = _variables(environment, folder)
    async with AsyncExitStack() as stack:
        async with Api(cluster.kubeconfig) as api:
            await _install(api, Kubectl(cluster.kubectl, environment), programs)
        await stack.enter_async_context(_redis(programs, variables, folder))
        for role, options in _roles(cluster).items():
            log = folder / f"{role}.log"
            started = variables | {"ARGOCD_BINARY_NAME": role}
            program = await stack.enter_async_context(running(role, [str(programs.argocd), *options], started, log))
            await _until_listening(program, _PORTS.get(role))
        yield ArgoCd(Kubectl(programs.argocd, variables))


_PORTS: Final = {"argocd-repo-server": _REPO_PORT, "argocd-server": _SERVER_PORT}


def _roles(cluster: Cluster) -> dict[str, tuple[str, ...]]:
    shared = ("--redis", f"127.0.0.1:{_REDIS_PORT}")
    repo_server = ("--repo-server", f"127.0.0.1:{_REPO_PORT}")
    api = ("--kubeconfig", str(cluster.kubeconfig), "--namespace", NAMESPACE)
    return {
        "argocd-repo-server": ("--address", "127.0.0.1", "--port", str(_REPO_PORT), "--metrics-port", "18084", *shared),
        # Not only a webhook starts a comparison: every ten seconds, where an installation waits three minutes.
        "argocd-application-controller": (
            *api, *shared, *repo_server, "--app-resync", "10", "--metrics-port", "18082",
        ),
        "argocd-server": (
            *api, *shared, *repo_server, "--address", "127.0.0.1", "--port", str(_SERVER_PORT),
            "--metrics-port", "18083", "--insecure", "--disable-auth",
        ),
    }  # fmt: skip


def _variables(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    own = {name: str(folder / name.lower()) for name in ("ARGOCD_TLS_DATA_PATH", "ARGOCD_SSH_DATA_PATH")}
    own |= {name: str(folder / name.lower()) for name in ("ARGOCD_GPG_DATA_PATH", "ARGOCD_GNUPGHOME", "TMPDIR")}
    for path in own.values():
        Path(path).mkdir(mode=0o700)
    path = f"{folder / 'bin'}:{environment['PATH']}"
    return {
        **environment,
        **own,
        "PATH": path,
        "HOME": str(folder),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_GPG_ENABLED": "false",
    }


def _redis(programs: Programs, variables: Mapping[str, str], folder: Path) -> Any:
    (library,) = programs.redis.glob("usr/lib/*-linux-gnu")
    command = [str(programs.redis / "usr" / "bin" / "redis-server"), "--port", str(_REDIS_PORT), "--save", ""]
    libraries = dict(variables) | {"LD_LIBRARY_PATH": str(library)}
    return running("redis", [*command, "--dir", str(folder)], libraries, folder / "redis.log")


async def _install(api: Api, kubectl: Kubectl, programs: Programs) -> None:
    for file in sorted(programs.crds.glob("*.yaml")):
        crd = yaml.safe_load(file.read_text(encoding="utf-8"))
        await api.apply(crd)
        await await_condition(api, crd, "Established")
    settings = yaml.safe_load((FILES / "argocd-cm.yaml").read_text(encoding="utf-8"))
    settings["metadata"]["labels"] = _PART_OF
    project = {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    }
    manifests = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        settings,
        *(_object("v1", "ConfigMap", name) for name in _EMPTY_MAPS),
        _object("v1", "Secret", "argocd-secret") | {"stringData": {"server.secretkey": "a local one"}},
        _object("argoproj.io/v1alpha1", "AppProject", "default") | {"spec": project},
    ]
    options = ["apply", "--server-side", "--force-conflicts", "--filename", "-"]
    await kubectl.run(options, yaml.safe_dump_all(manifests))


def _object(version: str, kind: str, name: str) -> Manifest:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": _PART_OF}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


async def _until_listening(program: Running, port: int | None) -> None:
    if port is None:
        return

    async def probe() -> bool:
        program.check()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as problem:
            raise CouldNotAskError(f"{program.name} does not listen yet: {problem}") from problem
        writer.close()
        await writer.wait_closed()
        return True

    await wait_for(probe, bool, within=_READY_SECONDS, what=f"{program.name} to listen")
