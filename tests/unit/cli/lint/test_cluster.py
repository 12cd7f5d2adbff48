"""``serinus lint --cluster``: files come before the cluster, options, formats, and what cannot be reached or read."""

import json
from pathlib import Path
from typing import Final

import pytest

from serinus import __version__
from support.cluster_world import World, put, row
from support.golden import check_golden
from support.linted import Linted
from support.manifests.builders import GONE, changed, model_version
from support.manifests.stored import OLD, PLAN, endpoints, gateway, in_cluster, operator, route, service

GOLDEN: Final = Path(__file__).parent / "golden"


def test_a_rollout_whose_cluster_has_everything_has_no_findings(world: World, lint: Linted) -> None:
    assert lint.of(PLAN) == []
    assert (lint.status, lint.err) == (0, "no findings in 1 object of 1 file\n")


def test_without_the_option_no_kubectl_is_started(world: World, lint: Linted) -> None:
    lint.write(PLAN)
    assert lint(cluster=False) == ""
    assert world.asked == []


def test_a_kind_is_asked_for_once_whatever_the_number_of_rollouts(world: World, lint: Linted) -> None:
    others = [
        changed(PLAN, {"metadata.name": f"r{n}", "spec.model": f"r{n}", "spec.route.httpRoute.name": f"r{n}"})
        for n in range(30)
    ]
    lint.of(PLAN, *others)
    for resource in ("httproutes", "modelversions", "services", "endpointslices", "rollouts", "deployments"):
        assert sum(f"get {resource}" in asked for asked in world.asked) == 1, resource


def test_a_folder_that_brings_everything_is_complete(world: World, lint: Linted) -> None:
    world.objects = [gateway(), *operator()]
    for manifest in (route(), model_version(), model_version(OLD), service("old"), service("fraud-detector-v2-3-1")):
        lint.write({**manifest, "metadata": {"name": manifest["metadata"]["name"]}}, name=f"{id(manifest)}.yaml")
    assert lint.of(PLAN) == []


def test_what_the_folder_has_of_other_rollouts_does_not_hide_what_the_cluster_has(world: World, lint: Linted) -> None:
    other = changed(route(), {"metadata": {"name": "ranker"}})
    alone = {"metadata.name": "fraud-detector-v2.2.3", "spec.version": "2.2.3", "spec.serving.backendRef.name": "older"}
    world.add(service("older"))
    lint.write(other, service("fraud-detector-v2-3-0"), model_version(alone), PLAN)
    assert "no HTTPRoute fraud-detector is here" in lint(cluster=False)
    assert lint() == ""


def test_a_managed_route_need_not_be_there_and_must_be_the_operators_own(world: World, lint: Linted) -> None:
    managed = {"name": "fraud-detector", "managed": True, "template": {"parentRefs": [{"name": "public"}]}}
    plan = changed(PLAN, {"spec.route": {"httpRoute": managed}})
    (line,) = lint.of(plan)
    assert "exists in the cluster, and the operator has not made it" in line
    owner = {"apiVersion": "serinus.dev/v1alpha1", "kind": "Rollout", "name": "x", "uid": "u", "controller": True}
    put(changed(in_cluster(route()), {"metadata.ownerReferences": [owner]}))(world)
    assert lint.of(plan) == []
    world.drop("HTTPRoute", "fraud-detector")
    assert lint.of(plan) == []


def test_a_note_that_is_true_of_many_objects_is_said_once(world: World, lint: Linted) -> None:
    world.refused.add("Deployment")
    other = changed(PLAN, {"metadata.name": "other"})
    lines = [line for line in lint.of(PLAN, other) if "an operator watches" in line]
    assert len(lines) == 1
    assert "(the same for 1 more)" in lines[0]


def test_a_cluster_that_cannot_be_reached_is_an_error_whatever_the_files_are(world: World, lint: Linted) -> None:
    world.reached = False
    assert lint.of(PLAN) == []
    assert (lint.status, lint.err) == (1, "serinus: The connection to the server localhost:8080 was refused\n")


def test_the_namespace_of_an_object_comes_before_the_option(world: World, lint: Linted) -> None:
    elsewhere = changed(PLAN, {"metadata.namespace": "other"})
    assert all("in namespace other of" in line for line in lint.of(elsewhere) if "neither" in line)
    assert lint.status == 1
    assert lint.of(elsewhere, words=["-n", "ml"])
    lint.of(PLAN, words=["-n", "third", "--context", "there"])
    assert lint.status == 1
    assert any("--namespace=third" in asked and "--context=there" in asked for asked in world.asked)


@pytest.mark.parametrize("words", [["-n", "ml"], ["--context", "c"], ["--prometheus", "http://127.0.0.1:9"]])
def test_options_of_a_cluster_need_the_cluster(lint: Linted, words: list[str]) -> None:
    lint.write(PLAN)
    lint(*words, cluster=False)
    assert lint.status == 2
    assert "needs --cluster" in lint.err


