"""The programs of a real node: built or fetched once into the cache.

``python -m support.realnode.programs`` does it where there is a network: the local cluster has none.
"""

import fcntl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcluster.console import progress
from localcluster.programs.catalogue import GoSource, Program, kubernetes
from localcluster.programs.packages import unpack_debian
from localcluster.programs.provide import resolve
from localcluster.settings import cache_folder
from support.fetched import status_of

CONTAINERD: Final = "v2.4.0"
RUNC: Final = "v1.5.0"
COREDNS: Final = "v1.15.0"
_CNI: Final = "containernetworking-plugins"


def _containerd(name: str) -> Program:
    package = f"github.com/containerd/containerd/v2/cmd/{name}"
    # Without the snapshotters that need C libraries.
    source = GoSource(module="containerd", package=package, tags="no_btrfs,no_devmapper,no_zfs")
    return Program(name=name, version=CONTAINERD, go=source)


_PROGRAMS: Final = (
    kubernetes("kubelet", "kubelet"),
    kubernetes("kube-scheduler", "kubelet"),
    _containerd("containerd"),
    _containerd("containerd-shim-runc-v2"),
    _containerd("ctr"),
    # Restricted pods have a seccomp profile. It needs gcc, pkg-config and libseccomp-dev; Debian's own runc is too old.
    Program(
        name="runc",
        version=RUNC,
        go=GoSource(module="runc", package="github.com/opencontainers/runc", tags="seccomp", cgo=True),
    ),
    Program(name="coredns", version=COREDNS, go=GoSource(module="coredns", package=".")),
    Program(name="pause", version="1", go=GoSource(module="pause", package=".")),
)


@dataclass(frozen=True, slots=True)
class Programs:
    """What a real node consists of.

    Attributes:
        by_name: the path of each program.
        plugins: the folder with the CNI plugins.
    """

    by_name: dict[str, Path]
    plugins: Path

    def search_path(self) -> Iterator[str]:
        """Yield the folders in which containerd finds its shim."""
        yield from (str(path.parent) for path in self.by_name.values())


def programs() -> Programs:
    """Return the programs; the first call takes minutes.

    Raises:
        LocalClusterError: one of them cannot be built or fetched.
    """
    return Programs({program.name: resolve(program) for program in _PROGRAMS}, _plugins())


def _plugins() -> Path:
    folder = cache_folder() / _CNI
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            with progress("CNI plugins: a Debian package"):
                unpack_debian(_CNI, folder)
            (folder / "complete").touch()
    return folder / "usr" / "lib" / "cni"


if __name__ == "__main__":
    sys.exit(status_of(lambda: programs().by_name))
