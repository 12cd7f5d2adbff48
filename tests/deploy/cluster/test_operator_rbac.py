"""The real operator runs with exactly the chart's settings and rights, and is never refused."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from serinus.api.names import Command
from serinus.kube.shards import shard_lease_name
from support.kubectl import Kubectl
from support.manifests.builders import model_version, rollout
from support.release import Release, installed

_SOURCES: Final = Path(__file__).resolve().parents[3] / "operator"
_DEADLINE_SECONDS: Final = 120.0


@contextmanager
def _running(release: Release, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the operator as its ServiceAccount; yield its process and log; it must exit cleanly on SIGTERM."""
    here = release.admin.within(release.name)
    config, log = folder / "config.yaml", folder / "log.txt"
    config.write_text(here("get", "configmap", release.name, "-o", "jsonpath={.data.config\\.yaml}"), encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(_SOURCES),
        "KUBECONFIG": str(release.kubeconfig(folder / "kubeconfig")),
        "SERINUS_CONFIG": str(config),
        "SERINUS_IDENTITY": "tried",
        "SERINUS_HTTP_HOST": "127.0.0.1",
        "SERINUS_HTTP_PORT": str(_free_port()),
    }
    # -P: the checkout's folder `operator` must not shadow the standard library's module.
    command = [sys.executable, "-P", "-m", "serinus", "run"]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            yield process, log
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=_DEADLINE_SECONDS) == 0, log.read_text(encoding="utf-8")
        finally:
            process.kill()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _until(what: str, holds: Callable[[], bool], operator: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, log = operator
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not holds():
        failed = process.poll() is not None or time.monotonic() > deadline
        assert not failed, f"{what} did not appear:\n{log.read_text(encoding='utf-8')}"
        time.sleep(0.3)


@pytest.mark.parametrize("scope", ["the whole cluster", "one namespace", "three shards"])
def test_the_operator_leads_and_reports_and_is_never_refused(
    admin: Kubectl, user: Kubectl, gateway_api: None, tmp_path: Path, scope: str
) -> None:
    name = scope.replace(" ", "-")
    plan = rollout({"metadata.name": name, "spec.model": name})
    options = {"one namespace": (f"--set=namespaces={{{user.namespace}}}",), "three shards": ("--set=shards=3",)}
    user("apply", "-f", "-", given=[plan, model_version({"metadata.name": f"{name}-v2.3.1", "spec.model": name})])
    with installed(admin, *options.get(scope, ())) as release:
        named = shard_lease_name(release.name, 2) if scope == "three shards" else release.name
        lease = ("get", "lease", named, "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}")
        summary = ("get", "mro", name, "-o", "jsonpath={.status.summary}")
        event = ("get", "events.events.k8s.io", f"--field-selector=regarding.name={name}", "-o", "name")
        sequence = ("get", "mdl", name, "--ignore-not-found", "-o", "jsonpath={.status.audit.sequence}")
        recorded = ("get", "mv", f"{name}-v2.3.1", "-o", 'jsonpath={.status.conditions[?(@.type=="Recorded")].status}')
        who = "{.items[*].spec.actor.name} {.items[*].spec.actor.authentication} {.items[*].spec.reason}"
        mine = f"--field-selector=spec.event=Paused,spec.model={name}"
        paused = ("get", "mar", mine, "-o", f"jsonpath={who}")
        with _running(release, tmp_path) as operator:
            _until("the lease", lambda: "tried" in admin.within(release.name)(*lease), operator)
            _until("the status", lambda: bool(user(*summary)), operator)
            # Applied or rejected, a command is answered by an event.
            user.impersonating("carol", "system:masters")("annotate", "mro", name, f"{Command.PAUSE.annotation}=INC-1")
            _until("an event", lambda: bool(user(*event)), operator)
            # The version is registered, with a Model and a record created by the operator.
            _until("the head", lambda: user(*sequence) not in {"", "0"}, operator)
            _until("the record of who paused", lambda: user(*paused) == "carol Admission INC-1", operator)
            _until("the condition", lambda: user(*recorded) == "True", operator)
        refused = f'User "{release.account}" cannot'
        assert [line for line in operator[1].read_text(encoding="utf-8").splitlines() if refused in line] == []
