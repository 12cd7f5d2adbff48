"""Finds Helm, or builds the pinned version once into the cache that the local cluster's programs share.

No Python package carries Helm, and a clean machine has none: `go install` of a fixed version is checked against Go's
checksum database, and the second run finds it built.
"""

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from localcluster.programs.gobuild import go
from localcluster.settings import cache_folder

VERSION: Final = "v4.3.1"
_MODULE: Final = "helm.sh/helm/v4/cmd/helm"
_BUILD_SECONDS: Final = 1800
_RUN_SECONDS: Final = 180


class HelmError(Exception):
    """Helm refused, or could not be had; the message is Helm's or Go's own."""


@dataclass(frozen=True, slots=True)
class Helm:
    """A Helm program that reads nothing of the user's: its folders are in the cache."""

    program: Path

    def template(self, chart: Path, *options: str, kube: str = "1.37.0") -> list[dict[str, Any]]:
        """Render a chart offline, as for a cluster of this version.

        Raises:
            HelmError: The chart or its values are wrong.
        """
        arguments = ("template", "serinus", str(chart), "--namespace", "serinus-system", "--kube-version", kube)
        rendered = self.run(*arguments, *options)
        return [document for document in yaml.safe_load_all(rendered) if document]

    def run(self, *arguments: str, kubeconfig: Path | None = None) -> str:
        """Run Helm, against the cluster of a kubeconfig where one is given, and return what it printed.

        Raises:
            HelmError: It failed.
        """
        home = str(self.program.parent / "home")
        environment = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": str(kubeconfig or os.devnull)}
        done = subprocess.run(
            [str(self.program), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_SECONDS,
        )
        if done.returncode:
            raise HelmError(f"helm {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout


def find_helm() -> Helm:
    """Find Helm 4 on PATH, else in the cache, else build it there (minutes, once).

    Raises:
        HelmError: It is nowhere and cannot be built.
    """
    found = shutil.which("helm")
    if found and _new_enough(found):
        return Helm(Path(found))
    folder = cache_folder() / "helm" / VERSION
    program = folder / "helm"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another run may have built it while this one waited.
            if not program.exists():
                _build(folder)
    return Helm(program)


def _new_enough(program: str) -> bool:
    said = subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)\.", said)
    return found is not None and (int(found[1]), int(found[2])) >= (4, 0)


def _build(folder: Path) -> None:
    part = folder / "part"
    environment = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(part), "GOFLAGS": "-trimpath", "GOWORK": "off"}
    command = [go(), "install", "-ldflags", "-s -w", f"{_MODULE}@{VERSION}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-10:])
        raise HelmError(f"Helm is not on PATH and {' '.join(command)} failed:\n{last}")
    (part / "helm").replace(folder / "helm")
    part.rmdir()