def test_an_address_of_prometheus_is_asked_instead_and_its_password_is_not_told(world: World, lint: Linted) -> None:
    found = lint.of(PLAN, words=["--prometheus", "http://ada:secret@127.0.0.1:9"])
    (line,) = found
    assert "Prometheus at http://127.0.0.1:9 did not answer" in line
    assert "secret" not in line
    assert not any("proxy" in asked for asked in world.asked)
    assert lint.of(PLAN, words=["--prometheus", "ftp://x"]) == []
    assert lint.status == 1
    assert "must be http://" in lint.err


def test_objects_that_cannot_be_read_end_in_no_traceback(world: World, lint: Linted) -> None:
    put({**route(), "spec": {"rules": 7}}, {**in_cluster(model_version()), "spec": {"model": 3}})(world)
    world.add({**endpoints("old"), "endpoints": 7}, {**service("old"), "spec": {"ports": "x"}})
    found = lint.of(PLAN)
    assert any("HTTPRoute fraud-detector cannot be read: spec.rules" in line for line in found)
    assert any("ModelVersion fraud-detector-v2.3.1 of the cluster cannot be used: spec" in line for line in found)


def test_control_characters_of_the_cluster_do_not_reach_the_terminal(world: World, lint: Linted) -> None:
    put(changed(route(), {"spec.rules[0].name": "\x1b[2Jx\ny"}))(world)
    (line,) = lint.of(PLAN)
    assert "its rules: \\u001b[2Jx y: name one of them" in line


@pytest.mark.parametrize("form", ["text", "github", "json", "sarif"])
def test_each_format_has_every_level(world: World, lint: Linted, form: str) -> None:
    world.drop("HTTPRoute", "fraud-detector")
    world.drop("EndpointSlice", "old-x")
    world.refused.add("Deployment")
    lint.write(changed(PLAN, {"spec.stages[1].abortOn[0]": "latency_p95 > 250ms"}))
    out = lint("-o", form)
    assert lint.status == 1
    assert lint.err == "4 findings (1 error, 1 warning, 2 notes) in 1 object of 1 file\n"
    if form in {"json", "sarif"}:
        json.loads(out)
    check_golden(GOLDEN / f"cluster.{form}", out.replace(f'"{__version__}"', '"VERSION"'))


def test_the_how_to_shows_what_is_printed(world: World, lint: Linted) -> None:
    page = (Path(__file__).parents[4] / "docs" / "how-to" / "check-manifests.md").read_text(encoding="utf-8")
    command = "$ serinus lint --cluster -n payments -f rollout.yaml\n"
    before, _, after = page.partition(command)
    manifest = before.rpartition('```yaml title="rollout.yaml"\n')[2].partition("```")[0]
    there = [gateway(), in_cluster(model_version()), service("fraud-detector-v2-3-1")]
    world.objects = [*(changed(one, {"metadata.namespace": "payments"}) for one in there), *operator()]
    world.series["count by (le)"] = [row(3, le=bound) for bound in ("50", "100", "250", "500", "+Inf")]
    Path("rollout.yaml").write_text(manifest, encoding="utf-8")
    out = lint("-n", "payments", files="rollout.yaml")
    assert out + lint.err == after.partition("```")[0]


def test_what_the_files_alone_tell_is_still_found(world: World, lint: Linted) -> None:
    ranker = changed(PLAN, {"metadata.name": "ranker", "spec.model": "ranker", "spec.rollbackTo": GONE})
    unreadable = changed(PLAN, {"metadata.name": "bad", "spec.model": "bad", "spec.version": "x"})
    unreadable = changed(unreadable, {"spec.route.httpRoute.name": "gone"})
    found = lint.of(PLAN, ranker, unreadable, {**route(), "metadata": {"name": "fraud-detector"}})
    assert any("Rollout fraud-detector" in line and line.endswith("[shared-route]") for line in found)
    assert any("Rollout bad: spec.route" in line and line.endswith("[missing-route]") for line in found)


def test_a_version_that_no_rollout_names_needs_a_service_where_its_folder_has_some(world: World, lint: Linted) -> None:
    other = {"metadata.name": "fraud-detector-v2.2.0", "spec.version": "2.2.0"}
    version = model_version({**other, "spec.serving.backendRef.name": "older"})
    assert lint.of(PLAN, version) == []
    (line,) = lint.of(PLAN, version, {**service("old"), "metadata": {"name": "old"}})
    assert "ModelVersion fraud-detector-v2.2.0: spec.serving.backendRef.name: Service older is neither in the" in line
    world.add(service("older"))
    assert lint.of(PLAN, version, {**service("old"), "metadata": {"name": "old"}}) == []
