"""A team that keeps the quickstart's model in Git and lets Argo CD apply it."""

import copy
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from demo.observe import wait_for
from localcluster.parts import gateway
from localcluster.settings import CHECKOUT
from support.argo_cd.installation import FILES, NAMESPACE, ArgoCd
from support.argo_cd.repository import Manifest, Repository
from support.e2e.place import LONG, Place

NAME: Final = "fraud-detector"
FOLDER: Final = "deploy"
ROUTE, ROLLOUT, SERVERS, VERSIONS = (
    f"{FOLDER}/{name}.yaml" for name in ("20-route", "40-rollout", "10-servers", "30-versions")
)

_QUICKSTART: Final = CHECKOUT / "examples" / "quickstart"
_LIMITS: Final = ["error_rate > 0.5%"]
_APPLICATIONS: Final = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
_LOCAL: Final = CHECKOUT / "deploy" / "local"


@dataclass(frozen=True, slots=True)
class Team:
    """A namespace, a repository and an application.

    Attributes:
        place: the namespace, and what one sees in it.
        argo: Argo CD.
        repository: what Git has.
        application: the manifest of the application.
    """

    place: Place
    argo: ArgoCd
    repository: Repository
    application: Manifest

    @property
    def name(self) -> str:
        """The name of the application."""
        return str(self.application["metadata"]["name"])

    def manifests(self, file: str) -> list[Manifest]:
        """Return the manifests that Git has in a file."""
        text = (self.repository.folder / file).read_text(encoding="utf-8")
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]

    async def commit(self, message: str, files: Mapping[str, Sequence[Manifest] | None]) -> str:
        """Commit these files and tell Argo CD, as a webhook would; return the commit's hash."""
        revision = self.repository.commit(message, files)
        await self.refresh()
        return revision

    def with_version(self, version: str) -> dict[str, list[Manifest]]:
        """Return the Rollout's file with another version."""
        (rollout,) = self.manifests(ROLLOUT)
        rollout["spec"]["version"] = version
        return {ROLLOUT: [rollout]}

    async def start(self) -> None:
        """Create the application."""
        await self.place.api.request("POST", _APPLICATIONS, self.application)

    async def delete(self) -> None:
        """Delete the application; what it applied stays."""
        await self.place.api.request("DELETE", f"{_APPLICATIONS}/{self.name}")

    async def refresh(self) -> None:
        """Let Argo CD compare with Git now, as a webhook of the Git server would."""
        await self.change({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}})

    async def change(self, change: Manifest) -> None:
        """Change the application."""
        await self.place.api.merge(f"{_APPLICATIONS}/{self.name}", change)

    async def seen(self) -> Manifest:
        """Return the application as it is in the cluster."""
        return await self.place.api.request("GET", f"{_APPLICATIONS}/{self.name}")

    async def until(self, sync: str, health: str, *, revision: str) -> Manifest:
        """Wait until the application is compared with a commit, is not syncing, and has this status and health."""

        def fits(seen: Manifest) -> bool:
            status = seen.get("status", {})
            return (
                status.get("sync", {}).get("revision") == revision
                and (status["sync"]["status"], status.get("health", {}).get("status")) == (sync, health)
                and status.get("operationState", {}).get("phase", "Succeeded") == "Succeeded"
                and "operation" not in seen
            )

        what = f"{sync} and {health} at {revision[:7]}"
        return await wait_for(self.seen, fits, within=LONG, what=what, describe=_describe, every=0.3)


def _describe(application: Manifest) -> str:
    status = application.get("status", {})
    return json.dumps({key: status.get(key) for key in ("sync", "health", "conditions", "operationState")})[:3000]


def quickstart(place: Place) -> dict[str, list[Manifest]]:
    """Return the files of examples/quickstart for the local gateway and servers, with shorter stages."""
    files: dict[str, list[Manifest]] = {}
    for path in sorted(_QUICKSTART.glob("*.yaml")):
        documents = yaml.safe_load_all(path.read_text(encoding="utf-8"))
        files[f"{FOLDER}/{path.name}"] = [_local(document, place) for document in documents]
    return files


def another(version: str, *, failing: float = 0.0) -> dict[str, list[Manifest]]:
    """Return a file with the servers, the Service and the ModelVersion of another version."""
    manifests: list[Manifest] = []
    for name in ("10-servers.yaml", "30-versions.yaml"):
        text = (_QUICKSTART / name).read_text(encoding="utf-8")
        first = [one for one in yaml.safe_load_all(text) if "2-2-4" in one["metadata"]["name"].replace(".", "-")]
        renamed = yaml.safe_dump_all(first).replace("2.2.4", version).replace("2-2-4", version.replace(".", "-"))
        manifests += [_local(one, None, failing=failing) for one in yaml.safe_load_all(renamed)]
    return {f"{FOLDER}/{version}.yaml": manifests}


def _local(manifest: Manifest, place: Place | None, *, failing: float = 0.0) -> Manifest:
    changed = copy.deepcopy(manifest)
    match changed["kind"]:
        case "Deployment":
            _serve_locally(changed, failing)
        case "HTTPRoute" if place is not None:
            changed["spec"]["hostnames"] = [place.hostname]
            changed["spec"]["parentRefs"][0] |= {"name": gateway.NAME, "namespace": gateway.NAMESPACE}
        case "Rollout":
            _, canary, production = changed["spec"]["stages"]
            # Without the limit of latency, which a busy machine breaks by itself.
            canary |= {"duration": "20s", "minRequests": 20, "burst": 1, "abortOn": _LIMITS}
            production |= {"bake": "3s", "minRequests": 50, "burst": 1, "abortOn": _LIMITS}
        case _:
            pass
    return changed


def _serve_locally(deployment: Manifest, failing: float) -> None:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    version = container["image"].rpartition(":")[2]
    command = [sys.executable, "-P", "-m", "demo.modelserver", "--version", version]
    container |= {
        "image": "localhost/process",
        "command": [*command, "--failing-share", f"{failing:g}"],
        "env": [{"name": "PYTHONPATH", "value": str(_LOCAL)}],
    }
    deployment["spec"]["replicas"] = 1


def application(place: Place, repository: Repository) -> dict[str, Any]:
    """Return deploy/argocd/application.yaml for a namespace and a repository."""
    manifest: Manifest = yaml.safe_load((FILES / "application.yaml").read_text(encoding="utf-8"))
    manifest["metadata"]["name"] = place.namespace
    manifest["spec"]["source"]["repoURL"] = repository.url
    manifest["spec"]["destination"]["namespace"] = place.namespace
    return manifest
