"""Tests that need an API server: ``python -m localcluster run -- pytest tests/deploy``."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.client import Cluster
from localcluster.programs.crds import provide
from support.kubectl import Kubectl
from support.localcluster import eventually

_HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"
_CRDS = Path(__file__).resolve().parents[3] / "deploy" / "crds"


@pytest.fixture(scope="session")
def admin() -> Kubectl:
    """The administrator of the cluster of KUBECONFIG, else of the local one; the CRDs are installed."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if kubeconfig:
        person = Kubectl(program=Path(shutil.which("kubectl") or "kubectl"), kubeconfig=Path(kubeconfig))
    else:
        cluster = Cluster.current()
        person = Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)
    person("apply", "--server-side", "--force-conflicts", "-f", str(_CRDS))
    for kind in ("rollouts", "modelversions", "models", "auditrecords"):
        _until_served(person, f"{kind}.serinus.dev")
    return person


@pytest.fixture(scope="module")
def user(admin: Kubectl) -> Iterator[Kubectl]:
    """The administrator, in a namespace for the tests of one file."""
    namespace = f"deploy-{uuid.uuid4().hex[:8]}"
    admin("create", "namespace", namespace)
    yield admin.within(namespace)
    admin("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="session")
def gateway_api(admin: Kubectl) -> None:
    """Ensure that the cluster has HTTPRoutes."""
    if _HTTP_ROUTES not in admin("get", "crd", "-o", "name"):
        crds = json.loads(provide().read_text(encoding="utf-8"))
        http_routes = [crd for crd in crds if crd["metadata"]["name"] == _HTTP_ROUTES]
        admin("apply", "--server-side", "-f", "-", given=http_routes)
        _until_served(admin, _HTTP_ROUTES)


def _until_served(person: Kubectl, kind: str) -> None:
    # `kubectl wait` fails on a CRD that has no conditions yet.
    eventually(lambda: not person.run(("get", kind)).returncode, why=f"{kind} to be served")
