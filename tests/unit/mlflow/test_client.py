"""The client of MLflow: credentials, translation of failures, and bounds. A real server is in tests/integration."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from serinus.artifacts.fetch import Inspection, measure
from serinus.errors import ConfigurationError, NotFoundError, RefusedError, SerinusError, TransientError
from serinus.mlflow.client import Login, Tracking
from serinus.mlflow.files import ProxiedFiles
from serinus.mlflow.reference import Reference
from serinus.mlflow.responses import VersionInfo
from support.servers.artifact_server import ArtifactServer, Reply, Then

GET_VERSION = "/api/2.0/mlflow/model-versions/get"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
REFERENCE = Reference("fraud", "7", "")


@pytest.fixture
def server() -> Iterator[ArtifactServer]:
    with ArtifactServer(tls=False).running() as running:
        running.replies[GET_VERSION] = says({"model_version": {"name": "fraud", "version": "7"}})
        yield running


def says(body: object, **fields: Any) -> Reply:
    return Reply(body=json.dumps(body).encode(), **fields)


def version(server: ArtifactServer, login: Login | None = None, *, url: str = "", timeout: float = 5.0) -> VersionInfo:
    tracking = Tracking(url or server.url, login or Login(), timeout=timeout)
    try:
        return tracking.version(REFERENCE)
    finally:
        tracking.close()


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("models:/fraud-detector/7", Reference("fraud-detector", "7", "")),
        ("models:/fraud-detector@champion", Reference("fraud-detector", "", "champion")),
        ("models:/fraud-detector/@champion", Reference("fraud-detector", "", "champion")),
        ("models:/Fraud Scores/7", Reference("Fraud Scores", "7", "")),
    ],
)
def test_a_registered_version_is_named_by_number_or_alias(text: str, reference: Reference) -> None:
    assert Reference.parse(text) == reference


@pytest.mark.parametrize(
    "text", ["fraud/7", "models:/fraud", "models:/fraud/latest", "models:/m-1/2/3", "runs:/r/model"]
)
def test_a_reference_that_can_change_or_is_not_registered_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="names no registered version"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("login", "header"),
    [
        (Login(), None),
        (Login(token="geheim"), "Bearer geheim"),
        (Login(user="anna", password="geheim"), "Basic " + base64.b64encode(b"anna:geheim").decode()),
        (Login(user="anna", password="geheim", token="x"), "Basic " + base64.b64encode(b"anna:geheim").decode()),
        (Login(user="anna", token="geheim"), "Bearer geheim"),
    ],
)
def test_credentials_are_sent_like_mlflows_own_client_does(
    server: ArtifactServer, login: Login, header: str | None
) -> None:
    version(server, login)
    assert server.headers[0].get("authorization") == header
    assert "geheim" not in repr(login)


def test_credentials_in_the_uri_are_used_and_never_in_a_message(server: ArtifactServer) -> None:
    server.replies[GET_VERSION] = Reply(status=500)
    with pytest.raises(TransientError) as failure:
        version(server, url=server.url.replace("://", "://anna:geheim@"))
    assert server.headers[0]["authorization"].startswith("Basic ")
    assert "geheim" not in str(failure.value)


def test_a_netrc_file_is_ignored(server: ArtifactServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password geheim\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    version(server, Login(token="mine"))
    assert server.headers[0]["authorization"] == "Bearer mine"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(status=401, body=b"geheim"), RefusedError, "set MLFLOW_TRACKING_TOKEN"),
        (Reply(status=403), RefusedError, "denies access"),
        (Reply(status=404), NotFoundError, "has no models:/fraud/7"),
        (Reply(status=400), NotFoundError, "has no models:/fraud/7"),
        (Reply(status=500, body=b"geheim"), TransientError, "HTTP 500"),
        (Reply(status=302, headers={"Location": "http://127.0.0.1:1/"}), TransientError, "HTTP 302"),
        (Reply(body=b"<html>geheim"), TransientError, "check the tracking URI"),
        (says({"model_version": {"name": 7}}), TransientError, "check the tracking URI"),
        (Reply(body=b"{", length=100), TransientError, "MLflow at"),
    ],
)
def test_a_failure_has_a_remedy_and_nothing_of_the_response(
    server: ArtifactServer, reply: Reply, kind: type[SerinusError], words: str
) -> None:
    server.replies[GET_VERSION] = reply
    with pytest.raises(kind, match=words) as failure:
        version(server, Login(token="geheim"))
    assert "geheim" not in str(failure.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("reply", [Reply(silent=True), Reply(length=9, then=Then.HANG)])
def test_a_silent_server_is_abandoned_after_the_timeout(server: ArtifactServer, reply: Reply) -> None:
    server.replies[GET_VERSION] = reply
    with pytest.raises(TransientError):
        version(server, timeout=0.2)


def test_an_endless_response_is_not_read(server: ArtifactServer) -> None:
    server.replies[GET_VERSION] = Reply(length=-1, then=Then.ZEROS)
    with pytest.raises(TransientError, match="is over 8 MiB"):
        version(server)
    assert server.gone.wait(5)


def test_a_slow_response_ends_at_the_timeout(server: ArtifactServer) -> None:
    ticks = iter([0.0, 9.0])
    server.replies[GET_VERSION] = Reply(length=-1, then=Then.ZEROS)
    tracking = Tracking(server.url, Login(), timeout=5, monotonic=lambda: next(ticks))
    with pytest.raises(TransientError, match="did not arrive within 5 s"):
        tracking.version(REFERENCE)
    tracking.close()


@pytest.mark.parametrize("uri", ["file:///mlruns", "sqlite:///mlflow.db", "databricks", "http://", ""])
def test_only_a_server_is_supported(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="tracking URI"):
        Tracking(uri, Login())


def test_numbers_in_quotes_are_read_as_older_servers_write_them(server: ArtifactServer) -> None:
    run = {"info": {"run_id": "r", "start_time": "1795478202360"}, "data": {"metrics": [{"key": "a", "value": "NaN"}]}}
    server.replies["/api/2.0/mlflow/runs/get"] = says({"run": run})
    tracking = Tracking(server.url, Login())
    found = tracking.run("r")
    tracking.close()
    assert found.info.start_time == 1_795_478_202_360


def test_a_folder_is_hashed_whatever_way_the_store_lists_it(server: ArtifactServer) -> None:
    # An ArtifactServer ignores the query: each folder has the same list.
    server.replies[FILES] = says({"files": [{"path": "1/m/b"}, {"path": "a", "file_size": "1"}]})
    server.replies[f"{FILES}/1/m/a"] = Reply(body=b"A")
    server.replies[f"{FILES}/1/m/b"] = Reply(body=b"B")
    tracking, inspection = Tracking(server.url, Login()), Inspection()
    with ProxiedFiles(tracking).stat("mlflow-artifacts:/1/m", inspection) as artifact:
        assert measure(artifact, inspection, most=2).size == 2
    with pytest.raises(RefusedError), ProxiedFiles(tracking).stat("s3://bucket/1/m", inspection):
        pass
    tracking.close()


def test_endlessly_nested_folders_are_refused(server: ArtifactServer) -> None:
    server.replies[FILES] = says({"files": [{"path": "again", "is_dir": True}]})
    tracking = Tracking(server.url, Login())
    with pytest.raises(RefusedError, match="deep"), ProxiedFiles(tracking).stat("mlflow-artifacts:/1", Inspection()):
        pass
    tracking.close()
