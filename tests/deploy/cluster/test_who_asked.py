"""Who asked for a run or gave a command is the API server's word, never the manifest's."""

import uuid
from collections.abc import Iterator

import pytest

from serinus.api.names import REQUESTED_BY_ANNOTATION, Command
from support.kubectl import Kubectl
from support.manifests import rollout
from support.release import asker, installed, until_the_api_server_stamps


@pytest.fixture(scope="module")
def older(user: Kubectl) -> str:
    """The name of a Rollout from before the chart was installed."""
    until_the_api_server_stamps(user, wanted=False)
    return _make(user)


@pytest.fixture(scope="module", autouse=True)
def _the_chart(admin: Kubectl, user: Kubectl, older: str) -> Iterator[None]:
    with installed(admin):
        until_the_api_server_stamps(user, wanted=True)
        yield


@pytest.fixture
def fraud(user: Kubectl) -> str:
    """The name of a Rollout that alice has made."""
    return _make(_as(user, "alice"))


def _make(person: Kubectl, claims: str | None = None) -> str:
    name = f"fraud-{uuid.uuid4().hex[:8]}"
    annotations = {REQUESTED_BY_ANNOTATION: claims} if claims else {}
    person("create", "-f", "-", given=rollout({"metadata": {"name": name, "annotations": annotations}}))
    return name


def _as(user: Kubectl, name: str) -> Kubectl:
    return user.impersonating(name, "system:masters")


def _asker(user: Kubectl, name: str) -> str | None:
    return asker(user.json("get", "mro", name))


def test_who_makes_a_rollout_is_stamped(user: Kubectl, fraud: str) -> None:
    assert _asker(user, fraud) == "alice"


def test_a_manifest_cannot_claim_another_asker(user: Kubectl) -> None:
    assert _asker(user, _make(_as(user, "mallory"), claims="the-ceo")) == "mallory"


def test_who_changes_the_wish_is_stamped(user: Kubectl, fraud: str) -> None:
    _as(user, "bob")("patch", "mro", fraud, "--type=merge", "--patch", '{"spec": {"version": "2.3.2"}}')
    assert _asker(user, fraud) == "bob"


@pytest.mark.parametrize("command", Command)
def test_who_commands_is_stamped_and_so_is_who_commands_anew(user: Kubectl, fraud: str, command: Command) -> None:
    _as(user, "carol")("annotate", "mro", fraud, f"{command.annotation}=INC-1")
    assert _asker(user, fraud) == "carol"
    _as(user, "dave")("annotate", "mro", fraud, f"{command.annotation}=INC-2", "--overwrite")
    assert _asker(user, fraud) == "dave"


def test_who_only_labels_or_notes_is_not_taken_for_the_asker(user: Kubectl, fraud: str) -> None:
    _as(user, "bob")("label", "mro", fraud, "team=payments")
    _as(user, "bob")("annotate", "mro", fraud, "example.com/note=seen")
    user("patch", "mro", fraud, "--subresource=status", "--type=merge", "--patch", '{"status": {"phase": "Healthy"}}')
    assert _asker(user, fraud) == "alice"


@pytest.mark.parametrize("forged", [f"{REQUESTED_BY_ANNOTATION}=bob", f"{REQUESTED_BY_ANNOTATION}-"])
def test_a_stamp_cannot_be_changed_or_taken_away(user: Kubectl, fraud: str, forged: str) -> None:
    _as(user, "mallory")("annotate", "mro", fraud, forged, "--overwrite")
    assert _asker(user, fraud) == "alice"


def test_an_asker_cannot_be_invented_for_an_older_rollout(user: Kubectl, older: str) -> None:
    _as(user, "mallory")("annotate", "mro", older, f"{REQUESTED_BY_ANNOTATION}=the-ceo")
    assert _asker(user, older) is None
    _as(user, "mallory")("annotate", "mro", older, f"{Command.PAUSE.annotation}=INC-1")
    assert _asker(user, older) == "mallory"
