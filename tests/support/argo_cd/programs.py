"""Argo CD's program with its manifests, and the Redis that it needs: built or fetched once into the cache.

``python -m support.argo_cd.programs`` does it where there is a network: the local cluster has none.
"""

import fcntl
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcluster.console import progress
from localcluster.programs.catalogue import ARGO_CD, ARGO_CD_PROGRAM
from localcluster.programs.gobuild import module_folder
from localcluster.programs.packages import unpack_debian
from localcluster.programs.provide import resolve
from localcluster.settings import cache_folder
from support.fetched import status_of

_MODULE: Final = "github.com/argoproj/argo-cd/v3"
_CRDS: Final = ("application-crd.yaml", "applicationset-crd.yaml", "appproject-crd.yaml")
# redis-server is a link to a program of redis-tools, whose Lua libraries no minimal Debian has.
_REDIS: Final = (
    "redis-server",
    "redis-tools",
    "libatomic1",
    "libjemalloc2",
    "liblua5.1-0",
    "liblzf1",
    "lua-bitop",
    "lua-cjson",
)


@dataclass(frozen=True, slots=True)
class Programs:
    """What an installation of Argo CD consists of.

    Attributes:
        argocd: the program of all roles; ``ARGOCD_BINARY_NAME`` selects one.
        crds: the folder with its custom resource definitions.
        verify: the script that Argo CD calls to check the signature of a commit.
        redis: the folder with Debian's Redis and its libraries.
    """

    argocd: Path
    crds: Path
    verify: Path
    redis: Path


def programs() -> Programs:
    """Return Argo CD and Redis; the first call takes minutes.

    Raises:
        LocalClusterError: one of them cannot be built or fetched.
    """
    argocd = resolve(ARGO_CD_PROGRAM)
    folder = cache_folder() / ARGO_CD_PROGRAM.name / ARGO_CD / "files"
    redis = cache_folder() / "redis-debian"
    with (argocd.parent / "files.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _copy_files(folder)
        if not (redis / "complete").exists():
            _unpack_redis(redis)
    return Programs(argocd, folder / "crds", folder / "git-verify-wrapper.sh", redis)


def _copy_files(folder: Path) -> None:
    source = ARGO_CD_PROGRAM.go
    assert source is not None
    module = module_folder(_MODULE, source.module, source.toolchain)
    (folder / "crds").mkdir(parents=True, exist_ok=True)
    for name in _CRDS:
        shutil.copyfile(module / "manifests" / "crds" / name, folder / "crds" / name)
    script = folder / "git-verify-wrapper.sh"
    shutil.copyfile(module / "hack" / script.name, script)
    # A module keeps no permissions, and Argo CD runs it.
    script.chmod(0o755)
    (folder / "complete").touch()


def _unpack_redis(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with progress("Redis: Debian packages"):
        for package in _REDIS:
            unpack_debian(package, folder)
    (folder / "complete").touch()


if __name__ == "__main__":
    sys.exit(status_of(lambda: {f"Argo CD {ARGO_CD}": programs().argocd}))
