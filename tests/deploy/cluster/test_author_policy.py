"""Who may write which part of a Rollout: Job tests need the right to create Jobs, approvers write annotations only."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from serinus.api.names import GROUP, Command
from serinus.api.rollout import MAX_STAGES, MAX_TESTS
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, changed, rollout
from support.people import person, until_allowed, until_refused
from support.release import Release, Right, installed

_WRITES: Final = [Right(verb, "rollouts", GROUP) for verb in ("create", "update", "patch", "delete")]
_JOBS: Final = Right("create", "jobs", "batch")
_TEMPLATE: Final = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "registry.example/test:1"}]}}}}
_STOLEN: Final = {
    "spec": {
        "template": {
            "spec": {
                "serviceAccountName": "admin-of-namespace",
                "containers": [
                    {"name": "c", "image": "registry.example/x:1", "envFrom": [{"secretRef": {"name": "db-root"}}]}
                ],
            }
        }
    }
}
_NO_JOBS: Final = "needs the verb create on jobs.batch in namespace"
_ROUTES: Final = Right("create", "httproutes", "gateway.networking.k8s.io")
_NO_ROUTES: Final = "needs the verb create on httproutes.gateway.networking.k8s.io in namespace"
_ONLY_ANNOTATIONS: Final = "may change nothing of"


def _managed(gateway: str) -> Manifest:
    return {"name": "fraud", "managed": True, "template": {"parentRefs": [{"name": gateway}]}}


def _job(name: str = "smoke", template: Manifest = _TEMPLATE) -> Manifest:
    return {"name": name, "job": {"template": template}}


def _with_job(template: Manifest = _TEMPLATE) -> Manifest:
    return {"spec.stages[0].tests[1]": _job(template=template)}


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, with its policies in effect."""
    with installed(admin) as release:
        nobody = person(user, "nobody", _team(user))
        until_allowed(user, "nobody", _WRITES)
        probe = rollout({"metadata.name": "probe", **_with_job()})
        until_refused(nobody, "create", "--dry-run=server", "-f", "-", given=probe, words=_NO_JOBS)
        yield release


def _team(user: Kubectl) -> str:
    """A ClusterRole that writes Rollouts, as docs/how-to/approvals.md recommends for a team; made once."""
    name = f"ml-team-{user.namespace}"
    resources = (f"--resource=rollouts.{GROUP}", f"--resource=modelversions.{GROUP}")
    role = user("create", "clusterrole", name, "--verb=get,list,create,update,patch,delete", *resources,
                "--dry-run=client", "-o", "json")  # fmt: skip
    user("apply", "-f", "-", given=json.loads(role))
    return name


@pytest.fixture(scope="module")
def author(user: Kubectl, release: Release) -> Kubectl:
    """bob, who may write Rollouts and create Jobs: the cluster's role edit."""
    bob = person(user, "bob", "edit")
    until_allowed(user, "bob", [*_WRITES, _JOBS])
    return bob


@pytest.fixture(scope="module")
def member(user: Kubectl, release: Release) -> Kubectl:
    """mia of the ML team, who may write Rollouts but not create Jobs."""
    mia = person(user, "mia", _team(user))
    until_allowed(user, "mia", _WRITES)
    return mia


@pytest.fixture(scope="module")
def approver(user: Kubectl, release: Release) -> Kubectl:
    """anna, who has the chart's approver role only."""
    anna = person(user, "anna", f"{release.name}-approver")
    until_allowed(user, "anna", [Right("approve", "rollouts", GROUP), Right("patch", "rollouts", GROUP)])
    return anna


@pytest.fixture
def plain(member: Kubectl) -> str:
    """The name of a Rollout without a Job test."""
    return _made(member, {})


@pytest.fixture
def with_job(author: Kubectl) -> str:
    """The name of a Rollout with bob's Job test."""
    return _made(author, _with_job())


def _made(by: Kubectl, changes: Manifest) -> str:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    by("create", "-f", "-", given=rollout({"metadata.name": name, **changes}))
    return name


def _patch(name: str, *operations: tuple[str, str, Any]) -> tuple[str, ...]:
    patch = [{"op": op, "path": path, "value": value} for op, path, value in operations]
    return "patch", "mro", name, "--type=json", "--patch", json.dumps(patch)


