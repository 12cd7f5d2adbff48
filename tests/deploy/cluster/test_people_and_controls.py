"""Each person of docs/explanation/controls.md tries each thing that a control forbids, on a real API server."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from serinus.api.names import APPROVED_BY_ANNOTATION, GROUP, OVERRIDE_ANNOTATION, ROLLBACK_TO_ANNOTATION, Command
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, model_version, rollout
from support.manifests.registry import audit_record, model
from support.people import person, until_allowed, until_refused
from support.release import Release, Right, installed, until_the_api_server_stamps

PEOPLE: Final = ("editor", "team", "pipeline", "approver", "operator")
WRITERS: Final = ("editor", "team", "pipeline")
_PROMOTE: Final = Command.PROMOTE.annotation
_GATED: Final = {"spec.stages[2].approval": "Required"}
_CONTAINER: Final = {"name": "c", "image": "registry.example/test:1"}
_TEMPLATE: Final = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [_CONTAINER]}}}}
_MARKED: Final = {"serinus.dev/rollout": "fraud", "serinus.dev/run": "1"}
_JOB: Final = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "forged", "labels": _MARKED},
    "spec": {**_TEMPLATE["spec"], "suspend": True},
}


@dataclass(frozen=True)
class Things:
    """The names of what the people try their acts on.

    Attributes:
        gated: a Rollout whose last stage needs an approval.
        plain: one without a gate and without a Job test.
        serving: a ModelVersion in production.
        model: a Model with records.
        record: an AuditRecord.
    """

    gated: str
    plain: str
    serving: str
    model: str
    record: str


def _annotate(name: str, **annotations: str) -> tuple[str, ...]:
    pairs = [f"{key}={text}" for key, text in annotations.items()]
    return "annotate", "mro", name, "--overwrite", *pairs


def _patch(kind: str, name: str, body: object, *more: str) -> tuple[str, ...]:
    return "patch", kind, name, *more, "--type=merge", "--patch", json.dumps(body)


def _job_test(name: str) -> tuple[str, ...]:
    test = {"name": "smoke", "job": {"template": _TEMPLATE}}
    patch = [{"op": "add", "path": "/spec/stages/0/tests", "value": [test]}]
    return "patch", "mro", name, "--type=json", "--patch", json.dumps(patch)


@dataclass(frozen=True)
class Act:
    """Something that a person tries.

    Attributes:
        command: kubectl's arguments.
        refused: by person, part of the API server's words; whoever is not named may do it.
        given: the manifest on standard input.
    """

    command: Callable[[Things], tuple[str, ...]]
    refused: dict[str, str]
    given: Any = field(default=None)


def _all(words: str, **others: str) -> dict[str, str]:
    return dict.fromkeys(PEOPLE, words) | others


def _but(person: str, refused: dict[str, str]) -> dict[str, str]:
    return {who: words for who, words in refused.items() if who != person}


_NO_RIGHT: Final = "forbidden"
_OPERATOR: Final = "operator"
_POLICY: Final = "ValidatingAdmissionPolicy"
"""Of two policies that refuse it either may be named."""

_VERB: Final = dict.fromkeys(WRITERS, "approve")

ACTS: Final[dict[str, Act]] = {
    "change a version": Act(
        lambda to: _patch("mv", to.serving, {"spec": {"artifact": {"uri": "s3://evil/other/"}}}),
        _all(_NO_RIGHT) | dict.fromkeys(WRITERS, "spec"),
    ),
    "delete the version that serves": Act(
        lambda to: ("delete", "mv", to.serving),
        _all(_NO_RIGHT) | dict.fromkeys(WRITERS, "force-delete"),
    ),
    "change a record": Act(lambda to: _patch("auditrecord", to.record, {"spec": {"reason": "other"}}), _all(_NO_RIGHT)),
    "delete a record": Act(lambda to: ("delete", "auditrecord", to.record), _all(_NO_RIGHT)),
    "move the head": Act(
        lambda to: _patch("mdl", to.model, {"status": {"generation": 9}}, "--subresource=status"),
        _but(_OPERATOR, _all(_NO_RIGHT)),
    ),
    "say what a Rollout serves": Act(
        lambda to: _patch("mro", to.gated, {"status": {"phase": "Healthy"}}, "--subresource=status"),
        _but(_OPERATOR, _all(_NO_RIGHT)),
    ),
    "promote past a gate": Act(lambda to: _annotate(to.gated, **{_PROMOTE: "CHG-1"}), _VERB | {_OPERATOR: _POLICY}),
    "take the gate out of the plan": Act(
        lambda to: _patch("mro", to.gated, {"spec": {"guards": "Off"}}),
        _VERB | {"approver": "may change nothing of", _OPERATOR: _POLICY},
    ),
    "roll back past a gate to what never served": Act(
        lambda to: _annotate(to.gated, **{Command.ROLLBACK.annotation: "now", ROLLBACK_TO_ANNOTATION: "9.9.9"}),
        _VERB | {_OPERATOR: _POLICY},
    ),
    "override": Act(
        lambda to: _annotate(to.gated, **{_PROMOTE: "now", OVERRIDE_ANNOTATION: "now"}),
        dict.fromkeys(WRITERS, "needs the verb") | {"approver": "override", _OPERATOR: _POLICY},
    ),
    "delete the gated Rollout": Act(lambda to: ("delete", "mro", to.gated), _all(_NO_RIGHT) | _VERB),
    "write a Job test": Act(
        lambda to: _job_test(to.plain),
        dict.fromkeys(("team", "approver"), "needs the verb create on jobs.batch") | {_OPERATOR: _POLICY},
    ),
    "make a Job that counts as a test's": Act(
        lambda _: ("create", "-f", "-"),
        {"editor": "marks the Jobs of tests", "pipeline": "marks the Jobs of tests"}
        | dict.fromkeys(("team", "approver"), _NO_RIGHT),
        given=_JOB,
    ),
    "weaken the policy of a Model": Act(
        lambda to: _patch("mdl", to.model, {"spec": {"approvals": {"fourEyes": False}}}),
        dict.fromkeys(("team", "approver", _OPERATOR), _NO_RIGHT),
    ),
}
"""Whoever may write Models may weaken their policy (docs/explanation/controls.md, not prevented)."""


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl) -> Iterator[Release]:
    """The installed chart, with its policies and the stamp in effect."""
    with installed(admin) as release:
        until_the_api_server_stamps(user, wanted=True)
        nobody = person(user, "nobody", "edit")
        until_allowed(user, "nobody", [Right("create", "rollouts", GROUP), Right("create", "jobs", "batch")])
        until_refused(nobody, "create", "--dry-run=server", "-f", "-", given=_JOB, words="marks the Jobs of tests")
        yield release


@pytest.fixture(scope="module")
def people(user: Kubectl, release: Release) -> dict[str, Kubectl]:
    team = f"team-{user.namespace}"
    resources = (f"--resource=rollouts.{GROUP}", f"--resource=modelversions.{GROUP}")
    user("create", "clusterrole", team, "--verb=get,list,create,update,patch,delete", *resources)
    pipeline = f"system:serviceaccount:{user.namespace}:argocd"
    roles = {"ed": "edit", "mia": team, pipeline: "edit", "anna": f"{release.name}-approver"}
    found = {name: person(user, name, role) for name, role in roles.items()}
    for name in ("ed", "mia", pipeline, "anna"):
        until_allowed(user, name, [Right("patch", "rollouts", GROUP)])
    until_allowed(user, "anna", [Right("approve", "rollouts", GROUP)])
    return dict(zip(PEOPLE, (*found.values(), user.impersonating(release.account)), strict=True))


@pytest.fixture(scope="module")
def things(user: Kubectl, release: Release) -> Things:
    def made(manifest: Manifest, status: Manifest | None = None) -> str:
        user("create", "-f", "-", given=manifest)
        name: str = manifest["metadata"]["name"]
        if status is not None:
            user(*_patch(manifest["kind"].lower(), name, {"status": status}, "--subresource=status"))
        return name

    name = f"fraud-{uuid.uuid4().hex[:8]}"
    version = model_version({"metadata.name": f"{name}-v2.3.1", "spec.model": name})
    return Things(
        gated=made(rollout({"metadata.name": f"{name}-gated", **_GATED})),
        plain=made(rollout({"metadata.name": name})),
        serving=made(version, {"stage": "Production"}),
        model=made(model(name), {"generation": 1, "audit": {"sequence": 1}}),
        record=made(audit_record(name)),
    )


# kubectl reads what it patches, and the operator may only write a status: test_chart.py does it with the bare token.
_ELSEWHERE: Final = {("move the head", _OPERATOR), ("say what a Rollout serves", _OPERATOR)}


@pytest.mark.parametrize(
    ("what", "who"), [(what, who) for what in ACTS for who in PEOPLE if (what, who) not in _ELSEWHERE]
)
def test_each_person_is_refused_what_a_control_forbids(
    people: dict[str, Kubectl], things: Things, what: str, who: str
) -> None:
    act = ACTS[what]
    done = people[who].run((*act.command(things), "--dry-run=server"), act.given)
    words = act.refused.get(who)
    if words is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode, f"{who} may {what}: {done.stdout}"
        assert words in done.stderr


@pytest.mark.parametrize("who", [*WRITERS, "approver"])
def test_nobody_claims_an_approval_of_somebody_else(people: dict[str, Kubectl], things: Things, who: str) -> None:
    claimed = _annotate(things.gated, **{APPROVED_BY_ANNOTATION: "ada@bank.example"})
    stored = people[who].json(*claimed, "--dry-run=server")
    assert stored["metadata"]["annotations"].get(APPROVED_BY_ANNOTATION) != "ada@bank.example"
