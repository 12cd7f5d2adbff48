"""The fenced commands that ask MLflow are run as a reader would paste them, from a real server into a real cluster."""

import os
import sys
from pathlib import Path
from typing import Any, Final

from localcluster.client import Cluster
from serinus.kube.client import KubernetesClient
from support.fenced.folders import page_folder, problem_of, run
from support.fenced.pages import lines_that_need
from support.fenced.runs import Where

LINES: Final = lines_that_need(Where.MLFLOW)


async def test_a_version_is_imported_and_applied_as_the_page_says(
    seeded: Any, cluster: Cluster, api: KubernetesClient, namespace: str, tmp_path: Path
) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{cluster.kubectl.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KUBECONFIG": str(cluster.kubeconfig),
    }
    meant = {
        "https://mlflow.example.com": seeded.server.url,
        "-n ml ": f"-n {namespace} ",
        "/fraud-detector/7": "/fraud-detector/1",
    }
    for line in LINES:
        text = line.text
        for written, stands_for in meant.items():
            text = text.replace(written, stands_for)
        done = run(line, text, page_folder(tmp_path, line.page), environment)
        assert problem_of(line, text, done, {0}) == ""

    path = f"/apis/serinus.dev/v1alpha1/namespaces/{namespace}/modelversions/fraud-detector-v2.3.1"
    spec = (await api.request("GET", path))["spec"]
    assert (spec["version"], spec["serving"]["backendRef"]["name"]) == ("2.3.1", "fraud-detector-v2-3-1")
    assert spec["artifact"]["digest"].startswith("sha256:")
