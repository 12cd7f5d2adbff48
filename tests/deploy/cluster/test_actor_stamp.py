"""The API server stamps who requested a run, wrote its plan or approved a stage, whatever the manifest claims."""

import json
import uuid
from collections.abc import Iterator

import pytest

from serinus.api.names import (
    APPROVED_BY_ANNOTATION,
    BEHALF_ANNOTATIONS,
    OVERRIDE_ANNOTATION,
    OVERRIDE_BY_ANNOTATION,
    REASON_ANNOTATION,
    REASON_BY_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    SPEC_BY_ANNOTATION,
    UNSAFE_ROLLBACK_ANNOTATION,
    VERSION_AUTHOR_ANNOTATION,
    VERSION_BY_ANNOTATION,
    WAIVER_ANNOTATION,
    WORSE_METRICS_ANNOTATION,
    YANKED_ANNOTATION,
    Command,
    issuer_annotation,
)
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, model_version, rollout
from support.manifests.registry import model
from support.people import ISSUED, STAMPS, stamps
from support.release import Release, installed, until_the_api_server_stamps

AUTHOR = BEHALF_ANNOTATIONS["name"]


@pytest.fixture(scope="module")
def older(user: Kubectl) -> str:
    """The name of a Rollout from before the chart was installed."""
    until_the_api_server_stamps(user, wanted=False)
    return _make(user)


@pytest.fixture(scope="module")
def upgraded(user: Kubectl) -> str:
    """The name of a Rollout that an earlier release of the chart has stamped: it knew of spec-by alone."""
    until_the_api_server_stamps(user, wanted=False)
    manifest = rollout({"metadata.name": f"fraud-{uuid.uuid4().hex[:8]}"})
    manifest["metadata"]["annotations"] = {SPEC_BY_ANNOTATION: "alice", REASON_ANNOTATION: "of last week"}
    return _created(user, manifest)


@pytest.fixture(scope="module")
def release(admin: Kubectl, user: Kubectl, older: str, upgraded: str) -> Iterator[Release]:
    """The installed chart, with its policy in effect."""
    with installed(admin) as release:
        until_the_api_server_stamps(user, wanted=True)
        yield release


@pytest.fixture
def fraud(user: Kubectl, release: Release) -> str:
    """The name of a Rollout that alice created."""
    return _make(_as(user, "alice"))


@pytest.fixture
def version(user: Kubectl, release: Release) -> str:
    """The name of a ModelVersion that alice created."""
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    manifest = model_version({"metadata.name": f"{name}-v2.3.1", "spec.model": name})
    return _created(_as(user, "alice"), _claiming(manifest, "the-ceo"))


def _make(person: Kubectl, claims: str | None = None) -> str:
    manifest = rollout({"metadata.name": f"fraud-{uuid.uuid4().hex[:8]}"})
    return _created(person, _claiming(manifest, claims) if claims else manifest)


def _claiming(manifest: Manifest, who: str) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": dict.fromkeys(STAMPS, who)}}


def _created(person: Kubectl, manifest: Manifest) -> str:
    person("create", "-f", "-", given=manifest)
    name: str = manifest["metadata"]["name"]
    return name


def _as(user: Kubectl, name: str) -> Kubectl:
    return user.impersonating(name, "system:masters")


def _stamps(user: Kubectl, name: str, kind: str = "mro") -> tuple[str | None, str | None, str | None]:
    return stamps(user.json("get", kind, name))


def _set_version(person: Kubectl, name: str, version: str) -> None:
    person("patch", "mro", name, "--type=merge", "--patch", f'{{"spec": {{"version": "{version}"}}}}')


def test_the_creator_of_a_rollout_is_its_requester_and_author(user: Kubectl, fraud: str) -> None:
    assert _stamps(user, fraud) == ("alice", "alice", None)


def test_a_manifest_cannot_claim_another_requester_author_or_approver(user: Kubectl, release: Release) -> None:
    assert _stamps(user, _make(_as(user, "mallory"), claims="the-ceo")) == ("mallory", "mallory", None)


def test_who_changes_the_spec_is_stamped_but_not_as_approver(user: Kubectl, fraud: str) -> None:
    _set_version(_as(user, "bob"), fraud, "2.3.2")
    assert _stamps(user, fraud) == ("bob", "bob", None)


@pytest.mark.parametrize("command", [command for command in Command if command is not Command.PROMOTE])
def test_who_issues_a_command_is_the_requester_but_not_the_author(user: Kubectl, fraud: str, command: Command) -> None:
    _as(user, "carol")("annotate", "mro", fraud, f"{command.annotation}=INC-1")
    assert _stamps(user, fraud) == ("carol", "alice", None)
    _as(user, "dave")("annotate", "mro", fraud, f"{command.annotation}=INC-2", "--overwrite")
    assert _stamps(user, fraud) == ("dave", "alice", None)


