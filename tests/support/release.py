"""The chart installed by Helm into a real cluster, and what its operator may do there."""

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from localcluster.client import Cluster
from serinus.api.names import REQUESTED_BY_ANNOTATION
from support.helm import Helm, find_helm
from support.kubectl import Kubectl
from support.manifests.builders import Manifest, rollout

CHART: Final = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "serinus"
SOURCE: Final = "--set=config.sources.default.url=http://prometheus.example"
"""The one value that the chart cannot do without."""

_PATIENCE: Final = 120.0
_PAUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource, such as ``patch rollouts.serinus.dev/status``."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As a person would write it."""
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {kind}{'/' if self.subresource else ''}{self.subresource} {self.name}".strip()


@dataclass(frozen=True, slots=True)
class Release:
    """An installed release in a namespace of its own, both of one name."""

    helm: Helm
    admin: Kubectl
    name: str

    @property
    def account(self) -> str:
        """The operator's user name."""
        return f"system:serviceaccount:{self.name}:{self.name}"

    def allowed(self, rights: Sequence[Right], namespace: str) -> list[Right]:
        """Return those of the rights that the operator has in a namespace; in the whole cluster where it is empty."""
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{self.name}", "system:authenticated")
        return allowed(self.admin, self.account, groups, rights, namespace)

    def kubeconfig(self, file: Path) -> Path:
        """Write a kubeconfig with the operator's own token into a file and return it."""
        config = self.admin.json("config", "view", "--raw", "--minify", "--flatten")
        token = self.admin.within(self.name)("create", "token", self.name).strip()
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        file.write_text(json.dumps(config), encoding="utf-8")
        return file

    def patch(self, path: str, *operations: Mapping[str, object]) -> tuple[int, str]:
        """Send a JSON Patch with the operator's own token; return the HTTP status and the API server's sentence."""
        cluster = self.admin.json("config", "view", "--raw", "--minify")["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        token = self.admin.within(self.name)("create", "token", self.name).strip()
        request = urllib.request.Request(  # noqa: S310 - the address is the kubeconfig's
            cluster["server"] + path,
            data=json.dumps(operations).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json-patch+json"},
            method="PATCH",
        )
        # The cluster is in this network namespace: a proxy of the environment knows nothing of it.
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cadata=authority))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, ""
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.load(refusal)["message"]


def allowed(admin: Kubectl, user: str, groups: Sequence[str], rights: Sequence[Right], namespace: str) -> list[Right]:
    """Return those of the rights that the API server would give a user, asked in one request each."""
    reviews = [_review(user, groups, right, namespace) for right in rights]
    answers = admin("create", "-f", "-", "-o", 'jsonpath={.status.allowed}{"\\n"}', given=reviews).split()
    return [right for right, answer in zip(rights, answers, strict=True) if answer == "true"]


def _review(user: str, groups: Sequence[str], right: Right, namespace: str) -> Manifest:
    asked = {
        "namespace": namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "subresource": right.subresource,
        "name": right.name,
    }
    spec = {"user": user, "groups": list(groups), "resourceAttributes": asked}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


@contextmanager
def installed(admin: Kubectl, *options: str) -> Iterator[Release]:
    """Install the chart for a while.

    Args:
        admin: who installs it.
        options: further options of ``helm install``. The CRDs are left out unless they say otherwise.
    """
    name = f"serinus-{uuid.uuid4().hex[:6]}"
    release = Release(find_helm(), admin, name)
    admin("create", "-f", "-", given=_restricted(name))
    settings = (SOURCE, "--set=crds.install=false", *options)
    run = release.helm.run
    try:
        run("install", name, str(CHART), f"--namespace={name}", *settings, kubeconfig=admin.kubeconfig)
        yield release
    finally:
        # What the release has outside of its namespace must not outlive it, nor a test that failed.
        run("uninstall", name, f"--namespace={name}", "--ignore-not-found", kubeconfig=admin.kubeconfig)
        admin("delete", "namespace", name, "--wait=false")


def measured_by(cluster: Cluster) -> tuple[str, ...]:
    """Return the values of the chart that have its operator ask the cluster's own Prometheus."""
    source = "config.sources.default"
    return (
        f"--set={source}.url={cluster.prometheus_url}",
        f"--set={source}.scrapeInterval={cluster.settings.scrape_interval}",
    )


def _restricted(name: str) -> Manifest:
    """Return a namespace that admits restricted pods only."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def until_the_api_server_stamps(user: Kubectl, *, wanted: bool) -> None:
    """Wait until a new Rollout gets its asker, or no longer gets it: the API server takes policies a little later.

    Raises:
        AssertionError: it did not come so.
    """
    deadline = time.monotonic() + _PATIENCE
    while _stamps(user) != wanted:
        assert time.monotonic() < deadline, f"the actor stamp is not {'on' if wanted else 'off'} after {_PATIENCE} s"
        time.sleep(_PAUSE)


def _stamps(user: Kubectl) -> bool:
    return (
        asker(user.json("create", "--dry-run=server", "-f", "-", given=rollout({"metadata.name": "probe"}))) is not None
    )


def asker(stored: dict[str, Any]) -> str | None:
    """Return who is stamped into an object, if anybody is."""
    found: str | None = stored["metadata"].get("annotations", {}).get(REQUESTED_BY_ANNOTATION)
    return found
