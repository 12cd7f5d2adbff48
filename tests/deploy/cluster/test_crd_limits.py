"""Every limit of every field that users may write, each exceeded once against the API server."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.errors import InvalidObjectError
from support.kubectl import Kubectl
from support.manifests.accepted import ACCEPTED
from support.manifests.builders import Manifest, changed

_CRDS: Final = Path(__file__).resolve().parents[3] / "deploy" / "crds"
_FULL: Final = {
    "rollouts.yaml": (
        *("every field of a stage", "every field beside the stages", "warm-ups"),
        *("a GRPCRoute", "a VirtualService", "an InferenceService", "a managed route with every field"),
        "copies of requests in a stage at 0%",
    ),
    "modelversions.yaml": ("a ModelVersion with every field",),
    "models.yaml": ("a Model with every field",),
    "auditrecords.yaml": ("an AuditRecord with every field",),
}
_AT_LEAST: Final = {"rollouts.yaml": 60, "modelversions.yaml": 100, "models.yaml": 15, "auditrecords.yaml": 60}
_NAMED: Final = re.compile(r'"case-(\d+)" is invalid:(.*?)(?="case-\d|\Z)', re.DOTALL)
_SCALARS: Final = {"string", "integer", "number", "boolean"}


def _broken(file: str) -> Iterator[tuple[str, Manifest]]:
    crd = yaml.safe_load((_CRDS / file).read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for title in _FULL[file]:
        for path, limits in _leaves(schema, ACCEPTED[title]["spec"], "spec"):
            for value in _beyond(limits):
                yield path, changed(ACCEPTED[title], {path: value})


def _leaves(schema: dict[str, Any], value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    match schema.get("type"):
        case "object":
            for name, member in value.items():
                inner = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
                # A Job's template is validated by the Job API.
                if inner and "x-kubernetes-preserve-unknown-fields" not in inner:
                    yield from _leaves(inner, member, f"{path}.{name}")
        case "array":
            for index, member in enumerate(value):
                yield from _leaves(schema["items"], member, f"{path}[{index}]")
        case kind if kind in _SCALARS:
            yield path, schema
        case kind:
            raise AssertionError(f"{path} is of type {kind}, which this test does not support")


def _beyond(limits: dict[str, Any]) -> Iterator[Any]:
    yield {"of": "another type"}
    if "maxLength" in limits:
        yield "x" * (limits["maxLength"] + 1)
    if limits.get("minLength"):
        yield ""
    if "enum" in limits:
        yield "Nonsense"
    if "pattern" in limits:
        yield "\n"
    if "minimum" in limits:
        yield limits["minimum"] - 1
    if "maximum" in limits:
        yield limits["maximum"] + 1


@pytest.mark.parametrize("file", _FULL)
def test_exceeding_a_limit_is_refused_naming_the_field(user: Kubectl, file: str) -> None:
    broken = list(_broken(file))
    manifests = [changed(manifest, {"metadata.name": f"case-{number}"}) for number, (_, manifest) in enumerate(broken)]
    # For a list kubectl would validate types itself, without the server.
    errors = user.refusal("create", "--dry-run=server", "--validate=false", "-f", "-", given=manifests)
    refusals = {int(number): text for number, text in _NAMED.findall(errors)}
    accepted = [path for number, (path, _) in enumerate(broken) if path not in refusals.get(number, "")]
    assert len(broken) >= _AT_LEAST[file]
    assert accepted == []


@pytest.mark.parametrize(
    ("file", "kind"),
    [("rollouts.yaml", RolloutSpec), ("modelversions.yaml", ModelVersionSpec), ("models.yaml", ModelSpec)],
)
def test_one_step_beyond_a_limit_is_refused_by_the_operator_too(
    file: str, kind: type[RolloutSpec | ModelVersionSpec | ModelSpec]
) -> None:
    taken = []
    for path, manifest in _broken(file):
        with suppress(InvalidObjectError):
            decode(kind, manifest["spec"], "spec")
            taken.append(path)
    assert taken == []


@pytest.mark.parametrize("file", _FULL)
def test_the_fullest_manifests_cover_every_field(file: str) -> None:
    crd = yaml.safe_load((_CRDS / file).read_text(encoding="utf-8"))
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    tried = {re.sub(r"\[\d+\]", "[]", path) for path, _ in _broken(file)}
    assert {path for path in _fields(schema, "spec") if path not in tried} == set()


def _fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    if schema.get("type") == "array":
        yield from _fields(schema["items"], f"{path}[]")
    elif schema.get("type") in _SCALARS:
        yield path
    for name, member in schema.get("properties", {}).items():
        yield from _fields(member, f"{path}.{name}")
