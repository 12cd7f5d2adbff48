"""The namespaces of one cluster: network, mounts and processes, and for an unprivileged user also a user namespace."""

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
    """Return the command line that runs a command as the init process of new namespaces.

    Args:
        command: The command; when it exits, the kernel kills all other processes of the namespaces.
        tied: Whether it is killed when the process that starts it dies, however that happens.

    Raises:
        LocalClusterError: A tool of the base system is missing.
    """
    for tool, package in _TOOLS.items():
        if not shutil.which(tool, path=search_path()):
            raise LocalClusterError(f"{tool} is not on PATH: install the package {package}")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    parent_death = ["setpriv", "--pdeathsig", "KILL"] if tied else []
    return [
        *parent_death,
        "unshare",
        *user,
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        *command,
    ]


def enter(pid: int, command: list[str]) -> list[str]:
    """Return the command line that runs a command inside the namespaces of a process, in the folder of the caller.

    Who joins a mount namespace is in its root folder at first.
    """
    own_user = Path("/proc/self/ns/user").stat().st_ino
    their_user = Path(f"/proc/{pid}/ns/user").stat().st_ino
    user = [] if own_user == their_user else ["--user", "--preserve-credentials"]
    return [
        "nsenter",
        "--target",
        str(pid),
        *user,
        "--net",
        "--mount",
        "--pid",
        "--",
        "env",
        "-C",
        str(Path.cwd()),
        *command,
    ]


def set_up(settings: Settings) -> None:
    """Configure addresses and name resolution of the new namespaces; called by the init process only.

    Raises:
        LocalClusterError: A command failed; its error output is in the message.
    """
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", NETWORK, "dev", "lo")
    names = settings.state / "hosts"
    names.write_text(base_hosts(), encoding="utf-8")
    resolver = settings.state / "resolv.conf"
    # Nothing listens there, so that looking up a name outside the hosts file fails at once instead of timing out.
    resolver.write_text(f"nameserver {LOOPBACK}\noptions timeout:1 attempts:1\n", encoding="utf-8")
    for private, public in ((names, Path("/etc/hosts")), (resolver, Path("/etc/resolv.conf"))):
        if public.exists():
            _run("mount", "--bind", str(private), str(public.resolve()))


def base_hosts() -> str:
    """Return the hosts file without Services."""
    return f"{LOOPBACK} localhost\n{NODE} local\n"


def search_path() -> str:
    """Return PATH extended by the folders of system tools, which an unprivileged user's PATH may lack."""
    return f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_FOLDERS}"


def _run(*command: str) -> None:
    environment = os.environ | {"PATH": search_path()}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if result.returncode:
        raise LocalClusterError(f"`{' '.join(command)}` failed in the new namespaces: {result.stderr.strip()}")
