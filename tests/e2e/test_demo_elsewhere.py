"""The demo with what a user of any cluster has: a kubeconfig, addresses, and Serinus installed by the chart."""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from demo.given.play import NOT_READY
from demo.observe import wait_for
from localcluster.client import Cluster
from localcluster.parts import gateway
from localcluster.settings import CHECKOUT
from support.e2e.demo_elsewhere import RATE, ended, output, the_demo, typed
from support.e2e.installed import operator_installed
from support.fenced.pages import lines_that_need
from support.fenced.runs import Where
from support.kubectl import Kubectl
from support.localcluster import eventually

_LONG = 900.0
_NAMESPACE = "serinus-demo"
_KINDS = (
    "namespaces,httproutes,rollouts.serinus.dev,modelversions,models.serinus.dev,auditrecords,deployments,services,"
    "configmaps,jobs,pods,endpointslices,serviceaccounts,rolebindings,clusterroles,clusterrolebindings"
)
_NAMES = '{range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> Kubectl:
    return Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)


@pytest.fixture(scope="module")
def operator_is_installed(cluster: Cluster, admin: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with operator_installed(cluster, admin, tmp_path_factory.mktemp("operator")):
        # What earlier tests have deleted: their Rollouts may have waited for an operator.
        eventually(lambda: not admin("get", "mro", "-A", "-o", "name"), why="no Rollout of earlier tests")
        eventually(lambda: "Terminating" not in admin("get", "namespaces"), why="no namespace of earlier tests")
        yield


def pasted(cluster: Cluster, folder: Path, page: str) -> list[str]:
    """Return the command of a page, with what a reader replaces in it, and with options for this cluster."""
    (line,) = (line for line in lines_that_need(Where.DEMO_ELSEWHERE) if line.page == page)
    addresses = {
        "GATEWAY": f"{gateway.NAMESPACE}/{gateway.NAME}",
        "GATEWAY_URL": cluster.gateway_url,
        "PROMETHEUS": cluster.prometheus_url,
        "PRESET": "contour",
    }
    text = line.text.replace("KUBECONFIG=FILE", f"KUBECONFIG={cluster.kubeconfig}")
    for name, address in addresses.items():
        text = re.sub(rf"\b{name}=\S+", f"{name}={address}", text)
    given = re.search(r' OPTIONS="(.*)"$', text)
    options = f"{given[1] if given else f'--rate {RATE}'} --image localhost/process --folder {folder} --yes"
    text = text.removesuffix(given[0] if given else "")
    return ["bash", "-c", f'cd {CHECKOUT} && {text} OPTIONS="{options}"']


def objects(admin: Kubectl) -> Sequence[str]:
    """Return everything in the cluster but what is in the operator's own namespace."""
    found = admin("get", _KINDS, "-A", "-o", f"jsonpath={_NAMES}").split()
    return sorted(one for one in found if not re.search(r"/serinus-[0-9a-f]{6}/", one))


async def test_every_claim_holds_and_nothing_is_left(
    cluster: Cluster, admin: Kubectl, operator_is_installed: None, tmp_path: Path
) -> None:
    before = objects(admin)
    async with typed(cluster, tmp_path, pasted(cluster, tmp_path, "README.md")) as demo:
        status = await ended(demo)
        said = output(demo)

    assert status == 0, said
    assert objects(admin) == before
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["ok"] is True
    assert [one["version"] for one in result["promoted"]] == ["2.3.0"]
    assert [one["version"] for one in result["rollbacks"]] == ["2.3.1", "2.3.2"]
    assert 0 < result["queriesPerTick"] <= 8
    assert "✔ operator: " in said
    assert "Everything held." in said
    assert "the namespace serinus-demo is gone" in said
    assert "serinus status fraud-detector -n serinus-demo; echo $?" in said


async def test_an_interrupted_demo_takes_its_namespace_with_it(
    cluster: Cluster, admin: Kubectl, operator_is_installed: None, tmp_path: Path
) -> None:
    before = objects(admin)
    staging = tmp_path / ".kube" / "staging"
    staging.parent.mkdir()
    shutil.copy(cluster.kubeconfig, staging)
    there = Kubectl(program=cluster.kubectl, kubeconfig=staging)
    there("config", "rename-context", there("config", "current-context").strip(), "staging-eu")
    async with typed(cluster, tmp_path, pasted(cluster, tmp_path, "docs/tutorial.md")) as demo:

        async def position() -> str:
            demo.check()
            return output(demo)

        await wait_for(position, lambda said: "canary · Analyzing" in said, within=_LONG, what="a canary")
        # As a terminal does: to make and to the demo.
        os.killpg(demo.process.pid, signal.SIGINT)
        status, said = await ended(demo), output(demo)

    # The status of the demo; make itself then ends by the signal.
    assert "demo] Error 130" in said
    assert status in (130, -signal.SIGINT)
    assert "the namespace serinus-demo is gone" in said
    assert objects(admin) == before


async def test_a_namespace_of_somebody_else_is_refused_and_left_alone(
    cluster: Cluster, admin: Kubectl, operator_is_installed: None, tmp_path: Path
) -> None:
    admin("create", "namespace", _NAMESPACE)
    try:
        before = objects(admin)
        async with the_demo(cluster, tmp_path, "--yes") as demo:
            status, said = await ended(demo), output(demo)

        assert status == NOT_READY, said
        assert "✖ namespace: the namespace serinus-demo exists, and no demo has made it" in said
        assert [line for line in said.splitlines() if "✖" in line and "namespace:" not in line] == []
        assert objects(admin) == before
    finally:
        admin("delete", "namespace", _NAMESPACE)


async def test_nothing_is_begun_where_something_is_missing(cluster: Cluster, admin: Kubectl, tmp_path: Path) -> None:
    before = objects(admin)
    words = ("--yes", "--gateway=projectcontour/nobody", "--gateway-url=http://gateway.invalid", "--source=thanos")
    async with the_demo(cluster, tmp_path, *words) as demo:
        status, said = await ended(demo), output(demo)

    assert status == NOT_READY, said
    for lack in (
        "gateway: there is no Gateway projectcontour/nobody",
        "gateway-url: http://gateway.invalid does not answer",
    ):
        assert f"✖ {lack}" in said
    assert objects(admin) == before
