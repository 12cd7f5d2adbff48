"""A running local cluster as programs and tests see it."""

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
    """One running cluster, named by its state folder.

    Its addresses are reached from inside its namespaces only: under `localcluster run` or `localcluster exec`.
    """

    state: Path

    @classmethod
    def current(cls) -> Self:
        """Give the cluster around this process, else the one in the checkout's `.local/`.

        Raises:
            LocalClusterError: No cluster runs there.
        """
        cluster = cls(default_state())
        cluster.parts()
        return cluster

    @property
    def settings(self) -> Settings:
        """How the cluster was made.

        Raises:
            LocalClusterError: There is none.
        """
        return Settings.load(self.state)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the user `admin`."""
        return self.kubeconfig_of("admin")

    def kubeconfig_of(self, user: str) -> Path:
        """Where the kubeconfig of a user is: admin, developer (group ml-team), auditor (group audit-team)."""
        return self.state / "kubeconfig" / user

    @property
    def kubectl(self) -> Path:
        """The kubectl that fits the server."""
        return self.state / "bin" / "kubectl"

    @property
    def api_url(self) -> str:
        """The address of the API server."""
        return API_URL

    @property
    def gateway_url(self) -> str:
        """Where clients reach what HTTPRoutes route."""
        return GATEWAY_URL

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus answers."""
        return PROMETHEUS_URL

    @property
    def envoy_admin_url(self) -> str:
        """Where Envoy's own pages are: /stats, /clusters, /config_dump."""
        return ENVOY_ADMIN_URL

    def parts(self) -> dict[str, str]:
        """Say of each part by name whether it runs.

        Raises:
            LocalClusterError: No cluster runs there.
        """
        parts: dict[str, str] = control.ask(self.state, {"do": "status"})["parts"]
        return parts

    def stop(self, name: str) -> None:
        """End a part and wait until it is gone.

        Raises:
            LocalClusterError: There is no such part.
        """
        control.ask(self.state, {"do": "stop", "name": name})

    def start(self, name: str) -> None:
        """Start a part again and wait until it works.

        Raises:
            LocalClusterError: There is no such part, or it does not get ready.
        """
        control.ask(self.state, {"do": "start", "name": name})

    def restart(self, name: str) -> None:
        """End a part, start it again and wait until it works.

        Raises:
            LocalClusterError: There is no such part, or it does not get ready.
        """
        self.stop(name)
        self.start(name)

    def signal(self, name: str, signal: str) -> None:
        """Send a part a signal, such as STOP to pause it and CONT to let it go on.

        Raises:
            LocalClusterError: There is no such part or signal.
        """
        control.ask(self.state, {"do": "signal", "name": name, "signal": signal})

    def pause(self, name: str) -> None:
        """Freeze a part: it keeps its connections and answers nothing.

        Raises:
            LocalClusterError: There is no such part.
        """
        self.signal(name, "STOP")

    def resume(self, name: str) -> None:
        """Let a frozen part go on.

        Raises:
            LocalClusterError: There is no such part.
        """
        self.signal(name, "CONT")

    def log(self, name: str) -> Path:
        """Where the log of a part is."""
        return self.state / "logs" / f"{name}.log"

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Give the variables for a program that works with this cluster, on top of others, by default one's own."""
        given = dict(os.environ if base is None else base)
        programs = str(self.state / "bin")
        path = given.get("PATH", os.defpath)
        return given | {
            STATE_VARIABLE: str(self.state),
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": path if path.split(":", 1)[0] == programs else f"{programs}:{path}",
            "SERINUS_LOCAL_GATEWAY_URL": self.gateway_url,
            "SERINUS_LOCAL_PROMETHEUS_URL": self.prometheus_url,
        }
