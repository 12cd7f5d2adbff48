"""The pod of ``helm test``: what it is, and what its script says of an operator and an API server."""

import json
import runpy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import certifi
import pytest

from support.helm import Helm, find_helm
from support.release import CHART, SOURCE

_FILE: Final = CHART / "files" / "installation.py"
_SCRIPT: Final = runpy.run_path(str(_FILE))


@pytest.fixture(scope="module")
def rendered() -> list[dict[str, Any]]:
    """The chart with its default values."""
    helm: Helm = find_helm()
    return helm.template(CHART, SOURCE)


@pytest.fixture(scope="module")
def pod(rendered: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod of the test."""
    (found,) = (one for one in rendered if one["kind"] == "Pod")
    return found


def test_it_is_a_hook_that_runs_the_script_with_the_operators_image(
    pod: dict[str, Any], rendered: list[dict[str, Any]]
) -> None:
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    (operator,) = (one for one in rendered if one["kind"] == "Deployment")
    assert container["image"] == operator["spec"]["template"]["spec"]["containers"][0]["image"]
    assert container["command"][:2] == ["python", "-c"]
    assert container["command"][2].strip() == _FILE.read_text(encoding="utf-8").strip()
    # The kubelet would take this for a variable to replace.
    assert "$(" not in container["command"][2]
    (service,) = (one["metadata"]["name"] for one in rendered if one["kind"] == "Service")
    assert container["args"] == [f"http://{service}.serinus-system:8080/readyz"]


def test_nothing_takes_it_for_the_operator(pod: dict[str, Any], rendered: list[dict[str, Any]]) -> None:
    (service,) = (one for one in rendered if one["kind"] == "Service")
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert "serviceAccountName" not in pod["spec"]


def test_it_passes_the_restricted_standard(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@contextmanager
def _server(status: int, body: object, seen: list[str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.path} {self.headers.get('Authorization', '')}".strip())
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "said"), [(200, ""), (503, "no operator is ready")])
def test_an_operator_is_ready_or_it_is_said(status: int, said: str) -> None:
    seen: list[str] = []
    with _server(status, "", seen) as url:
        answer = _SCRIPT["operator"](f"{url}/readyz", lambda _seconds: None, 0.0)
    assert (answer == "") == (said == "")
    assert said in answer
    assert seen[0] == "/readyz"


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with _server(200, "", []) as url:
        assert _SCRIPT["operator"](f"{url}/readyz", lambda _seconds: None, 0.0) == ""


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """A folder as the kubelet mounts it, with the system's certificates instead of the cluster's."""
    (tmp_path / "token").write_text("secret\n", encoding="ascii")
    (tmp_path / "ca.crt").write_bytes(Path(certifi.where()).read_bytes())
    return tmp_path


def test_an_api_server_that_nobody_reaches_is_not_said_to_lack_kinds(account: Path) -> None:
    said = _SCRIPT["kinds"]("http://127.0.0.1:1", account)
    assert said.startswith("the API server could not be asked for its kinds: ")


@pytest.mark.parametrize(
    ("status", "served", "said"),
    [
        (200, ["rollouts", "modelversions", "models", "auditrecords", "rollouts/status"], ""),
        (200, ["rollouts", "models"], "the API server does not serve modelversions, auditrecords"),
        (404, [], "the API server does not serve serinus.dev/v1alpha1: "),
    ],
)
def test_the_kinds_are_served_or_it_is_said(account: Path, status: int, served: list[str], said: str) -> None:
    seen: list[str] = []
    with _server(status, {"resources": [{"name": name} for name in served]}, seen) as url:
        answer = _SCRIPT["kinds"](url, account)
    assert answer == said if not said else answer.startswith(said)
    assert seen == ["/apis/serinus.dev/v1alpha1 Bearer secret"]
