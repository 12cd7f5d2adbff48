"""Health and actions of Serinus' kinds, run by Argo CD's own code without a cluster."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from msgspec.structs import replace

from localcluster.settings import CHECKOUT
from serinus.api.model import Head, ModelStatus, ProductionVersion
from serinus.api.names import Command
from serinus.api.parsing import encode
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.conditions import apply_updates
from serinus.engine.rollout.conditions import kstatus_of
from support import screens
from support.argo_cd.programs import programs
from support.builders import NOW

_SECONDS: Final = 60
_SETTINGS: Final = CHECKOUT / "deploy" / "argocd" / "argocd-cm.yaml"
_ENABLED: Final = "false"


@pytest.fixture
def ask(tmp_path: Path) -> "Ask":
    return Ask(tmp_path)


class Ask:
    """``argocd admin settings resource-overrides`` on one object."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, command: str, manifest: dict[str, Any], *arguments: str) -> str:
        file = self._folder / "object.yaml"
        file.write_text(yaml.safe_dump(manifest), encoding="utf-8")
        return self.run("resource-overrides", command, str(file), *arguments)

    def run(self, *arguments: str) -> str:
        """Run ``argocd admin settings``."""
        command = [str(programs().argocd), "admin", "settings", *arguments, "--argocd-cm-path", str(_SETTINGS)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "ARGOCD_BINARY_NAME": "argocd"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_argo_cd_takes_the_settings(ask: Ask) -> None:
    said = ask.run("validate", "--group", "resource-overrides")
    assert "4 resource overrides" in said, said


@pytest.mark.parametrize(
    ("status", "health"),
    [
        (screens.a_status(), "Progressing"),
        (screens.testing(), "Progressing"),
        (screens.awaiting_approval(), "Suspended"),
        (screens.paused(), "Suspended"),
        (screens.rolled_back(), "Degraded"),
        (screens.invalid(), "Degraded"),
        (screens.healthy(), "Healthy"),
    ],
    ids=["a canary", "testing", "awaiting approval", "paused", "rolled back", "invalid", "healthy"],
)
def test_the_health_of_a_rollout_is_its_summary_and_what_it_means(ask: Ask, status: RolloutStatus, health: str) -> None:
    assert ask("health", _rollout(status)) == f"STATUS: {health}\nMESSAGE: {status.summary}\n"


def test_a_rollout_whose_spec_is_newer_than_its_status_is_progressing(ask: Ask) -> None:
    waiting = "STATUS: Progressing\nMESSAGE: Waiting for Serinus to observe the spec\n"
    assert ask("health", _rollout(screens.healthy(), generation=8)) == waiting


def _rollout(status: RolloutStatus, **fields: Any) -> dict[str, Any]:
    """Return the object with the conditions that the operator writes in this phase."""
    updates = kstatus_of(status.phase, status.reason, status.summary, stalled=False)
    conditions = apply_updates((), updates, status.observed_generation, NOW)
    return screens.an_object(replace(status, conditions=conditions), **fields)


def _object(kind: str, status: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "fraud-detector", "namespace": "fraud", "generation": 1}
    return {"apiVersion": "serinus.dev/v1alpha1", "kind": kind, "metadata": metadata, "status": status}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, ("Healthy", "Registered")),
        ({"stage": "Canary", "traffic": "5%"}, ("Healthy", "Canary, 5% of the traffic")),
        ({"stage": "RolledBack", "traffic": "0%"}, ("Healthy", "RolledBack, 0% of the traffic")),
        (
            {"conditions": [{"type": "Accepted", "status": "False", "message": "an output was dropped"}]},
            ("Degraded", "an output was dropped"),
        ),
    ],
    ids=["new", "in canary", "rolled back", "refused"],
)
def test_the_health_of_a_model_version(ask: Ask, status: dict[str, Any], said: tuple[str, str]) -> None:
    assert ask("health", _object("ModelVersion", status)) == "STATUS: {}\nMESSAGE: {}\n".format(*said)


def test_the_health_of_a_model(ask: Ask) -> None:
    head = Head(production=ProductionVersion(version="2.2.4", since=NOW))
    status = encode(ModelStatus(**{name: getattr(head, name) for name in Head.__struct_fields__}))
    assert ask("health", _object("Model", status)) == "STATUS: Healthy\nMESSAGE: 2.2.4 is in production\n"


@pytest.mark.parametrize(
    ("status", "enabled"),
    [
        (screens.a_status(), {"promote", "pause", "abort"}),
        (screens.paused(), {"resume", "abort"}),
        (screens.rolled_back(), {"pause", "retry"}),
        (screens.healthy(), {"pause", "rollback"}),
    ],
    ids=["a canary", "paused", "rolled back", "healthy"],
)
def test_argo_cd_offers_the_actions_that_have_an_effect(ask: Ask, status: RolloutStatus, enabled: set[str]) -> None:
    listed = [line.split() for line in ask("list-actions", _rollout(status)).splitlines()[1:]]
    assert {name for name, disabled in listed if disabled == _ENABLED} == enabled
    assert {name for name, _ in listed} == {command.value for command in Command}


@pytest.mark.parametrize("command", Command)
def test_an_action_adds_the_annotation_of_its_command(ask: Ask, command: Command) -> None:
    said = ask("run-action", _rollout(screens.a_status()), command.value)
    (added,) = [line for line in said.splitlines() if command.annotation in line and line.startswith(">")]
    assert re.fullmatch(rf">\s+{re.escape(command.annotation)}: Argo CD \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ", added)
