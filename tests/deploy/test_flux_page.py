"""What the page about Flux says of kstatus, by the rules of its library.

Source: kubernetes-sigs/cli-utils, pkg/kstatus/status: generic.go (checkGenericProperties, checkGeneration) and
status.go (Compute), of commit 32195117.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from serinus.api import crd
from serinus.api.parsing import encode
from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.engine.conditions import apply_updates
from serinus.engine.rollout.conditions import kstatus_of

_PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "flux.md").read_text(encoding="utf-8")
_NOW: Final = datetime(2026, 11, 23, 14, 7, 31, tzinfo=UTC)
_GENERATION: Final = 7


def kstatus(raw: Mapping[str, Any]) -> str:
    """Return the status of an object of a kind that the library has no rules of its own for."""
    generation = raw["metadata"]["generation"]
    if raw["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = raw.get("status", {})
    if status.get("observedGeneration", generation) != generation:
        return "InProgress"
    for condition in status.get("conditions", []):
        match condition["type"], condition["status"]:
            case "Reconciling", "True":
                return "InProgress"
            case "Stalled", "True":
                return "Failed"
            case _:
                pass
    ready = [one["status"] for one in status.get("conditions", []) if one["type"] == "Ready"]
    # Without any known condition the library takes an object for current.
    return "Current" if ready in ([], ["True"]) else "InProgress"


def _rollout(phase: Phase, *, stalled: bool, observed: int = _GENERATION) -> dict[str, Any]:
    empty = RolloutStatus(phase=phase, observed_generation=observed)
    updates = kstatus_of(phase, "Reason", "why", stalled=stalled)
    status = encode(replace(empty, conditions=apply_updates((), updates, observed, _NOW)))
    return {"metadata": {"generation": _GENERATION}, "status": status}


def _on_the_page() -> dict[str, str]:
    """Return what the table says, by phase; ``Stalled`` is what it says of any phase that is stalled."""
    rows = re.findall(r"^\| (`.*?) \| .*? \| .*? \| .*? \| (\w+) \|", _PAGE, re.MULTILINE)
    return {
        phase: said for phases, said in rows for phase in re.findall(r"`(\w+)`", phases.partition(": a version")[0])
    }


@pytest.mark.parametrize("phase", Phase)
def test_the_page_says_what_kstatus_makes_of_each_phase(phase: Phase) -> None:
    assert kstatus(_rollout(phase, stalled=False)) == _on_the_page()[phase.value]


@pytest.mark.parametrize("phase", Phase)
def test_a_run_that_does_not_go_on_by_itself_has_failed(phase: Phase) -> None:
    assert kstatus(_rollout(phase, stalled=True)) == _on_the_page()["Stalled"] == "Failed"


def test_a_status_of_an_earlier_spec_is_in_progress() -> None:
    assert kstatus(_rollout(Phase.HEALTHY, stalled=False, observed=_GENERATION - 1)) == "InProgress"


@pytest.mark.parametrize("file", ["rollouts.yaml", "modelversions.yaml"])
def test_an_object_that_no_operator_has_seen_is_in_progress(file: str) -> None:
    version = crd.definitions()[file]["spec"]["versions"][0]
    shown = version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]

    assert kstatus({"metadata": {"generation": 1}, "status": shown}) == "InProgress"
    assert kstatus({"metadata": {"generation": 1}}) == "Current"
    assert "The definitions show `status.observedGeneration: -1` of an object that no operator has seen yet" in _PAGE
