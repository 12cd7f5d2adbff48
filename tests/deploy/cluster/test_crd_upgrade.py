"""A stricter schema leaves alone what is stored: its status, its annotations and its other fields can be written."""

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from support.kubectl import Kubectl
from support.localcluster import eventually
from support.manifests.builders import Manifest, changed, model_version, rollout

_CRDS: Final = Path(__file__).resolve().parents[3] / "deploy" / "crds"
_OLD: Final = {
    "a plan whose limits no request can pass": rollout(
        {"spec.stages[1].abortOn": ["error_rate > 1", "latency_p05 > 1s", "latency_p95 > 0ms"]}
    ),
    "a plan with one condition in two spellings": rollout(
        {"spec.stages[1].abortOn": ["error_rate > 1%", "error_rate>1%", "error_rate > 0.01"]}
    ),
    "a plan with another tool's names": rollout({"spec.stages[1].abortOn": ["p95_latency > 1s", "success_rate < 99%"]}),
}
Crd = dict[str, Any]


def _of_group(file: str, group: str) -> Crd:
    crd: Crd = yaml.safe_load((_CRDS / file).read_text(encoding="utf-8"))
    names = crd["spec"]["names"]
    # Names of their own: kubectl would resolve `rollouts` to whichever group comes first.
    crd["spec"]["names"] = names | {
        "plural": f"tried{names['plural']}",
        "singular": f"tried{names['singular']}",
        "shortNames": [],
        "categories": [],
    }
    crd["metadata"] = {"name": f"tried{names['plural']}.{group}"}
    crd["spec"]["group"] = group
    return crd


def _without_rules(node: Any) -> Any:
    """Return a schema as an older release may have had it: no rules, and each field of one type."""
    if isinstance(node, list):
        return [_without_rules(member) for member in node]
    if not isinstance(node, dict):
        return node
    later = {"x-kubernetes-validations", "x-kubernetes-int-or-string"}
    return {key: _without_rules(member) for key, member in node.items() if key not in later}


@pytest.fixture
def group(admin: Kubectl) -> Iterator[str]:
    """A group of this test's own, in which the old schemas are installed."""
    name = f"g{uuid.uuid4().hex[:8]}.serinus.dev"
    files = ("rollouts.yaml", "modelversions.yaml")
    admin("apply", "-f", "-", given=[_without_rules(_of_group(file, name)) for file in files])
    kinds = (f"triedrollouts.{name}", f"triedmodelversions.{name}")
    eventually(lambda: not any(admin.run(("get", kind)).returncode for kind in kinds), why="both kinds are served")
    yield name
    admin("delete", "crd", f"triedrollouts.{name}", f"triedmodelversions.{name}", "--wait=false")


@pytest.fixture
def upgrade(admin: Kubectl, user: Kubectl, group: str) -> Callable[[Manifest], None]:
    """Install today's schemas in the group, and wait until they refuse what the old ones took."""

    def install(taken: Manifest) -> None:
        for file in ("rollouts.yaml", "modelversions.yaml"):
            admin("replace", "-f", "-", given=_of_group(file, group))
        another = changed(taken, {"metadata.name": "another"})
        create = ("create", "--dry-run=server", "-f", "-")
        eventually(lambda: user.run(create, another).returncode, why="today's schema refuses it")

    return install


def _in_group(manifest: Manifest, group: str) -> Manifest:
    return copy.deepcopy(manifest) | {"apiVersion": f"{group}/v1alpha1"}


@pytest.mark.parametrize("story", _OLD)
def test_a_stored_rollout_can_be_written_after_the_upgrade(
    user: Kubectl, group: str, upgrade: Callable[[Manifest], None], story: str
) -> None:
    stored = _in_group(_OLD[story], group)
    kind = f"triedrollouts.{group}"
    user("create", "-f", "-", given=stored)
    upgrade(stored)
    user("annotate", kind, "fraud-detector", "serinus.dev/abort=INC-1")
    user("patch", kind, "fraud-detector", "--type=merge", "--patch", _patch("spec", {"version": "2.3.2"}))
    status = ("--subresource=status", "--type=merge", "--patch", _patch("status", {"phase": "Invalid", "epoch": 3}))
    user("patch", kind, "fraud-detector", *status)
    found = user.json("get", kind, "fraud-detector")
    assert found["metadata"]["annotations"]["serinus.dev/abort"] == "INC-1"
    assert (found["spec"]["version"], found["status"]["phase"]) == ("2.3.2", "Invalid")


def test_a_stored_model_version_can_be_annotated_after_the_upgrade(
    user: Kubectl, group: str, upgrade: Callable[[Manifest], None]
) -> None:
    odd = {"spec.serving.backendRef.port": 80, "spec.training": {"startedAt": "2026-11-31T06:00:00Z"}}
    stored = _in_group(model_version(odd), group)
    kind, name = f"triedmodelversions.{group}", stored["metadata"]["name"]
    user("create", "-f", "-", given=stored)
    upgrade(stored)
    user("annotate", kind, name, "serinus.dev/yanked=INC-1")
    user("patch", kind, name, "--subresource=status", "--type=merge", "--patch", _patch("status", {"traffic": "5%"}))
    found = user.json("get", kind, name)
    assert (found["metadata"]["annotations"]["serinus.dev/yanked"], found["status"]["traffic"]) == ("INC-1", "5%")


def _patch(part: str, content: Manifest) -> str:
    return json.dumps({part: content})