_ADDED: Final = ("add", "/spec/stages/0/tests/-", _job())
_CHANGED: Final[list[tuple[str, str, Any]]] = [
    ("replace", "/spec/stages/0/tests/1/job/template", _STOLEN),
    ("add", "/spec/stages/0/tests/1/job/template/spec/template/spec/serviceAccountName", "admin-of-namespace"),
    ("add", "/spec/stages/0/tests/1/job/template/metadata", {"labels": {"a": "b"}}),
    ("add", "/spec/stages/0/tests/1/job/timeout", "1h"),
    ("replace", "/spec/stages/0/tests/1/name", "renamed"),
    ("add", "/spec/stages/1/tests", [_job()]),
    ("replace", "/spec/stages/0/tests/0", _job("contract")),
    ("replace", "/spec/stages/0/name", "first"),
]


def test_a_member_without_the_right_to_create_jobs_creates_no_rollout_with_a_job_test(
    user: Kubectl, member: Kubectl, author: Kubectl
) -> None:
    manifest = rollout({"metadata.name": "with-job", **_with_job(_STOLEN)})
    for verb in ("create", "apply"):
        denial = member.refusal(verb, "-f", "-", given=manifest)
        assert "to write the Job test staging/smoke, mia needs the verb create on jobs.batch" in denial
        assert f"in namespace {user.namespace}" in denial
    assert user("get", "mro", "with-job", "--ignore-not-found") == ""
    author("create", "-f", "-", given=manifest)


def test_a_member_adds_no_job_test_to_a_plan(member: Kubectl, author: Kubectl, plain: str) -> None:
    assert _NO_JOBS in member.refusal(*_patch(plain, _ADDED))
    author(*_patch(plain, _ADDED))


@pytest.mark.parametrize("change", _CHANGED, ids=lambda change: change[1])
def test_a_member_changes_no_job_test(
    member: Kubectl, author: Kubectl, with_job: str, change: tuple[str, str, Any]
) -> None:
    assert _NO_JOBS in member.refusal(*_patch(with_job, change))
    author(*_patch(with_job, change))


def test_every_new_job_test_is_named(member: Kubectl, plain: str) -> None:
    denial = member.refusal(*_patch(plain, _ADDED, ("add", "/spec/stages/1/tests", [_job("a"), _job("b")])))
    assert "to write the Job test staging/smoke, canary/a, canary/b, mia needs" in denial


def test_a_member_may_change_the_rest_of_a_plan_with_a_job_test(member: Kubectl, with_job: str) -> None:
    member("annotate", "mro", with_job, f"{Command.PAUSE.annotation}=INC-1")
    member(*_patch(with_job, ("replace", "/spec/version", "2.3.2"), ("replace", "/spec/stages/1/traffic", "3%")))
    stage = {"name": "early", "traffic": "0%", "tests": [{"name": "ping", "http": {"path": "/"}}]}
    member(*_patch(with_job, ("add", "/spec/stages/0", stage)))
    member("patch", "mro", with_job, "--type=json", "--patch", '[{"op": "remove", "path": "/spec/stages/1/tests/1"}]')


def test_the_right_to_create_jobs_in_another_namespace_does_not_count(
    admin: Kubectl, user: Kubectl, member: Kubectl, release: Release, plain: str
) -> None:
    elsewhere = admin.within(release.name)
    person(elsewhere, "mia", "edit")
    until_allowed(elsewhere, "mia", [_JOBS])
    assert _NO_JOBS in member.refusal(*_patch(plain, _ADDED))


@pytest.fixture(scope="module")
def router(user: Kubectl, release: Release) -> Kubectl:
    """rhea, who may write Rollouts and create HTTPRoutes."""
    name = f"routes-{user.namespace}"
    role = user("create", "clusterrole", name, "--verb=create", f"--resource={_ROUTES.resource}.{_ROUTES.group}",
                "--dry-run=client", "-o", "json")  # fmt: skip
    user("apply", "-f", "-", given=json.loads(role))
    rhea = person(user, "rhea", _team(user), name)
    until_allowed(user, "rhea", [*_WRITES, _ROUTES])
    return rhea


