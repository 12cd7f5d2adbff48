"""Notifications in the Helm chart: Secrets become files, and the operator reads what the chart writes."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.notification_settings import MOST_RECEIVERS, NotificationSettings
from serinus.ports.notifications import EVENTS
from serinus.settings import load_settings
from support.helm import Helm, HelmError, find_helm
from support.release import CHART, SOURCE

ONCALL: Final[dict[str, Any]] = {
    "name": "oncall",
    "type": "cloudevents",
    "urlFrom": {"secretKeyRef": {"name": "serinus-oncall", "key": "url"}},
    "signingKeyFrom": {"secretKeyRef": {"name": "serinus-oncall", "key": "signing-key"}},
    "namespaces": ["payments"],
    "events": ["RolledBack"],
    "timeout": "3s",
}
CHAT: Final[dict[str, Any]] = {"name": "chat", "type": "slack", "urlFrom": {"file": "/etc/chat/url"}}


@pytest.fixture(scope="module")
def helm() -> Helm:
    return find_helm()


def rendered(helm: Helm, folder: Path, *receivers: dict[str, Any]) -> tuple[NotificationSettings, dict[str, Any]]:
    """The operator's settings and the pod of a release with these receivers."""
    values = folder / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {"notifications": {"receivers": list(receivers)}}}))
    documents = helm.template(CHART, SOURCE, f"--values={values}")
    (config,) = (one["data"]["config.yaml"] for one in documents if one["kind"] == "ConfigMap")
    (pod,) = (one["spec"]["template"]["spec"] for one in documents if one["kind"] == "Deployment")
    file = folder / "config.yaml"
    file.write_text(config, encoding="utf-8")
    return load_settings(file, {}).notifications, pod


def test_the_secrets_are_mounted_where_the_settings_say(helm: Helm, tmp_path: Path) -> None:
    settings, pod = rendered(helm, tmp_path, ONCALL, CHAT)
    oncall, chat = settings.receivers
    assert (oncall.namespaces, oncall.events, oncall.timeout.seconds) == (("payments",), ("RolledBack",), 3)
    assert chat.url_from.file == "/etc/chat/url"
    (volume,) = (one["projected"] for one in pod["volumes"] if one["name"] == "notifications")
    (mount,) = (one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "notifications")
    files = {
        f"{mount['mountPath']}/{item['path']}": (source["secret"]["name"], item["key"])
        for source in volume["sources"]
        for item in source["secret"]["items"]
    }
    assert oncall.signing_key_from is not None
    assert files == {
        oncall.url_from.file: ("serinus-oncall", "url"),
        oncall.signing_key_from.file: ("serinus-oncall", "signing-key"),
    }
    assert mount["readOnly"]
    assert "subPath" not in mount, "a Secret that is replaced must reach the file"


def test_a_missing_secret_does_not_keep_the_operator_from_starting(helm: Helm, tmp_path: Path) -> None:
    _, pod = rendered(helm, tmp_path, ONCALL)
    (volume,) = (one["projected"] for one in pod["volumes"] if one["name"] == "notifications")
    assert all(source["secret"]["optional"] for source in volume["sources"])


@pytest.mark.parametrize("receivers", [(), (CHAT,)])
def test_without_secrets_nothing_is_mounted(helm: Helm, tmp_path: Path, receivers: tuple[dict[str, Any], ...]) -> None:
    settings, pod = rendered(helm, tmp_path, *receivers)
    assert len(settings.receivers) == len(receivers)
    assert "notifications" not in {volume["name"] for volume in pod["volumes"]}
    assert "notifications" not in {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"url": "https://receiver.example"}, "url"),
        ({"urlFrom": {}}, "urlFrom"),
        ({"urlFrom": {"secretKeyRef": {"name": "a"}}}, "secretKeyRef"),
        ({"urlFrom": {"file": "/a", "secretKeyRef": {"name": "a", "key": "b"}}}, "urlFrom"),
        ({"type": "pager"}, "type"),
        ({"type": "teams"}, "signingKeyFrom"),
        ({"events": ["rolledBack"]}, "events/0"),
        ({"timeout": "5"}, "timeout"),
        ({"name": "On Call"}, "name"),
    ],
)
def test_what_cannot_be_is_refused_at_installation(
    helm: Helm, tmp_path: Path, change: dict[str, Any], path: str
) -> None:
    with pytest.raises(HelmError) as refusal:
        rendered(helm, tmp_path, ONCALL | change)
    assert "/config/notifications/receivers/0" in str(refusal.value)
    assert path in str(refusal.value)


def test_a_webhook_without_a_key_is_refused_at_installation(helm: Helm, tmp_path: Path) -> None:
    with pytest.raises(HelmError, match="signingKeyFrom"):
        rendered(helm, tmp_path, {name: value for name, value in ONCALL.items() if name != "signingKeyFrom"})


def test_two_receivers_of_one_name_are_refused_at_installation(helm: Helm, tmp_path: Path) -> None:
    with pytest.raises(HelmError, match="two receivers with the name chat"):
        rendered(helm, tmp_path, CHAT, CHAT)


def test_the_schema_of_the_values_knows_the_same_events_and_bound() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    receivers = schema["properties"]["config"]["properties"]["notifications"]["properties"]["receivers"]
    assert receivers["items"]["properties"]["events"]["items"]["enum"] == list(EVENTS)
    assert receivers["maxItems"] == MOST_RECEIVERS
