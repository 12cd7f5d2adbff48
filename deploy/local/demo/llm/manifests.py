"""The manifests of the language model, filled in for each version."""

import hashlib
import sys
from dataclasses import dataclass
from typing import Final

from demo.llm.server import MODEL, PORT, Pace
from demo.local.rights import NAMESPACE
from demo.local.stage import SOURCES
from demo.manifests import fill
from localcluster.parts import gateway

HOSTNAME: Final = "helpdesk.demo.local"
_FAST: Final = Pace()


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the model and how fast its server answers."""

    number: str
    changes: str
    pace: Pace = _FAST

    @property
    def backend(self) -> str:
        """The name of its Deployment and Service."""
        return f"{MODEL}-v{self.number.replace('.', '-')}"


STABLE: Final = Version("1.0.0", "What served before the demo started.")
GOOD: Final = Version("1.1.0", "Tuned on the tickets of October.")
# The test of staging sees fast answers.
SLOW: Final = Version("1.2.0", "A longer system prompt, without the prefix cache.", Pace(late=1.5, after=5))
VERSIONS: Final = (STABLE, GOOD, SLOW)


def version(described: Version) -> str:
    """Return the Deployment, Service and ModelVersion of a version."""
    pace = described.pace
    options = f', "--late-first-token", "{pace.late}", "--after-requests", "{pace.after}"' if pace != _FAST else ""
    own = {"version": described.number, "backend": described.backend, "changes": described.changes}
    own |= {"digest": hashlib.sha256(described.number.encode()).hexdigest(), "arguments": options}
    return _fill("version", own)


def route(first: Version) -> str:
    """Return the team's HTTPRoute, with all traffic to one version."""
    return _fill("route", {"backend": first.backend})


def rollout(desired: Version) -> str:
    """Return the Rollout with this desired version."""
    return _fill("rollout", {"version": desired.number})


def _fill(name: str, own: dict[str, str]) -> str:
    common = {
        "namespace": NAMESPACE,
        "model": MODEL,
        "hostname": HOSTNAME,
        "port": str(PORT),
        "gateway": gateway.NAME,
        "gatewayNamespace": gateway.NAMESPACE,
        "python": sys.executable,
        "sources": str(SOURCES),
    }
    return fill(f"llm/{name}.yaml", common | own)
