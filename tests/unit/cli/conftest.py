"""The commands beside a kubectl that knows no cluster; a test that needs another one puts it on PATH."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def _no_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the machine's kubectl, and with it the namespace in the developer's kubeconfig, out of the tests."""
    kubectl = tmp_path_factory.mktemp("bin") / "kubectl"
    kubectl.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    kubectl.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(kubectl.parent), prepend=os.pathsep)
        yield
