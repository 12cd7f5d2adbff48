"""The namespaces that hold one cluster: network, mounts and processes, and for an ordinary user also the user's own."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from localcluster.addresses import LOOPBACK, NETWORK, NODE
from localcluster.errors import LocalClusterError
from localcluster.settings import Settings

_TOOLS: Final = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
}
_SYSTEM_FOLDERS: Final = "/usr/sbin:/sbin"


def new(command: list[str], *, tied: bool) -> list[str]:
    """Say how to run a command as the first process of new namespaces.

    Args:
        command: What runs inside; when it ends, the kernel ends everything else in there.
        tied: Whether it must die with the process that starts it, however that one dies.

    Raises:
        LocalClusterError: A tool of the base system is missing.
    """
    for tool, package in _TOOLS.items():
        if not shutil.which(tool, path=search_path()):
            raise LocalClusterError(f"{tool} is not on PATH: install the package {package}")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    leash = ["setpriv", "--pdeathsig", "KILL"] if tied else []
    return [*leash, "unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *command]


def enter(pid: int, command: list[str]) -> list[str]:
    """Say how to run a command inside the namespaces of a process."""
    own_user = Path("/proc/self/ns/user").stat().st_ino
    their_user = Path(f"/proc/{pid}/ns/user").stat().st_ino
    user = [] if own_user == their_user else ["--user", "--preserve-credentials"]
    return ["nsenter", "--target", str(pid), *user, "--net", "--mount", "--pid", "--", *command]


def furnish(settings: Settings) -> None:
    """Give the new namespaces their addresses and name files; for the first process inside only.

    Raises:
        LocalClusterError: The kernel refused; its answer is in the message.
    """
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", NETWORK, "dev", "lo")
    names = settings.state / "hosts"
    names.write_text(base_hosts(), encoding="utf-8")
    resolver = settings.state / "resolv.conf"
    # Nobody listens there: a name that is not in the hosts file is unknown at once, not after a time-out.
    resolver.write_text(f"nameserver {LOOPBACK}\noptions timeout:1 attempts:1\n", encoding="utf-8")
    for private, public in ((names, Path("/etc/hosts")), (resolver, Path("/etc/resolv.conf"))):
        if public.exists():
            _run("mount", "--bind", str(private), str(public.resolve()))


def base_hosts() -> str:
    """Write the names that are known before any Service is."""
    return f"{LOOPBACK} localhost\n{NODE} local\n"


def search_path() -> str:
    """Extend PATH by the folders of system tools, which an ordinary user's may lack."""
    return f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"


def _run(*command: str) -> None:
    environment = os.environ | {"PATH": search_path()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise LocalClusterError(f"`{' '.join(command)}` failed in the new namespaces: {done.stderr.strip()}")
