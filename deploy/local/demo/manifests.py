"""What the demo applies: the YAML files of ``manifests/`` with each version's own values filled in."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from demo.behaviour import Behaviour
from demo.fraud import MODEL, train
from demo.modelserver import PORT
from localcluster.parts import gateway
from serinus.api.names import model_version_name

NAMESPACE: Final = "demo"
HOSTNAME: Final = "fraud.demo.local"

_TEMPLATES: Final = Path(__file__).with_name("manifests")
_SOURCES: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the model and how its server behaves."""

    number: str
    changes: str
    behaviour: Behaviour

    @property
    def backend(self) -> str:
        """The name of its Deployment and Service."""
        return f"{MODEL}-v{self.number.replace('.', '-')}"

    @property
    def object_name(self) -> str:
        """The name of its ModelVersion."""
        return model_version_name(MODEL, self.number)

    @property
    def envoy_cluster(self) -> str:
        """What Contour calls its Service in Envoy's metrics."""
        return f"{NAMESPACE}_{self.backend}_{PORT}"


STABLE: Final = Version("2.2.4", "What served before the demo began.", Behaviour())
GOOD: Final = Version("2.3.0", "Retrained on October.", Behaviour())
# Both pass the tests of staging: the first requests are answered at once and well.
SLOW: Final = Version(
    "2.3.1", "Looks up merchant features per request.", Behaviour(latency_seconds=0.45, after_requests=30)
)
FAILING: Final = Version("2.3.2", "Caches merchant features.", Behaviour(failing_share=0.2, after_requests=30))
VERSIONS: Final = (STABLE, GOOD, SLOW, FAILING)


def namespaces() -> str:
    """Return the demo's Namespace and the operator's."""
    return _fill("namespace.yaml", {})


def version(described: Version) -> str:
    """Return the Deployment, Service and ModelVersion of a version."""
    model = train(described.number)
    digest = hashlib.sha256(repr(model.weights).encode()).hexdigest()
    own = {"version": described.number, "backend": described.backend, "changes": described.changes}
    own |= {"auc": str(model.auc), "digest": digest, "arguments": _arguments(described.behaviour)}
    return _fill("version.yaml", own)


def route(first: Version) -> str:
    """Return the HTTPRoute as the team wrote it: all traffic to one version."""
    return _fill("route.yaml", {"backend": first.backend})


def rollout(wanted: Version) -> str:
    """Return the Rollout that wants this version."""
    return _fill("rollout.yaml", {"version": wanted.number})


def _arguments(behaviour: Behaviour) -> str:
    given = {
        "--latency-under-traffic": behaviour.latency_seconds,
        "--failing-share": behaviour.failing_share,
        "--after-requests": behaviour.after_requests,
    }
    return "".join(f', "{name}", "{value}"' for name, value in given.items() if value)


def _fill(name: str, own: Mapping[str, str]) -> str:
    # A missing value is a KeyError here, never an empty field in the cluster.
    return Template(_TEMPLATES.joinpath(name).read_text(encoding="utf-8")).substitute(
        own,
        namespace=NAMESPACE,
        model=MODEL,
        hostname=HOSTNAME,
        port=str(PORT),
        gateway=gateway.NAME,
        gatewayNamespace=gateway.NAMESPACE,
        python=sys.executable,
        sources=str(_SOURCES),
    )
