"""The folder in which a reader of a page types its commands."""

import os
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from support.fenced.commands import ROOT
from support.fenced.runs import FILES, Line

_SECONDS: Final = 120
_BYTES: Final = ("october.parquet", "fraud.onnx", "model/model.pkl", "model/python_env.yaml")
"""Files whose content does not matter."""

_POLICY: Final = """\
apiVersion: serinus.dev/v1alpha1
kind: Model
metadata: {name: fraud-detector}
spec: {versioning: {enforcement: Enforce}, retentionDays: 2555}
"""

_AGE: Final = {"2.2.4": "old.yaml", "2.3.0": "new.yaml"}
"""What a page calls the manifest of a version of examples/schema, beside its own name."""


def page_folder(parent: Path, page: str) -> Path:
    """Return the folder of a page, made at its first line."""
    folder = parent / page.replace("/", "-")
    if folder.exists():
        return folder
    (folder / "model").mkdir(parents=True)
    for name, there in FILES.items():
        (folder / name).symlink_to(ROOT / there)
    for name in _BYTES:
        (folder / name).write_bytes(name.encode())
    chart = folder / "charts/models"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("{apiVersion: v2, name: models, version: 1.0.0}\n", encoding="utf-8")
    shutil.copy(ROOT / "examples/schema/fraud-detector.yaml", chart / "templates")
    (folder / "model.yaml").write_text(_POLICY, encoding="utf-8")
    for version in _versions():
        for name in (f"{version['metadata']['name']}.yaml", _AGE[version["spec"]["version"]]):
            (folder / name).write_text(yaml.safe_dump(version), encoding="utf-8")
    return folder


def _versions() -> list[dict[str, dict[str, str]]]:
    file = ROOT / "examples/schema/fraud-detector.yaml"
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def run(
    line: Line, text: str, folder: Path, environment: Mapping[str, str], *, seconds: float = _SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run a line, beside the files that the page prints."""
    for name, content in line.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    script = f"set -o pipefail; {text}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@contextmanager
def at_a_terminal(
    text: str, folder: Path, environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a line that goes on until it is interrupted, as the leader of a process group like at a terminal."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def problem_of(line: Line, text: str, done: subprocess.CompletedProcess[str], statuses: Collection[int]) -> str:
    """Return what went wrong with a line that was run in this form; empty where nothing did."""
    if done.returncode in statuses and "Traceback" not in done.stderr:
        return ""
    return f"{line.place}: {text}: status {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"
