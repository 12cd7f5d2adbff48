"""The operator of the image, with the chart's settings and account: read-only root, unprivileged, no shell.

The image is that of ``tests/installed/image``, which runs before.
"""

import subprocess
import time
from http import HTTPStatus
from pathlib import Path
from typing import Final

from localcluster.addresses import OPERATOR_METRICS
from localcluster.client import Cluster
from support.image import result
from support.image.sandbox import GIVEN, USER, in_sandbox
from support.kubectl import Kubectl
from support.localcluster import eventually, fetch
from support.release import Release, installed

_PATIENCE: Final = 120.0


def _given(release: Release, folder: Path) -> Path:
    """Return a folder with what a pod has from its ConfigMap and its account."""
    given = folder / "given"
    given.mkdir()
    here = release.admin.within(release.name)
    config = here("get", "configmap", release.name, "-o", "jsonpath={.data.config\\.yaml}")
    (given / "config.yaml").write_text(config, encoding="utf-8")
    release.kubeconfig(given / "kubeconfig")
    return given


def _environment() -> dict[str, str]:
    host, _, port = OPERATOR_METRICS.rpartition(":")
    own = {"KUBECONFIG": f"{GIVEN}/kubeconfig", "SERINUS_CONFIG": f"{GIVEN}/config.yaml", "SERINUS_IDENTITY": "image"}
    return result.environment() | own | {"SERINUS_HTTP_HOST": host, "SERINUS_HTTP_PORT": port}


def test_the_operator_of_the_image_is_ready_and_its_start_is_timed(cluster: Cluster, tmp_path: Path) -> None:
    admin = Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)
    source = f"--set=config.sources.default.url={cluster.prometheus_url}"
    own, log = tmp_path / "own", tmp_path / "log.txt"
    own.mkdir()
    with installed(admin, source) as release:
        given = _given(release, tmp_path)
        command = in_sandbox(result.root(), own, _environment(), ["/opt/serinus/bin/serinus", "run"], given=given)
        with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
            begun = time.monotonic()
            try:
                _until_ready(process, log)
                result.note(seconds_until_ready=round(time.monotonic() - begun, 1))
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
                mounts = Path(f"/proc/{process.pid}/mounts").read_text(encoding="utf-8")
                process.terminate()
                assert process.wait(timeout=_PATIENCE) == 0, log.read_text(encoding="utf-8")
            finally:
                process.kill()
    assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in status
    (root,) = [line.split()[3] for line in mounts.splitlines() if line.split()[1] == "/"]
    assert root.split(",")[0] == "ro"


def _until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    def ready() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        return fetch(f"http://{OPERATOR_METRICS}/readyz")[0] == HTTPStatus.OK

    eventually(ready, within=_PATIENCE, why="a ready operator")
