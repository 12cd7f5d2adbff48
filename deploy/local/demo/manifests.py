"""The demo's manifests: the YAML templates of ``manifests/``, filled in for each version."""

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
    """One version of the model and the behaviour of its server."""

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
        """The name of its Service in Envoy's metrics, as set by Contour."""
        return f"{NAMESPACE}_{self.backend}_{PORT}"


STABLE: Final = Version("2.2.4", "What served before the demo started.", Behaviour())
GOOD: Final = Version("2.3.0", "Retrained on October.", Behaviour())
# Both pass the tests of staging: the first requests are served normally.
SLOW: Final = Version(
    "2.3.1", "Looks up merchant features per request.", Behaviour(latency_seconds=0.45, after_requests=30)
)
FAILING: Final = Version("2.3.2", "Caches merchant features.", Behaviour(failing_share=0.2, after_requests=30))
VERSIONS: Final = (STABLE, GOOD, SLOW, FAILING)


def namespaces() -> str:
    """Return the Namespaces of the demo and of the operator."""
    return fill("namespace.yaml", {})


def version(described: Version) -> str:
    """Return the Deployment, Service and ModelVersion of a version."""
    model = train(described.number)
    digest = hashlib.sha256(repr(model.weights).encode()).hexdigest()
    own = {"version": described.number, "backend": described.backend, "changes": described.changes}
    own |= {"auc": str(model.auc), "digest": digest, "arguments": _arguments(described.behaviour)}
    return fill("version.yaml", own)


def route(first: Version) -> str:
    """Return the team's HTTPRoute, with all traffic to one version."""
    return fill("route.yaml", {"backend": first.backend})


def rollout(desired: Version) -> str:
    """Return the Rollout with this desired version."""
    return fill("rollout.yaml", {"version": desired.number})


def _arguments(behaviour: Behaviour) -> str:
    options = {
        "--latency-under-traffic": behaviour.latency_seconds,
        "--failing-share": behaviour.failing_share,
        "--after-requests": behaviour.after_requests,
    }
    return "".join(f', "{name}", "{value}"' for name, value in options.items() if value)


def fill(name: str, own: Mapping[str, str]) -> str:
    """Return a template with its values: those of the whole demo, and over them ``own``."""
    common = {
        "namespace": NAMESPACE,
        "model": MODEL,
        "hostname": HOSTNAME,
        "port": str(PORT),
        "gateway": gateway.NAME,
        "gatewayNamespace": gateway.NAMESPACE,
        "python": sys.executable,
        "sources": str(_SOURCES),
    }
    # substitute() raises KeyError for a missing value, so that no field is left empty.
    return Template(_TEMPLATES.joinpath(name).read_text(encoding="utf-8")).substitute(common, **own)
