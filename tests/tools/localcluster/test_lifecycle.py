"""The lifecycle of a cluster: it leaves no processes behind, and clusters are independent."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localcluster import control
from localcluster.client import Cluster
from support.localcluster import eventually

SMALL = ("--without", "gateway,prometheus,node")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "localcluster", *arguments]


def descendants(pid: int) -> set[int]:
    try:
        children = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    except FileNotFoundError:
        return set()
    return children | {descendant for child in children for descendant in descendants(child)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def running(state: Path) -> Iterator[tuple[subprocess.Popen[bytes], set[int]]]:
    """Run a cluster until the block ends, and yield the outermost process and its descendants."""
    script = ["sh", "-c", "touch $SERINUS_LOCAL_STATE/inside; exec sleep 1000"]
    with subprocess.Popen(command("run", "--state", str(state), *SMALL, "--", *script)) as outer:
        try:
            eventually((state / "inside").exists, within=60, why="the command runs inside")
            yield outer, descendants(outer.pid)
        finally:
            outer.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_no_process_outlives_the_outermost_one(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "state") as (outer, inner):
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in inner}
        assert {"etcd", "kube-apiserver", "kube-controller"} <= names

        outer.send_signal(number)
        outer.wait(timeout=120)

        eventually(lambda: not any(alive(pid) for pid in inner), why="all processes of the cluster are gone")
    assert not control.running(tmp_path / "state")


def test_the_state_of_a_killed_cluster_is_cleared_by_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state) as (outer, inner):
        outer.kill()
        outer.wait()
        eventually(lambda: not any(alive(pid) for pid in inner))

    result = subprocess.run(command("run", "--state", str(state), *SMALL, "--", "sh", "-c", "exit 7"), check=False)

    assert result.returncode == 7
    assert not (state / "inside").exists()


def test_run_returns_the_status_of_the_command_and_only_its_output() -> None:
    result = subprocess.run(
        command("run", *SMALL, "--", "sh", "-c", "kubectl version --output=json | grep -c v1.37; exit 3"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (result.returncode, result.stdout) == (3, "2\n")


def test_a_cluster_runs_until_it_is_stopped(tmp_path: Path) -> None:
    state = (
        tmp_path / "a folder with a name that is much longer than the address of a socket may be, by far and on purpose"
    )
    options = ("--state", str(state))
    environment = {name: value for name, value in os.environ.items() if name != "SERINUS_LOCAL_STATE"}
    environment["PYTHONPATH"] = str(Path(control.__file__).parents[1])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = command(*arguments)
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)

    up = run("up", *options, *SMALL)
    assert up.returncode == 0, up.stderr
    try:
        inner = {control.supervisor_pid(state)} | descendants(control.supervisor_pid(state))
        again = run("up", *options, *SMALL)
        nodes = run("exec", *options, "--", "kubectl", "get", "namespaces", "--output=name")
        folder = run("exec", *options, "--", "pwd")
        parts = Cluster(state).parts()
    finally:
        down = run("down", *options)

    assert (again.returncode, "already runs" in again.stderr) == (70, True)
    assert "namespace/default" in nodes.stdout
    assert folder.stdout.strip() == str(tmp_path)
    assert set(parts) == {"etcd", "apiserver", "controller-manager"}
    assert down.returncode == 0
    eventually(lambda: not any(alive(pid) for pid in inner), why="all processes of the cluster are gone")
    assert run("status", *options).returncode == 70


def test_a_folder_with_foreign_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    result = subprocess.run(
        command("run", "--state", str(tmp_path), *SMALL, "--", "true"), capture_output=True, text=True, check=False
    )

    assert (result.returncode, "not from a local cluster" in result.stderr) == (70, True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_part_that_does_not_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "etcd").write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    (assets / "etcd").chmod(0o755)

    result = subprocess.run(
        command("run", "--state", str(tmp_path / "state"), *SMALL, "--", "true"),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KUBEBUILDER_ASSETS": str(assets)},
    )

    assert result.returncode == 70
    assert "etcd ended with status 1" in result.stderr
    assert "the disk is on fire" in result.stderr


def test_images_are_mapped_to_commands_and_the_audit_log_names_users(tmp_path: Path) -> None:
    table = tmp_path / "images.yaml"
    table.write_text("example.org/greeter: {command: [sh, -c], args: ['echo hello from $PLACE'], env: {PLACE: here}}\n")
    script = (
        "kubectl create job greet --image=example.org/greeter:1.0 && "
        "kubectl wait --for=condition=complete job/greet --timeout=60s >&2 && kubectl logs job/greet && "
        'grep -c \'"verb":"create".*"username":"admin".*"resource":"jobs"\' $SERINUS_LOCAL_STATE/logs/audit.log'
    )
    options = ("--without", "gateway,prometheus", "--audit", "--images", str(table))

    result = subprocess.run(
        command("run", *options, "--", "sh", "-c", script), capture_output=True, text=True, check=False
    )

    assert result.stdout.splitlines()[-2:] == ["hello from here", "1"], result.stderr
