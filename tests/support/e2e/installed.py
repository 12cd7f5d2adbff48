"""The chart as its users have it: its operator runs as the pod of its own Deployment, with its own ServiceAccount."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.client import Cluster
from support.kubectl import Kubectl
from support.localcluster import eventually
from support.release import Release, installed, measured_by, until_the_api_server_stamps

_PORT = 8080


@contextmanager
def operator_installed(cluster: Cluster, admin: Kubectl, folder: Path) -> Iterator[Release]:
    """Install the chart for a while; what the local node cannot do, such as volumes, is given by other ways."""
    options = (
        *measured_by(cluster),
        "--set=image.repository=localhost/process",
        "--set=replicas=1",
        r"--set-string=podAnnotations.prometheus\.io/scrape=true",
        rf"--set-string=podAnnotations.prometheus\.io/port={_PORT}",
    )
    with installed(admin, *options) as release:
        until_the_api_server_stamps(admin, wanted=True)
        here = admin.within(release.name)
        config = folder / "config.yaml"
        text = here("get", "configmap", release.name, "-o", r"jsonpath={.data.config\.yaml}")
        config.write_text(text, encoding="utf-8")
        kubeconfig = release.kubeconfig(folder / "operator.kubeconfig")
        patch = json.dumps(_as_process(config, kubeconfig))
        here("patch", "deployment", release.name, "--type=json", "--patch", patch)
        eventually(lambda: _ready(here, release.name), why="a ready operator")
        yield release


def _ready(here: Kubectl, name: str) -> bool:
    found = here.json("get", "deployment", name)
    status = found["status"]
    counts = {status.get(name) for name in ("readyReplicas", "updatedReplicas", "replicas")}
    return counts == {1} and bool(status.get("observedGeneration") == found["metadata"]["generation"])


def _as_process(config: Path, kubeconfig: Path) -> list[dict[str, object]]:
    """Return a JSON Patch: the node runs commands of this machine, and knows no volumes."""
    pod = "/spec/template/spec"
    environment = {
        "SERINUS_CONFIG": str(config),
        "SERINUS_IDENTITY": "$(POD_NAME)",
        "SERINUS_HTTP_HOST": "$(POD_IP)",
        "KUBECONFIG": str(kubeconfig),
    }
    return [
        {"op": "remove", "path": f"{pod}/volumes"},
        {"op": "remove", "path": f"{pod}/containers/0/volumeMounts"},
        # -P: the checkout's folder `operator` must not shadow the standard library's module.
        {"op": "add", "path": f"{pod}/containers/0/command", "value": [sys.executable, "-P", "-m", "serinus"]},
        {
            "op": "replace",
            "path": f"{pod}/containers/0/env",
            "value": [{"name": name, "value": value} for name, value in environment.items()],
        },
    ]
