"""Whoever takes part in the demo has no more rights than in production: the chart's roles, policies and accounts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from demo.cluster import Kubectl
from demo.errors import CouldNotAskError, DemoError
from demo.observe import wait_for
from demo.operatorprocess import LEASE_NAMESPACE
from demo.stagehand import stamped
from localcluster.client import Cluster
from localcluster.settings import CHECKOUT

NAMESPACE: Final = "demo"
TEAM: Final = "developer"
"""A user of the local cluster, in the group ``ml-team``."""

_BASE: Final = CHECKOUT / "deploy/kustomize/base"
_ACCOUNT: Final = "serinus"
_READY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who acts in the demo.

    Attributes:
        team: the data scientists, who may edit what is in the demo's namespace.
        operator: the environment of the operator: the kubeconfig of its ServiceAccount.
    """

    team: Kubectl
    operator: Mapping[str, str]


async def install(cluster: Cluster, admin: Kubectl, folder: Path) -> Accounts:
    """Apply the chart's roles and policies, and wait until the API server goes by them.

    Raises:
        DemoError: the API server refused something, or did not stamp who acts in time.
    """
    for name in ("namespace", "rbac", "people", "policies"):
        await admin.apply((_BASE / f"{name}.yaml").read_text(encoding="utf-8"))
    documents = yaml.safe_load_all((_BASE / "operator.yaml").read_text(encoding="utf-8"))
    await admin.apply(yaml.safe_dump_all(one for one in documents if one["kind"] == "ServiceAccount"))
    await admin.apply(json.dumps(_team_may_edit()))
    environment = cluster.environment()
    team = Kubectl(cluster.kubectl, {**environment, "KUBECONFIG": str(cluster.kubeconfig_of(TEAM))})
    await _await_stamp(team)
    file = await _kubeconfig_of_operator(admin, folder)
    return Accounts(team, {**environment, "KUBECONFIG": str(file)})


def _team_may_edit() -> dict[str, object]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ml-team", "namespace": NAMESPACE},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "ml-team"}],
    }


async def _await_stamp(team: Kubectl) -> None:
    """Wait until the team may edit, and what it writes bears its name: both take the API server a moment."""

    async def read() -> str:
        try:
            return await stamped(team, NAMESPACE)
        except DemoError as problem:
            raise CouldNotAskError(str(problem)) from problem

    await wait_for(read, lambda name: name == TEAM, within=_READY_SECONDS, what=f"the stamp of {TEAM}")


async def _kubeconfig_of_operator(admin: Kubectl, folder: Path) -> Path:
    config = json.loads(await admin.run(["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]))
    token = (await admin.run(["create", "token", _ACCOUNT, "-n", LEASE_NAMESPACE, "--duration", "1h"])).strip()
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    file = folder / "operator.kubeconfig"
    file.touch(mode=0o600)
    file.write_text(json.dumps(config), encoding="utf-8")
    return file
