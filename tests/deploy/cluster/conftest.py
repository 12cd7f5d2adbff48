"""These tests need an API server around them: ``python -m localcluster run -- pytest tests/deploy``."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster.client import Cluster
from support.kubectl import Kubectl

_CRDS = Path(__file__).resolve().parents[3] / "deploy" / "crds"


@pytest.fixture(scope="session")
def admin() -> Kubectl:
    """The administrator of the cluster that KUBECONFIG names, else of the local one; our kinds are installed."""
    named = os.environ.get("KUBECONFIG")
    if named:
        person = Kubectl(program=Path(shutil.which("kubectl") or "kubectl"), kubeconfig=Path(named))
    else:
        cluster = Cluster.current()
        person = Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)
    person("apply", "--server-side", "--force-conflicts", "-f", str(_CRDS))
    person("wait", "--for=condition=Established", "--timeout=30s", "-f", str(_CRDS))
    return person


@pytest.fixture(scope="module")
def user(admin: Kubectl) -> Iterator[Kubectl]:
    """The administrator in a namespace of this file's own."""
    namespace = f"deploy-{uuid.uuid4().hex[:8]}"
    admin("create", "namespace", namespace)
    yield admin.within(namespace)
    admin("delete", "namespace", namespace, "--wait=false")
