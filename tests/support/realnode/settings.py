"""The configuration files of a real node: kubelet, containerd, the network of its pods and their name server."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcluster.addresses import LOOPBACK, NODE
from localcluster.certificates import Authority

PAUSE: Final = "localhost/pause:1"
NAME_SERVER: Final = "198.18.0.53"
_POD_NETWORK: Final = "10.88.0.0/16"
_FIRST_PORT: Final = 10350


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where one node keeps its files, and what distinguishes it from the others of the machine.

    Attributes:
        number: the node's number, from 0 on.
        state: files that last as long as the node.
        sockets: a folder with a short path: a socket's has at most 107 characters.
        cgroup: the parent of its pods' control groups.
    """

    number: int
    state: Path
    sockets: Path
    cgroup: str

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return f"node-{self.number}"

    @property
    def endpoint(self) -> Path:
        """The socket of containerd."""
        return self.sockets / "containerd.sock"

    @property
    def networks(self) -> Path:
        """The folder with the configuration of the pods' network."""
        return self.state / "cni"

    @property
    def port(self) -> int:
        """The port at which the API server asks the kubelet for logs."""
        return _FIRST_PORT + 2 * self.number

    @property
    def health_port(self) -> int:
        """The port at which the kubelet says that it runs."""
        return self.port + 1


def containerd(node: NodeFiles, runc: Path, plugins: Path) -> str:
    """Return containerd's configuration.

    Args:
        node: the node's files.
        runc: the program.
        plugins: the folder with the CNI plugins.
    """
    return f"""\
version = 3
root = "{node.state}/containerd"
state = "{node.sockets}/state"
[grpc]
address = "{node.endpoint}"
[ttrpc]
address = "{node.endpoint}.ttrpc"
[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
disable_apparmor = true
# Within a container, a process may not lower the score of others.
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{plugins}"]
conf_dir = "{node.networks}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
"""


def network(addresses: Path) -> str:
    """Return the configuration of a bridge, behind which each pod has an address of its own.

    Args:
        addresses: the folder in which all nodes note the addresses that are taken.
    """
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(addresses),
            "ranges": [[{"subnet": _POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]})


def kubelet(node: NodeFiles, authority: Authority) -> str:
    """Return the kubelet's configuration; JSON is YAML, too."""
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE,
            "port": node.port,
            "healthzBindAddress": LOOPBACK,
            "healthzPort": node.health_port,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.certificate("ca"))},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(authority.certificate("server")),
            "tlsPrivateKeyFile": str(authority.key("server")),
            "containerRuntimeEndpoint": f"unix://{node.endpoint}",
            "clusterDomain": "cluster.local",
            "clusterDNS": [NAME_SERVER],
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{node.cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            # The disk is the machine's: how full it is is not the affair of these tests.
            "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
            "podLogsDir": str(node.state / "logs"),
        }
    )


def names(kubeconfig: Path) -> str:
    """Return the configuration of CoreDNS."""
    return f"""\
.:53 {{
    bind {NAME_SERVER}
    ready {NAME_SERVER}:8181
    errors
    kubernetes cluster.local {{
        kubeconfig {kubeconfig} local
    }}
}}
"""
