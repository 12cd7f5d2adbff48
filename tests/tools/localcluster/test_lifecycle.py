"""A cluster leaves nothing behind, and two do not meet."""

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
    return children | {below for child in children for below in descendants(child)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def running(state: Path) -> Iterator[tuple[subprocess.Popen[bytes], set[int]]]:
    """Start a cluster that lasts until it is ended, and give the outer process and all those below it."""
    script = ["sh", "-c", "touch $SERINUS_LOCAL_STATE/inside; exec sleep 1000"]
    with subprocess.Popen(command("run", "--state", str(state), *SMALL, "--", *script)) as outer:
        try:
            eventually((state / "inside").exists, within=60, why="the command runs inside")
            yield outer, descendants(outer.pid)
        finally:
            outer.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_whatever_ends_the_outermost_process_no_process_stays(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "state") as (outer, below):
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in below}
        assert {"etcd", "kube-apiserver", "kube-controller"} <= names

        outer.send_signal(number)
        outer.wait(timeout=30)

        eventually(lambda: not any(alive(pid) for pid in below), why="all processes of the cluster are gone")
    assert not control.running(tmp_path / "state")


def test_the_state_of_a_killed_cluster_is_cleared_by_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running(state) as (outer, below):
        outer.kill()
        outer.wait()
        eventually(lambda: not any(alive(pid) for pid in below))

    done = subprocess.run(command("run", "--state", str(state), *SMALL, "--", "sh", "-c", "exit 7"), check=False)

    assert done.returncode == 7
    assert not (state / "inside").exists()


def test_the_commands_status_is_the_runs_status_and_its_output_is_its_own() -> None:
    done = subprocess.run(
        command("run", *SMALL, "--", "sh", "-c", "kubectl version --output=json | grep -c v1.37; exit 3"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (3, "2\n")


def test_a_cluster_stays_until_it_is_taken_down(tmp_path: Path) -> None:
    state = (
        tmp_path / "a folder with a name that is much longer than the address of a socket may be, by far and on purpose"
    )
    options = ("--state", str(state))
    environment = {name: value for name, value in os.environ.items() if name != "SERINUS_LOCAL_STATE"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(*arguments), capture_output=True, text=True, check=False, env=environment)

    up = run("up", *options, *SMALL)
    assert up.returncode == 0, up.stderr
    try:
        below = {control.supervisor_pid(state)} | descendants(control.supervisor_pid(state))
        again = run("up", *options, *SMALL)
        nodes = run("exec", *options, "--", "kubectl", "get", "namespaces", "--output=name")
        parts = Cluster(state).parts()
    finally:
        down = run("down", *options)

    assert (again.returncode, "already runs" in again.stderr) == (70, True)
    assert "namespace/default" in nodes.stdout
    assert set(parts) == {"etcd", "apiserver", "controller-manager"}
    assert down.returncode == 0
    eventually(lambda: not any(alive(pid) for pid in below), why="all processes of the cluster are gone")
    assert run("status", *options).returncode == 70


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    done = subprocess.run(
        command("run", "--state", str(tmp_path), *SMALL, "--", "true"), capture_output=True, text=True, check=False
    )

    assert (done.returncode, "no local cluster made" in done.stderr) == (70, True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_part_that_does_not_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "etcd").write_text("#!/bin/sh\necho the disk is on fire\nexit 1\n")
    (assets / "etcd").chmod(0o755)

    done = subprocess.run(
        command("run", "--state", str(tmp_path / "state"), *SMALL, "--", "true"),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"KUBEBUILDER_ASSETS": str(assets)},
    )

    assert done.returncode == 70
    assert "etcd ended with status 1" in done.stderr
    assert "the disk is on fire" in done.stderr


def test_images_can_stand_for_commands_and_the_audit_log_tells_who_did_what(tmp_path: Path) -> None:
    table = tmp_path / "images.yaml"
    table.write_text("example.org/greeter: {command: [sh, -c], args: ['echo hello from $PLACE'], env: {PLACE: here}}\n")
    script = (
        "kubectl create job greet --image=example.org/greeter:1.0 && "
        "kubectl wait --for=condition=complete job/greet --timeout=60s >&2 && kubectl logs job/greet && "
        'grep -c \'"verb":"create".*"username":"admin".*"resource":"jobs"\' $SERINUS_LOCAL_STATE/logs/audit.log'
    )
    options = ("--without", "gateway,prometheus", "--audit", "--images", str(table))

    done = subprocess.run(
        command("run", *options, "--", "sh", "-c", script), capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines()[-2:] == ["hello from here", "1"], done.stderr
