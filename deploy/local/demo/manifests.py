"""The demo's manifests: the YAML templates of ``manifests/``, filled in for each version."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from demo.behaviour import Behaviour
from demo.fraud import train
from demo.portable.server import MODEL, PORT
from demo.settings import DemoSettings
from serinus.api.names import model_version_name

HOSTNAME: Final = "fraud.demo.local"

_TEMPLATES: Final = Path(__file__).with_name("manifests")


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


STABLE: Final = Version("2.2.4", "What served before the demo started.", Behaviour())
GOOD: Final = Version("2.3.0", "Retrained on October.", Behaviour())
# Both pass the tests of staging: the first requests are served normally.
SLOW: Final = Version(
    "2.3.1", "Looks up merchant features per request.", Behaviour(latency_seconds=0.45, after_requests=30)
)
FAILING: Final = Version("2.3.2", "Caches merchant features.", Behaviour(failing_share=0.2, after_requests=30))
VERSIONS: Final = (STABLE, GOOD, SLOW, FAILING)


def version(described: Version, settings: DemoSettings) -> str:
    """Return the Deployment, Service and ModelVersion of a version."""
    model = train(described.number)
    digest = hashlib.sha256(repr(model.weights).encode()).hexdigest()
    own = {"version": described.number, "backend": described.backend, "changes": described.changes}
    own |= {"auc": str(model.auc), "digest": digest}
    arguments = ["--version", described.number, "--port", str(PORT)]
    arguments += [] if settings.programs.trains else ["--weights", json.dumps(model.weights)]
    own["arguments"] = json.dumps(arguments + _arguments(described.behaviour))
    return _fill("version.yaml", settings, own)


def route(first: Version, settings: DemoSettings) -> str:
    """Return the team's HTTPRoute, with all traffic to one version."""
    return _fill("route.yaml", settings, {"backend": first.backend})


def rollout(desired: Version, settings: DemoSettings) -> str:
    """Return the Rollout with this desired version."""
    return _fill("rollout.yaml", settings, {"version": desired.number})


def _arguments(behaviour: Behaviour) -> list[str]:
    options = {
        "--latency-under-traffic": behaviour.latency_seconds,
        "--failing-share": behaviour.failing_share,
        "--after-requests": behaviour.after_requests,
    }
    return [word for name, value in options.items() if value for word in (name, str(value))]


def _fill(name: str, settings: DemoSettings, own: Mapping[str, str]) -> str:
    programs, pace = settings.programs, settings.pace
    common = {
        "namespace": settings.namespace,
        "model": MODEL,
        "hostname": settings.hostname,
        "port": str(PORT),
        "gateway": settings.gateway.name,
        "gatewayNamespace": settings.gateway.namespace,
        "preset": settings.preset,
        "source": settings.source,
        "image": programs.image,
        "server": json.dumps(programs.server),
        "serverEnvironment": json.dumps(programs.server_environment),
        "contract": json.dumps(programs.contract),
        "contractEnvironment": json.dumps(programs.contract_environment),
        "canary": f"{pace.canary}s",
        "bake": f"{pace.bake}s",
        "stage": f"{pace.stage}s",
    }
    return fill(name, common | dict(own))


def fill(name: str, values: Mapping[str, str]) -> str:
    """Return a template with its values."""
    # substitute() raises KeyError for a missing value, so that no field is left empty.
    return Template(_TEMPLATES.joinpath(name).read_text(encoding="utf-8")).substitute(values)
