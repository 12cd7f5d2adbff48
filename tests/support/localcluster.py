"""A namespace in the local cluster around the tests, and how one waits for what happens in it."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from localcluster.client import Cluster

T = TypeVar("T")

SERVER = """
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two packets: the second would wait 40 ms for the acknowledgement of the first.
    disable_nagle_algorithm = True

    def do_GET(self):
        body = os.environ.get("ANSWER", "hello").encode()
        self.send_response(int(os.environ.get("STATUS", "200")))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def eventually(check: Callable[[], T | None], *, within: float = 120.0, why: str = "") -> T:
    """Give the first true answer of a check, or fail when the time is over."""
    deadline = time.monotonic() + within
    while not (answer := check()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within:.0f} s: {why or check}; the last answer was {answer!r}")
        time.sleep(0.05)
    return answer


def fetch(url: str, **headers: str) -> tuple[int, str]:
    """Give status and body of one request; status 0 where nobody answers."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - addresses of the cluster
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - likewise
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@dataclass(frozen=True)
class Namespace:
    """A namespace of one test."""

    name: str
    cluster: Cluster

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        command = [str(self.cluster.kubectl), f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={self.name}"]
        done = subprocess.run([*command, *arguments], input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", given="\n---\n".join(map(json.dumps, manifests)))

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "--output=json", *arguments))
        return found

    def serve(self, name: str, *, replicas: int = 1, **variables: str) -> None:
        """Run a small web server as a Deployment with a Service, and wait until it is rolled out."""
        self.apply(*web(name, replicas=replicas, variables=variables))
        self.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")


def web(name: str, *, replicas: int, variables: dict[str, str]) -> list[dict[str, Any]]:
    container = {
        "name": "web",
        "image": "localhost/process",
        "command": ["python3", "-u", "-c", SERVER],
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 2}}
    deployment = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
    ]