def _issuers(user: Kubectl, name: str, kind: str = "mro") -> dict[str, str]:
    """Return who is stamped for each command, by its name."""
    stamped = _annotations(user, name, kind)
    return {
        issued.removeprefix("serinus.dev/"): stamped[issuer_annotation(issued)]
        for issued in ISSUED
        if issuer_annotation(issued) in stamped
    }


def test_each_command_names_who_gave_it_whoever_gives_another_one_at_the_same_moment(user: Kubectl, fraud: str) -> None:
    _as(user, "carol")("annotate", "mro", fraud, "serinus.dev/abort=INC-1", "serinus.dev/pause=INC-1")
    _as(user, "dave")("annotate", "mro", fraud, "serinus.dev/pause=INC-2", "serinus.dev/abort-by=dave", "--overwrite")
    _set_version(_as(user, "bob"), fraud, "2.3.2")
    assert _issuers(user, fraud) == {"abort": "carol", "pause": "dave"}
    _as(user, "bob")("annotate", "mro", fraud, "serinus.dev/abort-")
    assert _issuers(user, fraud) == {"pause": "dave"}


@pytest.mark.parametrize("kind", ["mro", "mv", "mdl"])
def test_nobody_can_be_claimed_for_a_command_on_any_kind(user: Kubectl, release: Release, kind: str) -> None:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    manifests = {
        "mro": rollout({"metadata.name": name}),
        "mv": model_version({"metadata.name": f"{name}-v2.3.1", "spec.model": name}),
        "mdl": model(name),
    }
    manifest = manifests[kind]
    manifest["metadata"]["annotations"] = dict.fromkeys(map(issuer_annotation, ISSUED), "the-ceo")
    assert _issuers(user, _created(_as(user, "mallory"), manifest), kind) == {}


def test_what_people_say_of_a_version_names_each_of_them(user: Kubectl, version: str) -> None:
    _as(user, "carol")("annotate", "mv", version, f"{YANKED_ANNOTATION}=it leaks")
    _as(user, "dave")("annotate", "mv", version, f"{WAIVER_ANNOTATION}=agreed")
    assert _issuers(user, version, "mv") == {"yanked": "carol", "waive-schema": "dave"}


def test_who_promotes_is_the_approver_until_somebody_else_promotes(user: Kubectl, fraud: str) -> None:
    promote = Command.PROMOTE.annotation
    _as(user, "carol")("annotate", "mro", fraud, f"{promote}=CHG-1")
    assert _stamps(user, fraud) == ("carol", "alice", "carol")
    _as(user, "dave")("annotate", "mro", fraud, f"{Command.PAUSE.annotation}=INC-1")
    _set_version(_as(user, "bob"), fraud, "2.3.2")
    assert _stamps(user, fraud) == ("bob", "bob", "carol")
    _as(user, "dave")("annotate", "mro", fraud, f"{promote}=CHG-2", "--overwrite")
    assert _stamps(user, fraud) == ("dave", "bob", "dave")


def test_withdrawing_an_approval_is_not_an_approval(user: Kubectl, fraud: str) -> None:
    promote = Command.PROMOTE.annotation
    _as(user, "carol")("annotate", "mro", fraud, f"{promote}=CHG-1")
    _as(user, "dave")("annotate", "mro", fraud, f"{promote}-")
    assert _stamps(user, fraud) == ("dave", "alice", "carol")


def _annotations(user: Kubectl, name: str, kind: str = "mro") -> dict[str, str]:
    found: dict[str, str] = user.json("get", kind, name)["metadata"].get("annotations", {})
    return found


def _asked(user: Kubectl, name: str) -> tuple[str | None, str | None]:
    """Who set the version, and for whom."""
    annotations = _annotations(user, name)
    return annotations.get(VERSION_BY_ANNOTATION), annotations.get(VERSION_AUTHOR_ANNOTATION)


def test_who_set_the_version_stays_whoever_changes_the_rest_of_the_spec(user: Kubectl, fraud: str) -> None:
    assert _asked(user, fraud) == ("alice", None)
    _as(user, "bob")("patch", "mro", fraud, "--type=merge", "--patch", '{"spec": {"guards": "Off"}}')
    assert _stamps(user, fraud) == ("bob", "bob", None)
    assert _asked(user, fraud) == ("alice", None)
    _as(user, "bob")("annotate", "mro", fraud, f"{VERSION_BY_ANNOTATION}=carol", "--overwrite")
    _as(user, "bob")("annotate", "mro", fraud, f"{VERSION_BY_ANNOTATION}-")
    assert _asked(user, fraud) == ("alice", None)
    _set_version(_as(user, "bob"), fraud, "2.3.2")
    assert _asked(user, fraud) == ("bob", None)


