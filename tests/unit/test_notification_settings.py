"""The settings of notifications."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from serinus.errors import ConfigurationError
from serinus.notification_settings import ReceiverKind
from serinus.settings import Settings, load_settings

RECEIVER: dict[str, Any] = {
    "name": "oncall",
    "type": "cloudevents",
    "urlFrom": {"file": "/etc/serinus/notifications/oncall/url"},
    "signingKeyFrom": {"file": "/etc/serinus/notifications/oncall/key"},
}
CHAT = {"name": "chat", "type": "slack", "urlFrom": {"file": "/url"}}


def loaded(folder: Path, *receivers: dict[str, Any], **fields: Any) -> Settings:
    file = folder / "config.yaml"
    file.write_bytes(msgspec.yaml.encode({"notifications": {"receivers": list(receivers), **fields}}))
    return load_settings(file, {})


def test_without_receivers_there_are_none() -> None:
    assert load_settings(None, {}).notifications.receivers == ()


def test_receivers_are_read(tmp_path: Path) -> None:
    chosen = {"namespaces": ["payments"], "models": ["fraud"], "events": ["RolledBack"], "timeout": "3s"}
    settings = loaded(tmp_path, RECEIVER | chosen, CHAT, source="https://clusters.example/a").notifications
    first, second = settings.receivers
    assert settings.source == "https://clusters.example/a"
    assert (first.type, first.namespaces, first.models) == (ReceiverKind.CLOUDEVENTS, ("payments",), ("fraud",))
    assert (first.events, first.timeout.seconds) == (("RolledBack",), 3)
    assert (second.events, second.timeout.seconds, second.signing_key_from) == ((), 10, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "https://receiver.example"}, "url"),
        ({"urlFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}, "secretKeyRef"),
        ({"urlFrom": {"file": "url"}}, "notifications.receivers[0].urlFrom.file"),
        ({"type": "pager"}, "notifications.receivers[0].type"),
        ({"name": "On Call"}, "notifications.receivers[0].name"),
        ({"events": ["RolledBack", "rolledBack"]}, "notifications.receivers[0].events[1]: unknown event 'rolledBack'"),
        ({"events": ["NotificationFailed"]}, "notifications.receivers[0].events[0]"),
        ({"timeout": "2m"}, "notifications.receivers[0].timeout"),
        ({"timeout": "1ms"}, "notifications.receivers[0].timeout"),
        ({"type": "slack"}, "notifications.receivers[0].signingKeyFrom"),
        ({"namespaces": ["*"]}, "notifications.receivers[0].namespaces[0]"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        loaded(tmp_path, RECEIVER | change)
    assert field in str(raised.value)


def test_a_webhook_without_a_key_is_refused(tmp_path: Path) -> None:
    unsigned = {name: value for name, value in RECEIVER.items() if name != "signingKeyFrom"}
    with pytest.raises(ConfigurationError, match=r"receivers\[0\]\.signingKeyFrom: required"):
        loaded(tmp_path, unsigned)


def test_two_receivers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"notifications\.receivers\[1\]: there is another 'chat'"):
        loaded(tmp_path, CHAT, CHAT)


def test_a_source_with_a_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"notifications\.source"):
        loaded(tmp_path, CHAT, source="my cluster")
