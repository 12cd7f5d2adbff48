"""The client of a running local cluster, for programs and tests."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from localcluster import control
from localcluster.addresses import API_URL, ENVOY_ADMIN_URL, GATEWAY_URL, PROMETHEUS_URL
from localcluster.settings import STATE_VARIABLE, Settings, default_state


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster, identified by its state folder.

    Its addresses can be reached from inside its namespaces only: under `localcluster run` or `localcluster exec`.
    """

    state: Path

    @classmethod
    def current(cls) -> Self:
        """Return the cluster in which this process runs, else the one in the checkout's `.local/`.

        Raises:
            LocalClusterError: No cluster runs there.
        """
        cluster = cls(default_state())
        cluster.parts()
        return cluster

    @property
    def settings(self) -> Settings:
        """The settings of the cluster.

        Raises:
            LocalClusterError: There is no cluster.
        """
        return Settings.load(self.state)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the user `admin`."""
        return self.kubeconfig_of("admin")

    def kubeconfig_of(self, user: str) -> Path:
        """Return the kubeconfig of a user: admin, developer (group ml-team) or auditor (group audit-team)."""
        return self.state / "kubeconfig" / user

    @property
    def kubectl(self) -> Path:
        """The kubectl whose version fits the server."""
        return self.state / "bin" / "kubectl"

    @property
    def api_url(self) -> str:
        """The address of the API server."""
        return API_URL

    @property
    def gateway_url(self) -> str:
        """The URL of the gateway."""
        return GATEWAY_URL

    @property
    def prometheus_url(self) -> str:
        """The URL of Prometheus."""
        return PROMETHEUS_URL

    @property
    def envoy_admin_url(self) -> str:
        """The URL of Envoy's admin pages: /stats, /clusters, /config_dump."""
        return ENVOY_ADMIN_URL

    def parts(self) -> dict[str, str]:
        """Return the state of each part by name.

        Raises:
            LocalClusterError: No cluster runs there.
        """
        parts: dict[str, str] = control.ask(self.state, {"do": "status"})["parts"]
        return parts

    def stop(self, name: str) -> None:
        """Stop a part and wait until it has exited.

        Raises:
            LocalClusterError: There is no such part.
        """
        control.ask(self.state, {"do": "stop", "name": name})

    def start(self, name: str) -> None:
        """Start a stopped part and wait until it is ready.

        Raises:
            LocalClusterError: There is no such part, or it does not become ready.
        """
        control.ask(self.state, {"do": "start", "name": name})

    def restart(self, name: str) -> None:
        """Stop and start a part and wait until it is ready.

        Raises:
            LocalClusterError: There is no such part, or it does not become ready.
        """
        self.stop(name)
        self.start(name)

    def signal(self, name: str, signal: str) -> None:
        """Send a signal to a part, such as STOP to pause it and CONT to resume it.

        Raises:
            LocalClusterError: There is no such part or signal.
        """
        control.ask(self.state, {"do": "signal", "name": name, "signal": signal})

    def pause(self, name: str) -> None:
        """Freeze a part: it keeps its connections but does not respond.

        Raises:
            LocalClusterError: There is no such part.
        """
        self.signal(name, "STOP")

    def resume(self, name: str) -> None:
        """Resume a frozen part.

        Raises:
            LocalClusterError: There is no such part.
        """
        self.signal(name, "CONT")

    def log(self, name: str) -> Path:
        """Return the path of a part's log."""
        return self.state / "logs" / f"{name}.log"

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment for a program that uses this cluster, based on another, by default this process's."""
        variables = dict(os.environ if base is None else base)
        programs = str(self.state / "bin")
        path = variables.get("PATH", os.defpath)
        return variables | {
            STATE_VARIABLE: str(self.state),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": path if path.split(":", 1)[0] == programs else f"{programs}:{path}",
            "SERINUS_LOCAL_GATEWAY_URL": self.gateway_url,
            "SERINUS_LOCAL_PROMETHEUS_URL": self.prometheus_url,
        }