def test_for_whom_a_pipeline_set_the_version_is_kept_as_it_was_then(user: Kubectl, fraud: str) -> None:
    change = {"metadata": {"annotations": {AUTHOR: "ada"}}, "spec": {"version": "2.3.2"}}
    _as(user, "argocd")("patch", "mro", fraud, "--type=merge", "--patch", json.dumps(change))
    _as(user, "ada")("annotate", "mro", fraud, f"{AUTHOR}=bob", f"{VERSION_AUTHOR_ANNOTATION}=bob", "--overwrite")
    assert _asked(user, fraud) == ("argocd", "ada")
    _as(user, "ada")("annotate", "mro", fraud, f"{AUTHOR}-")
    _set_version(_as(user, "argocd"), fraud, "2.3.3")
    assert _asked(user, fraud) == ("argocd", None)


def test_a_rollout_from_before_has_its_version_set_by_who_changed_its_spec(
    user: Kubectl, upgraded: str, release: Release
) -> None:
    _as(user, "bob")("patch", "mro", upgraded, "--type=merge", "--patch", '{"spec": {"guards": "Off"}}')
    assert _asked(user, upgraded) == ("alice", None)
    assert _annotations(user, upgraded)[REASON_BY_ANNOTATION] == "unverified"


@pytest.mark.parametrize(
    ("text", "stamp"), [(REASON_ANNOTATION, REASON_BY_ANNOTATION), (OVERRIDE_ANNOTATION, OVERRIDE_BY_ANNOTATION)]
)
def test_who_wrote_a_reason_or_an_override_is_stamped(user: Kubectl, fraud: str, text: str, stamp: str) -> None:
    rollback = Command.ROLLBACK.annotation
    _as(user, "ada")("annotate", "mro", fraud, f"{text}=investigating", f"{rollback}=INC-1")
    _as(user, "bob")("annotate", "mro", fraud, f"{stamp}=bob", f"{rollback}=INC-2", "--overwrite")
    assert _annotations(user, fraud)[stamp] == "ada"
    _as(user, "bob")("annotate", "mro", fraud, f"{text}=explained", f"{rollback}=INC-3", "--overwrite")
    assert _annotations(user, fraud)[stamp] == "bob"
    _as(user, "bob")("annotate", "mro", fraud, f"{text}-")
    assert stamp not in _annotations(user, fraud)


def test_a_models_reason_is_nobodys_once_another_change_of_its_policy_leaves_it_there(
    user: Kubectl, release: Release
) -> None:
    name = _created(_as(user, "alice"), model(f"fraud-{uuid.uuid4().hex[:8]}"))
    change = {"metadata": {"annotations": {REASON_ANNOTATION: "new owner"}}, "spec": {"owner": "payments-ml"}}
    _as(user, "alice")("patch", "mdl", name, "--type=merge", "--patch", json.dumps(change))
    assert _annotations(user, name, "mdl")[REASON_BY_ANNOTATION] == "alice"
    _as(user, "alice")("patch", "mdl", name, "--type=merge", "--patch", '{"spec": {"owner": "fraud-ml"}}')
    assert _annotations(user, name, "mdl")[REASON_BY_ANNOTATION] == "unverified"


def test_labels_and_foreign_annotations_change_no_stamp(user: Kubectl, fraud: str) -> None:
    _as(user, "bob")("label", "mro", fraud, "team=payments")
    _as(user, "bob")("annotate", "mro", fraud, "example.com/note=seen")
    user("patch", "mro", fraud, "--subresource=status", "--type=merge", "--patch", '{"status": {"phase": "Healthy"}}')
    assert _stamps(user, fraud) == ("alice", "alice", None)


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("forged", ["=bob", "-"], ids=["another name", "removed"])
def test_a_stamp_cannot_be_changed_or_removed(user: Kubectl, fraud: str, stamp: str, forged: str) -> None:
    _as(user, "carol")("annotate", "mro", fraud, f"{Command.PROMOTE.annotation}=CHG-1")
    before = _stamps(user, fraud)
    _as(user, "mallory")("annotate", "mro", fraud, f"{stamp}{forged}", "--overwrite")
    assert _stamps(user, fraud) == before == ("carol", "alice", "carol")