def test_a_member_writes_no_managed_route(user: Kubectl, member: Kubectl, router: Kubectl, plain: str) -> None:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    manifest = rollout({"metadata.name": name, "spec.route": {"httpRoute": _managed("public")}})
    denial = member.refusal("create", "-f", "-", given=manifest)
    assert "to write the managed route fraud, mia needs the verb create on httproutes" in denial
    assert f"in namespace {user.namespace}" in denial
    router("create", "-f", "-", given=manifest)

    for path, value in (("/template/parentRefs/0/name", "internal"), ("/name", "other")):
        change = ("replace", f"/spec/route/httpRoute{path}", value)
        assert _NO_ROUTES in member.refusal(*_patch(name, change))
        router(*_patch(name, change))
    member(*_patch(name, ("replace", "/spec/version", "2.3.2")))
    member("annotate", "mro", name, f"{Command.PAUSE.annotation}=INC-1")
    member(*_patch(plain, ("replace", "/spec/route/httpRoute/name", "another")))


@pytest.mark.parametrize(
    "change",
    [
        ("replace", "/spec/version", "9.9.9"),
        ("replace", "/spec/stages/1/traffic", "50%"),
        ("remove", "/spec/stages/0/tests/1", None),
        ("add", "/metadata/labels", {"team": "x"}),
        ("add", "/metadata/finalizers", ["example.com/never"]),
        (
            "add",
            "/metadata/ownerReferences",
            [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "11111111-1111-1111-1111-111111111111"}],
        ),
    ],
    ids=lambda change: change[1],
)
def test_an_approver_changes_nothing_but_annotations(
    approver: Kubectl, with_job: str, change: tuple[str, str, Any]
) -> None:
    assert f"anna {_ONLY_ANNOTATIONS} {with_job} but its annotations" in approver.refusal(*_patch(with_job, change))
    together = (change, ("add", "/metadata/annotations", {Command.PROMOTE.annotation: "CHG-1"}))
    assert _ONLY_ANNOTATIONS in approver.refusal(*_patch(with_job, *together))


def test_an_approver_writes_no_job_test(approver: Kubectl, with_job: str) -> None:
    assert "is forbidden" in approver.refusal(*_patch(with_job, _CHANGED[0]))
    assert "is forbidden" in approver.refusal(*_patch(with_job, ("add", "/spec/stages/1/tests", [_job("a", _STOLEN)])))


def test_an_approver_gives_commands(user: Kubectl, approver: Kubectl, with_job: str) -> None:
    for command in Command:
        approver("annotate", "mro", with_job, f"{command.annotation}=CHG-1")
    annotations = user.json("get", "mro", with_job)["metadata"]["annotations"]
    assert {command.annotation for command in Command} <= annotations.keys()


def test_an_approver_who_is_an_author_too_may_write_the_plan(user: Kubectl, release: Release, with_job: str) -> None:
    both = person(user, "carla", "edit", f"{release.name}-approver")
    until_allowed(user, "carla", [*_WRITES, _JOBS, Right("approve", "rollouts", GROUP)])
    both(*_patch(with_job, ("replace", "/spec/version", "2.3.2"), *_CHANGED[:1]))


def test_the_operators_account_may_still_put_its_finalizer_on(user: Kubectl, release: Release, with_job: str) -> None:
    path = f"/apis/{GROUP}/v1alpha1/namespaces/{user.namespace}/rollouts/{with_job}"
    finalizers = {"op": "add", "path": "/metadata/finalizers", "value": ["serinus.dev/outbox"]}
    assert release.patch(path, finalizers) == (200, "")
    assert release.patch(path, {"op": "remove", "path": "/metadata/finalizers"}) == (200, "")


def test_a_plan_as_large_as_it_may_be_is_not_too_costly_to_check(author: Kubectl) -> None:
    padding = {"metadata": {"annotations": {"notes": "x" * 2000}}, **_TEMPLATE}
    tests = [_job(f"t{number}", padding) for number in range(MAX_TESTS)]
    stages = [{"name": f"s{number}", "traffic": "0%", "tests": tests} for number in range(MAX_STAGES - 1)]
    plan = changed(rollout(), {"spec.stages": [*stages, rollout()["spec"]["stages"][-1]]})
    name = _made(author, {"spec.stages": plan["spec"]["stages"]})
    author(*_patch(name, ("replace", "/spec/version", "2.3.2")))


def test_the_policy_can_be_disabled(admin: Kubectl, release: Release) -> None:
    policies = ("get", "validatingadmissionpolicies", "-o", "name")
    before = set(admin(*policies).split())
    with installed(admin, "--set=authorGuard.enabled=false") as other:
        added = set(admin(*policies).split()) - before
        assert added
        assert not any(name.endswith(f"{other.name}-authors") for name in added)
