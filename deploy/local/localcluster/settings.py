"""The settings of a local cluster, written once by the outermost process and read by all others."""

import json
import os
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from localcluster.addresses import OPERATOR_METRICS
from localcluster.errors import LocalClusterError

SOURCE_ROOT: Final = Path(__file__).resolve().parents[1]
CHECKOUT: Final = SOURCE_ROOT.parents[1]
STATE_VARIABLE: Final = "SERINUS_LOCAL_STATE"


class Feature(StrEnum):
    """A part of the cluster that can be left out."""

    GATEWAY = "gateway"
    PROMETHEUS = "prometheus"
    NODE = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one cluster.

    Attributes:
        state: The folder for everything that the cluster writes; every cluster needs its own.
        without: The features that are left out.
        scrape_interval: The scrape interval, in Prometheus' notation.
        extra_bounds: Whether Envoy's histograms get additional bucket bounds, among them 200 ms.
        audit: Whether the API server writes an audit log.
        operator_metrics: The address, as host:port, at which Prometheus scrapes the Serinus operator.
        images: A YAML file that maps container images to local commands, or None.
        emulate: The minor version of Kubernetes that the control plane behaves like, such as 1.35; empty for its own.
        api_server: The kube-apiserver to use instead of the usual one, such as an older release's, or None.
        api_server_flags: Further flags of the API server, such as feature gates.
    """

    state: Path
    without: frozenset[Feature] = frozenset()
    scrape_interval: str = "5s"
    extra_bounds: bool = True
    audit: bool = False
    operator_metrics: str = OPERATOR_METRICS
    images: Path | None = None
    emulate: str = ""
    api_server: Path | None = None
    api_server_flags: tuple[str, ...] = ()

    def has(self, feature: Feature) -> bool:
        """Return whether the cluster has this feature."""
        return feature not in self.without

    @property
    def file(self) -> Path:
        """The file with the settings."""
        return self.state / "settings.json"

    @property
    def logs(self) -> Path:
        """The folder with one log file per part."""
        return self.state / "logs"

    @property
    def programs(self) -> Path:
        """The folder with links to every program of the cluster."""
        return self.state / "bin"

    def kubeconfig(self, user: str = "admin") -> Path:
        """Return the path of a user's kubeconfig."""
        return self.state / "kubeconfig" / user

    def save(self) -> None:
        """Write the settings to their file."""
        raw = asdict(self) | {"state": str(self.state), "without": sorted(self.without)}
        raw |= {name: str(raw[name]) if raw[name] else None for name in ("images", "api_server")}
        self.file.write_text(json.dumps(raw, indent=2), encoding="utf-8")

    @classmethod
    def load(cls, state: Path) -> Self:
        """Read the settings of the cluster in a state folder.

        Raises:
            LocalClusterError: There is no cluster in that folder.
        """
        file = state / "settings.json"
        if not file.exists():
            raise LocalClusterError(f"no local cluster in {state}: start one by `python -m localcluster up`")
        raw = json.loads(file.read_text(encoding="utf-8"))
        raw["without"] = frozenset(Feature(name) for name in raw["without"])
        raw |= {name: Path(raw[name]) if raw[name] else None for name in ("images", "api_server")}
        raw["api_server_flags"] = tuple(raw["api_server_flags"])
        return replace(cls(**raw), state=state)


def default_state() -> Path:
    """Return the default state folder: that of the surrounding cluster, else `.local/`."""
    current = os.environ.get(STATE_VARIABLE)
    return Path(current).resolve() if current else CHECKOUT / ".local"


def cache_folder() -> Path:
    """Return the folder for built and fetched programs, outside any checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "serinus" / "local"
