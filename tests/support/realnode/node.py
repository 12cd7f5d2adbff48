"""Real nodes in the local cluster: kubelet, containerd and runc, kube-scheduler, and CoreDNS for their pods.

The cluster runs without its node of processes (``localcluster run --without node``).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from localcluster.addresses import LOOPBACK, NODE
from localcluster.certificates import Authority
from localcluster.client import Cluster
from localcluster.settings import CHECKOUT
from support.kubectl import Kubectl
from support.localcluster import eventually, fetch
from support.realnode import cgroups, settings
from support.realnode.programs import Programs, programs
from support.realnode.settings import NAME_SERVER, NodeFiles

_STOP_SECONDS: Final = 30.0
_IMPORT_SECONDS: Final = 300.0
_SCHEDULER_PORT: Final = 10259


@dataclass(frozen=True, slots=True)
class Node:
    """A running node.

    Attributes:
        files: where it keeps its files.
        programs: what it consists of.
        environment: the variables of its programs.
    """

    files: NodeFiles
    programs: Programs
    environment: Mapping[str, str]

    def load(self, archive: Path) -> None:
        """Give it the images of an archive."""
        ctr = [str(self.programs.by_name["ctr"]), "--address", str(self.files.endpoint), "--namespace", "k8s.io"]
        command = [*ctr, "images", "import", "--snapshotter", "overlayfs", str(archive)]
        done = subprocess.run(
            command, env=dict(self.environment), capture_output=True, text=True, check=False, timeout=_IMPORT_SECONDS
        )
        assert done.returncode == 0, f"{archive}: {done.stdout}{done.stderr}"


@contextmanager
def nodes(cluster: Cluster, admin: Kubectl, folder: Path, archives: Sequence[Path], count: int = 1) -> Iterator[None]:
    """Run nodes for a while, ready, with the images of these archives.

    Args:
        cluster: the cluster, without a node.
        admin: its administrator.
        folder: for logs and state; it has to be on a file system on which overlayfs works.
        archives: OCI archives, the one of the pause image among them.
        count: how many nodes.
    """
    found = programs()
    path = ":".join([*found.search_path(), os.environ.get("PATH", os.defpath), "/usr/sbin:/sbin"])
    environment = {"PATH": path, "HOME": str(folder)}
    with ExitStack() as stack:
        for process in _of_the_cluster(cluster, found, folder):
            stack.enter_context(_running(*process, environment=environment, folder=folder))
        for number in range(count):
            node = stack.enter_context(_node(cluster, found, environment, folder, number))
            for archive in archives:
                node.load(archive)
            stack.enter_context(_kubelet(cluster, node))
        eventually(lambda: _all_ready(admin, count), why=f"{count} ready nodes")
        yield


def _of_the_cluster(cluster: Cluster, found: Programs, folder: Path) -> Iterator[tuple[str, list[str], str]]:
    """Yield the name, the command and the address of what all nodes share."""
    kubeconfig = cluster.kubeconfig_of("node")
    corefile = folder / "Corefile"
    corefile.write_text(settings.names(kubeconfig), encoding="utf-8")
    names = [str(found.by_name["coredns"]), "-conf", str(corefile)]
    yield "coredns", names, f"http://{NAME_SERVER}:8181/ready"
    scheduler = [str(found.by_name["kube-scheduler"]), f"--kubeconfig={kubeconfig}", "--leader-elect=false"]
    # Its own address has a certificate of its own making: whether a pod gets a node is asked instead.
    yield "scheduler", [*scheduler, f"--bind-address={LOOPBACK}", f"--secure-port={_SCHEDULER_PORT}"], ""
    yield "forwarding", [sys.executable, "-P", "-m", "localcluster.node.forwarding", str(cluster.state)], ""


@contextmanager
def _node(
    cluster: Cluster, found: Programs, environment: Mapping[str, str], folder: Path, number: int
) -> Iterator[Node]:
    state = folder / f"node-{number}"
    with ExitStack() as stack:
        short = tempfile.TemporaryDirectory(prefix=cgroups.PREFIX, ignore_cleanup_errors=True)
        sockets = Path(stack.enter_context(short))
        files = NodeFiles(number, state, sockets, cgroup=sockets.name)
        files.networks.mkdir(parents=True)
        (files.networks / "10-pods.conflist").write_text(settings.network(folder / "addresses"), encoding="utf-8")
        runtime = settings.containerd(files, found.by_name["runc"], found.plugins)
        (state / "containerd.toml").write_text(runtime, encoding="utf-8")
        (state / "kubelet.json").write_text(settings.kubelet(files, _authority(cluster)), encoding="utf-8")
        cgroups.make(files.cgroup)
        stack.callback(_tidy, files)
        command = [str(found.by_name["containerd"]), "--config", str(state / "containerd.toml")]
        stack.enter_context(_running(f"containerd-{number}", command, "", environment=environment, folder=folder))
        eventually(files.endpoint.exists, why="containerd listens")
        yield Node(files, found, environment)


def _kubelet(cluster: Cluster, node: Node) -> AbstractContextManager[None]:
    files = node.files
    command = [
        str(node.programs.by_name["kubelet"]),
        f"--config={files.state / 'kubelet.json'}",
        f"--kubeconfig={cluster.kubeconfig_of('node')}",
        f"--hostname-override={files.name}",
        f"--node-ip={NODE}",
        f"--root-dir={files.state / 'kubelet'}",
    ]
    health = f"http://{LOOPBACK}:{files.health_port}/healthz"
    return _running(f"kubelet-{files.number}", command, health, environment=node.environment, folder=files.state.parent)


def _authority(cluster: Cluster) -> Authority:
    return Authority(cluster.state / "pki")


def _tidy(files: NodeFiles) -> None:
    """End the containers and unmount what they had."""
    cgroups.remove(files.cgroup)
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    for point in sorted((line.split()[1] for line in mounts), reverse=True):
        if point.startswith((f"{files.state}/", f"{files.sockets}/")):
            subprocess.run(["umount", "--lazy", point], check=False)
    shutil.rmtree(files.state / "containerd", ignore_errors=True)


@contextmanager
def _running(
    name: str, command: Sequence[str], health: str, *, environment: Mapping[str, str], folder: Path
) -> Iterator[None]:
    log = folder / f"{name}.log"
    variables = {**environment, "PYTHONPATH": str(CHECKOUT / "deploy" / "local")}
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, env=variables) as process:
        try:
            if health:
                eventually(lambda: _answers(process, health, log), why=f"{name} at {health}")
            yield
            assert process.poll() is None, f"{name} has ended: {_tail(log)}"
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _answers(process: "subprocess.Popen[bytes]", address: str, log: Path) -> bool:
    assert process.poll() is None, _tail(log)
    return fetch(address)[0] == HTTPStatus.OK


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


def _all_ready(admin: Kubectl, count: int) -> bool:
    path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    return admin("get", "nodes", "-o", f"jsonpath={path}").split() == ["True"] * count
