"""Commands on a cluster: whatever kubeconfig there is and whatever the API server answers, no traceback."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from serinus.api.parsing import encode
from serinus.cli import main
from support.audit.trails import MODEL, a_trail
from support.cli_inputs import BYTES, Inputs, Sample, as_yaml
from support.servers.artifact_server import ArtifactServer, Reply

LINES = (
    ["registry", "list"],
    ["registry", "list", "ml/fraud"],
    ["registry", "get", "ml/fraud", "1.0.0"],
    ["registry", "production", "ml/fraud", "-o", "json"],
    ["audit", "log", "ml/fraud", "-o", "wide"],
    ["audit", "verify", "ml/fraud"],
    ["audit", "verify", "--all"],
    ["audit", "export", "ml/fraud", "-o", "out"],
    ["audit", "prune", "ml/fraud", "--archive", "archive", "--yes"],
    ["audit", "restore", "ml/fraud"],
    ["report", "ml/fraud", "-o", "-"],
    ["report", "--live-at", "36h"],
)
DOCUMENTED = {"audit verify": {0, 1, 2}}


class Cluster(dict[str, Reply]):
    """An API server with one model, which now and then answers with something damaged."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.inputs = inputs
        trail = a_trail()
        data = trail.data[MODEL]
        self.objects: dict[str, list[dict[str, Any]]] = {
            "models": [self._object("Model", "fraud", {}, encode(data.head))],
            "modelversions": [
                self._object("ModelVersion", f"fraud-v{entry.version}", encode(entry.spec), {})
                for entry in data.versions.values()
            ],
            "auditrecords": [
                self._object("AuditRecord", f"fraud-{number}", content, {}) for number, content in data.records.items()
            ],
        }

    def _object(self, kind: str, name: str, spec: Any, status: Any) -> dict[str, Any]:
        at = "2026-11-01T12:00:00Z"
        metadata = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
        metadata |= {"creationTimestamp": at, "labels": {"serinus.dev/model": "fraud"}}
        return {
            "apiVersion": "serinus.dev/v1alpha1",
            "kind": kind,
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }

    def get(self, path: str, _: object = None) -> Any:
        plural = next((name for name in self.objects if f"/{name}" in path), "")
        random = self.inputs.random
        if not plural or random.random() < 0.05:
            bodies = (b"", b"\xff", b"[]", b"null", b"<html>", b'{"kind": "Status", "message": 7}', b"{" * 9999)
            return Reply(status=random.choice((200, 400, 403, 404, 500)), body=random.choice(bodies))
        objects = deepcopy(self.objects[plural])
        answer = objects[0] if path.rpartition("/")[2] != plural else {"kind": "List", "items": objects, "metadata": {}}
        if random.random() < 0.6:
            self.inputs.damage(answer)
        return Reply(body=json.dumps(answer, default=repr).encode())


def kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "ml"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("serinus.kube.connection.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    sample = Sample((kubeconfig("http://127.0.0.1:9"),), as_yaml)
    return Inputs(Random(0), tmp_path, {"kubeconfig": sample}, junk_server="")  # noqa: S311 - a test must be repeatable


@pytest.fixture
def cluster(inputs: Inputs) -> Iterator[Cluster]:
    server, replies = ArtifactServer(tls=False), Cluster(inputs)
    server.replies = replies
    with server.running():
        (inputs.folder / "config").write_text(yaml.safe_dump(kubeconfig(server.url)))
        yield replies


def check(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    try:
        status = main(words)
    except Exception as problem:
        raise AssertionError(f"a traceback: serinus {words}") from problem
    said = capsys.readouterr()
    assert status in DOCUMENTED.get(" ".join(words[:2]), {0, 1}), words
    assert said.err or said.out, words
    return said.err


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_no_answer_of_an_api_server_ends_in_a_traceback(
    words: list[str], cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(12):
        check(words, capsys)


def test_no_kubeconfig_ends_in_a_traceback(inputs: Inputs, capsys: pytest.CaptureFixture[str]) -> None:
    config = inputs.folder / "config"
    files = [path for path in (Path(inputs.file("kubeconfig")) for _ in range(60)) if path.is_file()]
    for content in (*BYTES, *(path.read_bytes() for path in files)):
        config.write_bytes(content)
        err = check(["registry", "production", "ml/fraud"], capsys)
        assert any(word in err for word in ("kubeconfig", "KUBECONFIG", "API server", "connection broke")), content


def test_a_cluster_that_cannot_be_asked_leaves_a_trail_unverified(
    inputs: Inputs, capsys: pytest.CaptureFixture[str]
) -> None:
    (inputs.folder / "config").write_bytes(b"")
    assert main(["audit", "verify", "ml/fraud"]) == 2
    assert "could not verify: " in capsys.readouterr().err
