"""The chart with its own image on real nodes, and what an administrator does with it by Helm and kubectl."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from localcluster.client import Cluster
from support.image.result import SERINUS
from support.kubectl import Kubectl
from support.localcluster import eventually
from support.release import CHART, Release, installed, measured_by


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed chart.

    Attributes:
        release: its release.
        options: the values that it was installed with, besides those of every test.
    """

    release: Release
    options: Sequence[str]

    @property
    def here(self) -> Kubectl:
        """Kubectl in its namespace."""
        return self.release.admin.within(self.release.name)

    def helm(self, *words: str) -> str:
        """Run Helm in its namespace and return what it printed; HelmError where it failed."""
        return self.release.helm.run(
            *words, f"--namespace={self.release.name}", kubeconfig=self.release.admin.kubeconfig
        )

    def upgrade(self, *options: str) -> None:
        """Change values."""
        self.helm("upgrade", self.release.name, str(CHART), "--reset-then-reuse-values", *options)

    def install_again(self) -> None:
        """Install it after ``helm uninstall``."""
        self.helm("install", self.release.name, str(CHART), *self.options)

    def pods(self) -> list[dict[str, Any]]:
        """Return its pods, without those that are ending."""
        found = self.here.json("get", "pods", "-l", "app.kubernetes.io/name=serinus")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def leader(self) -> str:
        """Return the name of the pod that leads; empty where none does."""
        found = self.here.json("get", "leases")["items"]
        # A process adds a suffix of its own.
        holders = {(lease["spec"].get("holderIdentity") or "").rpartition("_")[0] for lease in found}
        return next((pod["metadata"]["name"] for pod in self.pods() if pod["metadata"]["name"] in holders), "")

    def until_ready(self) -> None:
        """Wait until the pods of the newest values are ready and one of them leads."""
        self.here("rollout", "status", f"deployment/{self.release.name}", "--timeout=50s")
        eventually(self.leader, why="a leader")


@contextmanager
def installation(cluster: Cluster, admin: Kubectl) -> Iterator[Installation]:
    """Install the chart with the image of the archive for a while, ready."""
    repository, _, _ = SERINUS.rpartition(":")
    options = (
        *measured_by(cluster),
        f"--set=image.repository={repository}",
        "--set=image.pullPolicy=Never",
    )
    with installed(admin, *options) as release:
        found = Installation(release, ("--set=crds.install=false", *options))
        found.until_ready()
        yield found
