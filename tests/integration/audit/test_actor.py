"""Who acts in a fleet without a cluster: the cloud's word by STS, or a name that nobody vouches for."""

import pytest

from serinus.api.audit_record import Authentication
from serinus.cli.actor import current_actor, is_aws
from support.servers.locked_bucket import client


def test_at_awss_own_endpoint_the_caller_is_named_by_sts(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint)
    actor, facts = current_actor("dynamodb://fleet?region=eu-central-1")
    assert actor.name == client(endpoint, "sts").get_caller_identity()["Arn"]
    assert actor.authentication is Authentication.CLOUD
    assert facts == {}


def test_an_identity_service_that_is_down_stops_nobody_and_the_record_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    monkeypatch.setenv("USER", "bob")
    actor, facts = current_actor("dynamodb://fleet?region=eu-central-1")
    assert actor.authentication is Authentication.NONE
    assert "AWS STS could not identify the caller" in facts["identity"]
    assert "unverified" in capsys.readouterr().err


def test_anywhere_else_nobody_vouches_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "bob")
    actor, facts = current_actor("dynamodb://fleet?endpoint=http://127.0.0.1:8000")
    assert (actor.name, actor.authentication, facts) == ("bob", Authentication.NONE, {})


def test_awss_own_endpoints_are_known_by_their_names() -> None:
    assert is_aws(None)
    assert is_aws("https://dynamodb.eu-central-1.amazonaws.com")
    assert is_aws("https://vpce-1-2.dynamodb.eu-central-1.vpce.amazonaws.com")
    assert not is_aws("http://localhost:8000")
    assert not is_aws("https://amazonaws.com.example.org")