def test_a_stamp_cannot_be_forged_together_with_a_command(user: Kubectl, fraud: str) -> None:
    annotations = {**dict.fromkeys(STAMPS, "the-ceo"), Command.PROMOTE.annotation: "CHG-1"}
    _as(user, "mallory")(
        "annotate", "mro", fraud, *(f"{key}={value}" for key, value in annotations.items()), "--overwrite"
    )
    assert _stamps(user, fraud) == ("mallory", "alice", "mallory")


def test_a_forged_stamp_is_corrected_when_all_annotations_are_replaced(user: Kubectl, fraud: str) -> None:
    replaced = {**user.json("get", "mro", fraud)}
    replaced["metadata"]["annotations"] = {SPEC_BY_ANNOTATION: "the-ceo"}
    _as(user, "mallory")("replace", "-f", "-", given=replaced)
    assert _stamps(user, fraud) == ("alice", "alice", None)


def test_stamps_cannot_be_forged_on_an_unstamped_rollout(user: Kubectl, older: str, release: Release) -> None:
    claims = (f"{stamp}=the-ceo" for stamp in STAMPS)
    _as(user, "mallory")("annotate", "mro", older, *claims)
    assert _stamps(user, older) == (None, None, None)
    _as(user, "mallory")("annotate", "mro", older, f"{Command.PAUSE.annotation}=INC-1")
    assert _stamps(user, older) == ("mallory", None, None)


def test_a_rollout_without_a_spec_is_refused_by_the_schema_and_not_by_the_stamp(
    user: Kubectl, release: Release
) -> None:
    bare = {key: value for key, value in rollout().items() if key != "spec"}
    assert "spec: Required value" in user.refusal("create", "--validate=false", "-f", "-", given=bare)


def test_the_creator_of_a_version_is_stamped_whatever_the_manifest_claims(user: Kubectl, version: str) -> None:
    assert _stamps(user, version, "mv") == ("alice", None, None)


@pytest.mark.parametrize(
    "annotation", [WAIVER_ANNOTATION, UNSAFE_ROLLBACK_ANNOTATION, WORSE_METRICS_ANNOTATION, YANKED_ANNOTATION]
)
def test_who_waives_accepts_or_yanks_is_stamped(user: Kubectl, version: str, annotation: str) -> None:
    _as(user, "bob")("annotate", "mv", version, f"{annotation}=known and accepted")
    assert _stamps(user, version, "mv") == ("bob", None, None)
    _as(user, "carol")("annotate", "mv", version, f"{annotation}-")
    assert _stamps(user, version, "mv") == ("carol", None, None)


def test_labels_and_forged_stamps_do_not_change_the_requester_of_a_version(user: Kubectl, version: str) -> None:
    _as(user, "bob")("label", "mv", version, "team=payments")
    _as(user, "bob")("annotate", "mv", version, f"{Command.PROMOTE.annotation}=INC-1")
    _as(user, "mallory")("annotate", "mv", version, *(f"{stamp}=the-ceo" for stamp in STAMPS), "--overwrite")
    user("patch", "mv", version, "--subresource=status", "--type=merge", "--patch", '{"status": {"stage": "Canary"}}')
    assert _stamps(user, version, "mv") == ("alice", None, None)


def test_who_changes_a_models_policy_is_stamped(user: Kubectl, release: Release) -> None:
    name = _created(_as(user, "alice"), _claiming(model(f"fraud-{uuid.uuid4().hex[:8]}"), "the-ceo"))
    assert _stamps(user, name, "mdl") == ("alice", None, None)
    _as(user, "bob")("label", "mdl", name, "team=payments")
    assert _stamps(user, name, "mdl") == ("alice", None, None)
    _as(user, "bob")("patch", "mdl", name, "--type=merge", "--patch", '{"spec": {"owner": "payments-ml"}}')
    assert _stamps(user, name, "mdl") == ("bob", None, None)
    _as(user, "mallory")("annotate", "mdl", name, f"{APPROVED_BY_ANNOTATION}=alice", f"{REQUESTED_BY_ANNOTATION}-")
    assert _stamps(user, name, "mdl") == ("bob", None, None)


def test_a_model_created_by_the_operator_is_stamped_with_its_account(user: Kubectl, release: Release) -> None:
    operator = user.impersonating(release.account, "system:serviceaccounts", "system:authenticated")
    name = _created(operator, model(f"fraud-{uuid.uuid4().hex[:8]}"))
    assert _stamps(user, name, "mdl") == (release.account, None, None)
    path = f"/apis/serinus.dev/v1alpha1/namespaces/{user.namespace}/models/{name}/status"
    head = {"generation": 1, "audit": {"sequence": 1}}
    assert release.patch(path, {"op": "add", "path": "/status", "value": head}) == (200, "")
    assert _stamps(user, name, "mdl") == (release.account, None, None)
