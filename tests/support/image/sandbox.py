"""A command in the image's root file system as a pod has it: read-only, unprivileged, and here without any tool."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

GIVEN: Final = "/mnt"
"""Where the command finds the folder that is given to it."""

USER: Final = 10001

# Mounted in a namespace of its own. Of /usr/bin only Python is left, of /usr/sbin nothing: no shell, no tool.
_SCRIPT: Final = """\
root=$1 own=$2 given=$3
mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$own/bin" "$own/sbin"
cp -a "$root"/usr/bin/python* "$own/bin/"
mount --bind "$own/bin" "$root/usr/bin"
mount --bind "$own/sbin" "$root/usr/sbin"
mount --bind "$given" "$root/mnt"
mount --rbind /dev "$root/dev"
for part in "" /usr/bin /usr/sbin /mnt; do mount -o remount,bind,ro "$root$part"; done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
shift 3
exec "$@"
"""


def in_sandbox(
    root: Path, folder: Path, environment: Mapping[str, str], command: Sequence[str], *, given: Path
) -> list[str]:
    """Return the command line that runs a command of the image; it needs root.

    Args:
        root: the image's root file system; nothing of it is changed.
        folder: an empty folder, for what is mounted over the image's programs.
        environment: all of the command's environment.
        command: the absolute path of a program in the image, and arguments.
        given: a folder, which the command finds as GIVEN.
    """
    variables = [f"{name}={value}" for name, value in environment.items()]
    chroot = (shutil.which("chroot") or "/usr/sbin/chroot", f"--userspec={USER}:{USER}", "--groups=", str(root))
    inside = ("env", "-i", *variables, *chroot, *command)
    places = (str(root), str(folder), str(given))
    return ["setpriv", "--no-new-privs", "unshare", "--mount", "sh", "-euc", _SCRIPT, "sh", *places, *inside]
