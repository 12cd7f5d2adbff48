"""Health and actions of Serinus' objects in Argo CD: the scripts run in Lua 5.1, as there, on statuses of ours."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from lupa import lua51  # type: ignore[import-untyped] # lupa ships no types
from msgspec.structs import replace

from serinus.api.model import CandidateVersion, Head, ModelStatus, ProductionVersion
from serinus.api.names import AUDIT_RECORD, Command
from serinus.api.parsing import encode
from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.engine.conditions import apply_updates
from serinus.engine.rollout.conditions import kstatus_of
from support import screens
from support.people import EVERY_STAMP

_FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "argocd"
_NOW: Final = datetime(2026, 11, 23, 14, 7, 31, tzinfo=UTC)
_SUMMARY: Final = "Serving 2.2.4 at 100%."
_EXPECTED: Final = {
    Phase.PENDING: "Progressing",
    Phase.PROGRESSING: "Progressing",
    Phase.ROLLING_BACK: "Progressing",
    Phase.PAUSED: "Suspended",
    Phase.ROLLED_BACK: "Degraded",
    Phase.INVALID: "Degraded",
    Phase.HEALTHY: "Healthy",
}


def _health(kind: str, *, generation: int = 7, status: dict[str, Any] | None = None) -> tuple[str, str]:
    script = (_FOLDER / "serinus.dev" / kind / "health.lua").read_text(encoding="utf-8")
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    manifest: dict[str, Any] = {"kind": kind, "metadata": {"generation": generation}}
    if status is not None:
        manifest["status"] = status
    lua.globals()["obj"] = lua.table_from(manifest, recursive=True)
    result = lua.execute(script)
    return result["status"], result["message"]


def _status(phase: Phase, *, stalled: bool = False) -> dict[str, Any]:
    empty = RolloutStatus(phase=phase, observed_generation=7, summary=_SUMMARY)
    updates = kstatus_of(phase, "Reason", "why", stalled=stalled)
    return encode(replace(empty, conditions=apply_updates((), updates, 7, _NOW)))


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_has_its_health_and_the_summary_is_shown(phase: Phase) -> None:
    assert _health("Rollout", status=_status(phase)) == (_EXPECTED[phase], _SUMMARY)


@pytest.mark.parametrize("phase", Phase)
def test_a_stalled_rollout_is_degraded_in_every_phase(phase: Phase) -> None:
    assert _health("Rollout", status=_status(phase, stalled=True))[0] == "Degraded"


@pytest.mark.parametrize("phase", Phase)
def test_the_status_of_an_older_spec_is_ignored(phase: Phase) -> None:
    waiting = ("Progressing", "Waiting for Serinus to observe the spec")
    assert _health("Rollout", generation=8, status=_status(phase)) == waiting


def test_a_new_rollout_is_progressing() -> None:
    assert _health("Rollout")[0] == "Progressing"
    assert _health("Rollout", status={})[0] == "Progressing"
    assert _health("Rollout", status={"observedGeneration": 7})[0] == "Progressing"


def test_a_version_without_a_status_is_healthy_so_that_the_next_wave_can_begin() -> None:
    assert _health("ModelVersion") == ("Healthy", "Registered")


@pytest.mark.parametrize("stage", ["Staging", "Canary", "Production", "Superseded", "RolledBack"])
def test_a_version_is_healthy_in_every_stage(stage: str) -> None:
    assert _health("ModelVersion", status={"stage": stage, "traffic": "5%"}) == (
        "Healthy",
        f"{stage}, 5% of the traffic",
    )


def test_a_version_that_was_not_accepted_is_degraded() -> None:
    condition = {"type": "Accepted", "status": "False", "message": "breaking change declared minor"}
    assert _health("ModelVersion", status={"conditions": [condition]}) == ("Degraded", condition["message"])


@pytest.mark.parametrize("kind", ["Rollout", "ModelVersion", "Model"])
def test_the_config_map_contains_the_scripts(kind: str) -> None:
    data = yaml.safe_load((_FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]
    script = (_FOLDER / "serinus.dev" / kind / "health.lua").read_text(encoding="utf-8")
    assert data[f"resource.customizations.health.serinus.dev_{kind}"] == script


_ACTIONS: Final = _FOLDER / "serinus.dev" / "Rollout" / "actions"


def _run(script: str, manifest: dict[str, Any]) -> Any:
    lua = lua51.LuaRuntime(unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from(manifest, recursive=True)
    return lua.execute((_ACTIONS / script).read_text(encoding="utf-8"))


def _enabled(manifest: dict[str, Any]) -> set[str]:
    actions = _run("discovery.lua", manifest)
    assert {str(name) for name in actions} == {command.value for command in Command}
    return {str(name) for name, action in actions.items() if not action["disabled"]}


@pytest.mark.parametrize(
    ("status", "enabled"),
    [
        (screens.a_status(), {"promote", "pause", "abort"}),
        (screens.awaiting_approval(), {"promote", "pause", "abort"}),
        (screens.testing(), {"pause", "abort"}),
        (screens.paused(), {"resume", "abort"}),
        (screens.rolled_back(), {"pause", "retry"}),
        (screens.healthy(), {"pause", "rollback"}),
        (screens.invalid(), {"pause"}),
    ],
    ids=["a canary", "awaiting approval", "testing", "paused", "rolled back", "healthy", "invalid"],
)
def test_the_actions_are_those_that_have_an_effect(status: RolloutStatus, enabled: set[str]) -> None:
    assert _enabled(screens.an_object(status)) == enabled


def test_what_only_a_fresh_status_allows_waits_for_one() -> None:
    assert _enabled(screens.an_object(screens.awaiting_approval(), generation=8)) == {"pause", "abort"}
    assert _enabled({"metadata": {"generation": 1}}) == {"pause"}


@pytest.mark.parametrize("command", Command)
@pytest.mark.parametrize("annotations", [None, {"serinus.dev/author": "ada"}], ids=["none", "others"])
def test_an_action_sets_the_annotation_of_its_command_and_nothing_else(
    command: Command, annotations: dict[str, str] | None
) -> None:
    manifest = screens.an_object(screens.a_status())
    manifest["metadata"].pop("annotations", None)
    manifest["metadata"] |= {"annotations": annotations} if annotations is not None else {}
    before = _plain(lua51.LuaRuntime().table_from(manifest, recursive=True))
    changed = _plain(_run(f"{command.value}/action.lua", manifest))
    token = changed["metadata"]["annotations"].pop(command.annotation)
    assert re.fullmatch(r"Argo CD \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", token)
    assert changed["metadata"].pop("annotations") == (annotations or {})
    before["metadata"].pop("annotations", None)
    assert changed == before


def _plain(table: Any) -> Any:
    """Return a table of Lua as a dictionary; its lists become dictionaries by place."""
    if lua51.lua_type(table) != "table":
        return table
    return {key: _plain(value) for key, value in table.items()}


def test_the_config_map_contains_the_actions() -> None:
    data = yaml.safe_load((_FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]
    actions = yaml.safe_load(data["resource.customizations.actions.serinus.dev_Rollout"])
    assert actions["discovery.lua"] == (_ACTIONS / "discovery.lua").read_text(encoding="utf-8")
    scripts = {one["name"]: one["action.lua"] for one in actions["definitions"]}
    assert scripts == {
        command.value: (_ACTIONS / command.value / "action.lua").read_text(encoding="utf-8") for command in Command
    }


def _model_health(head: Head) -> tuple[str, str]:
    return _health(
        "Model", status=encode(ModelStatus(**{name: getattr(head, name) for name in Head.__struct_fields__}))
    )


_PRODUCTION: Final = ProductionVersion(version="2.2.4", since=_NOW)
_TRIAL: Final = CandidateVersion(version="2.3.1", stage="canary", traffic="5%", since=_NOW)


@pytest.mark.parametrize(
    ("head", "health"),
    [
        (Head(), ("Healthy", "No version is in production, and none is on its way")),
        (Head(production=_PRODUCTION), ("Healthy", "2.2.4 is in production")),
        (
            Head(production=_PRODUCTION, candidate=_TRIAL),
            ("Healthy", "2.2.4 is in production; 2.3.1 is on trial at 5% of the traffic"),
        ),
        (
            Head(candidate=replace(_TRIAL, traffic="")),
            ("Progressing", "No version is in production yet; 2.3.1 is on trial"),
        ),
        (Head(production=_PRODUCTION, quarantined=("2.3.1",)), ("Healthy", "2.2.4 is in production")),
        (Head(quarantined=("2.3.1",)), ("Healthy", "No version is in production, and none is on its way")),
    ],
    ids=["nothing yet", "in production", "a canary beside it", "the first one", "rolled back", "nothing to go back to"],
)
def test_a_model_is_progressing_during_its_first_trial_and_never_degraded(head: Head, health: tuple[str, str]) -> None:
    assert _model_health(head) == health


def test_a_new_model_is_healthy() -> None:
    assert _health("Model")[0] == "Healthy"


def test_the_application_ignores_exactly_the_weights_and_the_stamps() -> None:
    application = yaml.safe_load((_FOLDER / "application.yaml").read_text(encoding="utf-8"))["spec"]
    weights, stamps = application["ignoreDifferences"]
    assert (weights["kind"], weights["jqPathExpressions"]) == ("HTTPRoute", [".spec.rules[].backendRefs"])
    assert (stamps["group"], stamps["kind"]) == ("serinus.dev", "*")
    assert stamps["jqPathExpressions"] == [f'.metadata.annotations."{stamp}"' for stamp in EVERY_STAMP]
    assert "RespectIgnoreDifferences=true" in application["syncPolicy"]["syncOptions"]


def test_argo_cd_ignores_audit_records() -> None:
    data = yaml.safe_load((_FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]
    (excluded,) = yaml.safe_load(data["resource.exclusions"])
    assert (excluded["apiGroups"], excluded["kinds"]) == ([AUDIT_RECORD.group], [AUDIT_RECORD.kind])
    assert excluded["clusters"] == ["*"]


@pytest.mark.parametrize(
    ("kind", "status", "ignored"),
    [("Rollout", RolloutStatus, ["evidence"]), ("Model", ModelStatus, ["audit", "recent"])],
)
def test_the_updates_that_argo_cd_ignores_are_fields_of_the_status(
    kind: str, status: type[RolloutStatus | ModelStatus], ignored: list[str]
) -> None:
    data = yaml.safe_load((_FOLDER / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]
    updates = yaml.safe_load(data[f"resource.customizations.ignoreResourceUpdates.serinus.dev_{kind}"])
    assert [pointer.removeprefix("/status/") for pointer in updates["jsonPointers"]] == ignored
    assert set(ignored) <= set(status.__struct_fields__)
