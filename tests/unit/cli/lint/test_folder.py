"""``serinus lint`` over several objects: what a Rollout names, as far as its folder has objects of that kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus.cli.lint.check import check_files
from serinus.cli.lint.finding import Check
from support.manifests.builders import GONE, Manifest, model_version, rollout

_OLD = {"metadata.name": "fraud-detector-v2.2.4", "spec.version": "2.2.4", "spec.serving.backendRef.name": "old"}


def route(name: str = "fraud-detector", rules: Sequence[str | None] = ("predict",)) -> Manifest:
    members = [{"name": rule} if rule else {} for rule in rules]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"rules": members},
    }


def service(name: str = "fraud-detector-v2-3-1", port: int = 80) -> Manifest:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": port}]}}


def found(folder: Path, *files: Sequence[Manifest]) -> list[tuple[Check, str, str]]:
    """Write each group of objects into a folder of its own, and return the findings over all of them."""
    for number, objects in enumerate(files):
        place = folder / str(number)
        place.mkdir()
        (place / "all.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    findings = check_files([str(folder)]).findings
    return [(finding.problem.check, finding.problem.path, finding.problem.said) for finding in findings]


def only(findings: list[tuple[Check, str, str]]) -> tuple[Check, str, str]:
    (finding,) = findings
    return finding


def test_a_whole_folder_has_no_findings(tmp_path: Path) -> None:
    plan = rollout({"spec.rollbackTo": "v2.2.4"})
    assert found(tmp_path, [plan, model_version(), model_version(_OLD), route(), service(), service("old")]) == []


def test_the_version_of_a_rollout_must_be_there_where_there_are_versions_of_its_model(tmp_path: Path) -> None:
    check, path, said = only(found(tmp_path, [rollout(), model_version(_OLD)]))
    assert (check, path) == (Check.MISSING_VERSION, "spec.version")
    assert said == "no ModelVersion of fraud-detector 2.3.1 is here; there are 2.2.4"


def test_a_version_in_another_folder_is_found(tmp_path: Path) -> None:
    assert found(tmp_path, [rollout(), model_version(_OLD)], [model_version()]) == []


@pytest.mark.parametrize(
    "objects",
    [
        [rollout()],
        [rollout({"spec.rollbackTo": "2.2.4"}), model_version()],
        [rollout(), model_version({"spec.model": "other", "metadata.name": "other-v2.3.1"})],
    ],
    ids=["alone", "rollback target applied before", "versions of another model"],
)
def test_what_may_be_in_the_cluster_already_is_not_missed(tmp_path: Path, objects: list[Manifest]) -> None:
    assert found(tmp_path, objects) == []


def test_the_route_must_be_there_where_there_are_routes(tmp_path: Path) -> None:
    check, path, said = only(found(tmp_path, [rollout(), route("ranker")]))
    assert (check, path) == (Check.MISSING_ROUTE, "spec.route.httpRoute.name")
    assert said == "no HTTPRoute fraud-detector is here; there are ranker"


@pytest.mark.parametrize(
    ("rule", "rules", "path", "words"),
    [
        ("predict", ["other"], "spec.route.httpRoute.ruleName", "has no rule predict: its rules are other"),
        ("predict", [None], "spec.route.httpRoute.ruleName", "has no rule predict: none of its rules has a name"),
        (GONE, ["a", "b"], "spec.route.httpRoute", "has 2 rules: say which by ruleName"),
    ],
)
def test_the_rule_must_be_in_the_route(
    tmp_path: Path, rule: Any, rules: list[str | None], path: str, words: str
) -> None:
    plan = rollout({"spec.route.httpRoute.ruleName": rule})
    check, field, said = only(found(tmp_path, [plan, route(rules=rules)]))
    assert (check, field) == (Check.MISSING_RULE, path)
    assert said == f"HTTPRoute fraud-detector {words}"


def test_a_managed_route_is_not_missed_and_must_not_be_in_the_files(tmp_path: Path) -> None:
    managed = {"name": "fraud-detector", "managed": True, "template": {"parentRefs": [{"name": "public"}]}}
    plan = rollout({"spec.route": {"httpRoute": managed}})
    assert found(tmp_path, [plan, route("ranker")]) == []
    both = tmp_path / "both"
    both.mkdir()
    check, path, said = only(found(both, [plan, route()]))
    assert (check, path) == (Check.ROUTE_OWNED, "spec.route.httpRoute.managed")
    assert "take it out of the files" in said


def test_a_model_has_one_rollout_in_a_folder(tmp_path: Path) -> None:
    check, path, said = only(found(tmp_path, [rollout(), rollout({"metadata.name": "again"})]))
    assert (check, path) == (Check.TWO_ROLLOUTS, "spec.model")
    assert "a model has one Rollout" in said


def test_two_rollouts_of_one_rule_are_found(tmp_path: Path) -> None:
    other = rollout({"metadata.name": "ranker", "spec.model": "ranker"})
    check, path, said = only(found(tmp_path, [rollout(), other]))
    assert (check, path) == (Check.SHARED_ROUTE, "spec.route.httpRoute")
    assert "give each a rule of its own" in said


def test_an_object_that_is_there_twice_is_found(tmp_path: Path) -> None:
    check, path, said = only(found(tmp_path, [rollout(), rollout()]))
    assert (check, path) == (Check.DUPLICATE_OBJECT, "metadata.name")
    assert said.startswith("Rollout fraud-detector is there twice, also in ")


def test_folders_may_be_of_different_clusters_and_namespaces_have_objects_of_their_own(tmp_path: Path) -> None:
    elsewhere = rollout({"metadata.namespace": "other"})
    assert found(tmp_path, [rollout(), elsewhere], [rollout()]) == []


def test_the_service_of_a_version_must_be_there_where_there_are_services(tmp_path: Path) -> None:
    check, path, said = only(found(tmp_path, [model_version(), service("other")]))
    assert (check, path) == (Check.MISSING_SERVICE, "spec.serving.backendRef.name")
    assert said == "no Service fraud-detector-v2-3-1 is here; there are other"


def test_the_service_must_have_the_port(tmp_path: Path) -> None:
    check, path, said = only(found(tmp_path, [model_version(), service(port=8080)]))
    assert (check, path) == (Check.MISSING_SERVICE, "spec.serving.backendRef.port")
    assert said == "Service fraud-detector-v2-3-1 has no port 80; it has 8080"


def test_another_kind_of_backend_is_not_looked_for(tmp_path: Path) -> None:
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "pool"}
    assert found(tmp_path, [model_version({"spec.serving.backendRef": pool}), service("other")]) == []


def test_a_version_without_a_backend_cannot_be_rolled_out(tmp_path: Path) -> None:
    check, path, said = only(found(tmp_path, [rollout(), model_version({"spec.serving": GONE})]))
    assert (check, path) == (Check.NO_BACKEND, "spec.version")
    assert "give it spec.serving.backendRef" in said


def test_two_versions_need_two_backends(tmp_path: Path) -> None:
    old = model_version({**_OLD, "spec.serving.backendRef.name": "fraud-detector-v2-3-1"})
    check, path, _ = only(found(tmp_path, [rollout({"spec.rollbackTo": "2.2.4"}), model_version(), old]))
    assert (check, path) == (Check.ONE_BACKEND, "spec.rollbackTo")
