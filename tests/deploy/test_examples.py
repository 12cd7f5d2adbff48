"""The operator can parse the examples, and they are consistent."""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml

from serinus.api.abort_condition import NamedQuery, parse_abort_condition
from serinus.api.model import Enforcement, ModelSpec, RequiredFacts, Verification
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode, encode
from serinus.api.rollout import RolloutSpec
from serinus.metrics.named import parse_named
from serinus.settings import Settings
from support.helm import find_helm
from support.release import CHART, SOURCE

_EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"
_KINDS: Final[dict[str, type[msgspec.Struct]]] = {
    "Rollout": RolloutSpec,
    "ModelVersion": ModelVersionSpec,
    "Model": ModelSpec,
}
_OURS: Final = [
    pytest.param(document, id=f"{file.parent.name}/{file.name}: {document['kind']}")
    for file in sorted(_EXAMPLES.rglob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    if document.get("kind") in _KINDS
]


def _documents(folder: str) -> list[dict[str, Any]]:
    files = sorted((_EXAMPLES / folder).glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("document", _OURS)
def test_the_operator_parses_it(document: dict[str, Any]) -> None:
    parsed = encode(decode(_KINDS[document["kind"]], document["spec"], "spec"))
    defaults = document["spec"].keys() - parsed.keys()
    assert defaults == set(), "these fields have their default values: leave them out"


def test_there_are_examples_of_every_kind_that_users_write() -> None:
    assert {param.values[0]["kind"] for param in _OURS} == set(_KINDS)  # type: ignore[index] # each holds a document


def test_every_folder_is_described() -> None:
    text = (_EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [folder.name for folder in _EXAMPLES.iterdir() if folder.is_dir() and f"`{folder.name}/`" not in text] == []


def test_every_reference_in_the_quickstart_resolves() -> None:
    documents = _documents("quickstart")
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    (route,) = (document["spec"] for document in documents if document["kind"] == "HTTPRoute")
    (plan,) = (document["spec"] for document in documents if document["kind"] == "Rollout")
    versions = [document["spec"] for document in documents if document["kind"] == "ModelVersion"]
    assert ("HTTPRoute", plan["route"]["httpRoute"]["name"]) in names
    assert [rule["name"] for rule in route["rules"]] == [plan["route"]["httpRoute"]["ruleName"]]
    for version in versions:
        assert ("Service", version["serving"]["backendRef"]["name"]) in names
        assert version["model"] == plan["model"]
    (serving,) = (entry["name"] for rule in route["rules"] for entry in rule["backendRefs"])
    adopted = [version["version"] for version in versions if version["serving"]["backendRef"]["name"] == serving]
    assert len(adopted) == 1
    assert plan["version"] in {version["version"] for version in versions} - set(adopted)


@pytest.mark.parametrize("example", ["named-query", "data-drift"])
def test_the_named_query_of_the_plan_is_defined_in_the_values(example: str) -> None:
    values = yaml.safe_load((_EXAMPLES / example / "values.yaml").read_text(encoding="utf-8"))
    settings = decode(Settings, values["config"], "config")
    plan = yaml.safe_load((_EXAMPLES / example / "rollout.yaml").read_text(encoding="utf-8"))["spec"]
    source = settings.sources[plan["metrics"]["source"]]
    used = {
        condition.metric.name
        for stage in plan["stages"]
        for condition in map(parse_abort_condition, stage["abortOn"])
        if isinstance(condition.metric, NamedQuery)
    }
    assert used == set(source.queries)
    for name, query in source.queries.items():
        assert parse_named("default", name, query).group_by == "version"


def _regulated(kind: str) -> dict[str, Any]:
    (manifest,) = (document for document in _documents("regulated") if document["kind"] == kind)
    return manifest


def test_the_regulated_model_requires_all_facts_and_its_version_has_them() -> None:
    policy = decode(ModelSpec, _regulated("Model")["spec"], "spec")
    version = decode(ModelVersionSpec, _regulated("ModelVersion")["spec"], "spec")
    assert _regulated("Model")["metadata"]["name"] == version.model == _regulated("Rollout")["spec"]["model"]
    assert policy.require == RequiredFacts(lineage=True, signature=True, digest=True, reason=True)
    assert (policy.versioning.enforcement, policy.verification) == (Enforcement.ENFORCE, Verification.FULL)
    assert policy.approvals.four_eyes
    assert version.signature is not None
    assert version.artifact is not None
    assert version.artifact.digest is not None
    assert version.lineage is not None
    assert version.lineage.code is not None
    assert version.lineage.code.commit is not None
    assert [data.uri for data in version.training_data if data.digest is None] == []


def test_the_approvers_of_the_regulated_rollout_are_bound_to_the_charts_role() -> None:
    binding = _regulated("RoleBinding")
    roles = {role["metadata"]["name"] for role in find_helm().template(CHART, SOURCE) if role["kind"] == "ClusterRole"}
    assert binding["roleRef"]["name"] in roles
    assert "Required" in [stage.get("approval") for stage in _regulated("Rollout")["spec"]["stages"]]
