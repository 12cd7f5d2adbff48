"""The operator as a process with the account, the rights and the settings that an installed chart gives it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from demo.operatorprocess import OperatorSetup
from localcluster.addresses import OPERATOR_METRICS
from localcluster.client import Cluster
from support.e2e.fixtures import program_environment
from support.e2e.operator import OperatorControl, setup_in
from support.release import Release
from support.rights import EVERY_ACCOUNT


def installed_operator(cluster: Cluster, release: Release, folder: Path) -> OperatorControl:
    """Return an operator that is not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = program_environment(cluster) | {"KUBECONFIG": str(release.kubeconfig(folder / "kubeconfig"))}
    here = release.admin.within(release.name)
    settings = here("get", "configmap", release.name, "-o", "jsonpath={.data.config\\.yaml}")
    return OperatorControl(environment, _with_settings(setup_in(cluster), yaml.safe_load(settings)), folder)


def _with_settings(setup: OperatorSetup, settings: Mapping[str, Any]) -> OperatorSetup:
    """Return a setup with the chart's own settings, but the addresses of this process."""
    host, _, port = OPERATOR_METRICS.rpartition(":")
    own = {"identity": "tried", "httpHost": host, "httpPort": int(port)}
    return OperatorSetup(
        prometheus_url=setup.prometheus_url,
        scrape_interval_seconds=setup.scrape_interval_seconds,
        identity="tried",
        leader_election=True,
        settings={**settings, **own},
    )


def groups_of(release: Release) -> tuple[str, ...]:
    """Return the groups that the API server adds to the operator's account."""
    return (f"system:serviceaccounts:{release.name}", *EVERY_ACCOUNT)
