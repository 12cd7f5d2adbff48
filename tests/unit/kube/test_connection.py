"""Credentials that are replaced while the operator runs: a pod's projected token lives for an hour or less."""

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.aio.config import incluster_config

from serinus.kube.connection import load_configuration, read_connection


class _Clock(dt.datetime):
    """``datetime.now`` of the client library, which asks for nothing else of it."""

    passed = dt.timedelta(0)

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "_Clock":
        return super().now(tz) + cls.passed


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The token file of a pod."""
    file, certificate = tmp_path / "token", tmp_path / "ca.crt"
    file.write_text("first")
    certificate.write_text("certificate")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(file))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    monkeypatch.setattr(incluster_config, "datetime", SimpleNamespace(datetime=_Clock, timedelta=dt.timedelta))
    monkeypatch.setattr("serinus.kube.connection.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "missing"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "198.18.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")
    return file


def rotate(token: Path) -> None:
    token.write_text("second")


async def header(configuration: Any) -> str:
    return str((await configuration.auth_settings())["BearerToken"]["value"])


async def test_a_token_that_is_replaced_is_used_within_a_minute(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = await load_configuration(None)
    assert await header(configuration) == "bearer first"
    rotate(token)

    monkeypatch.setattr(_Clock, "passed", dt.timedelta(seconds=61))

    assert await header(configuration) == "bearer second"


async def test_a_watch_that_logs_in_again_reads_the_token_anew(token: Path) -> None:
    assert (await read_connection(None)).token == "first"
    rotate(token)

    assert (await read_connection(None)).token == "second"
