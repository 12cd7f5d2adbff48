"""The words that the cluster stores: group, kinds, annotations, commands."""

from enum import StrEnum
from typing import Final, NamedTuple

GROUP: Final = "serinus.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FREEZE_ANNOTATION: Final = f"{GROUP}/freeze"
"""On a Namespace: no run starts and no weight rises in it; the value is the reason shown. Rollbacks still work."""

REQUESTED_BY_ANNOTATION: Final = f"{GROUP}/requested-by"
"""Stamped by the API server from ``request.userInfo`` where the chart's admission policy is installed."""

UNVERIFIED: Final = "unverified"
"""Who acted, where nobody can tell."""

ROLLOUT_LABEL: Final = f"{GROUP}/rollout"
"""On a Job of ours: the name of its Rollout."""

RUN_LABEL: Final = f"{GROUP}/run"
"""On a Job of ours: the number of the run that it tests."""

STAGE_ANNOTATION: Final = f"{GROUP}/stage"
"""On a Job of ours: the stage whose test it is."""

TEST_ANNOTATION: Final = f"{GROUP}/test"
"""On a Job of ours: the test that it is."""

FIELD_MANAGER: Final = "serinus"


class Command(StrEnum):
    """What a person may ask for by an annotation ``serinus.dev/<command>: <token>``; each token is acted on once."""

    ABORT = "abort"
    ROLLBACK = "rollback"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    PROMOTE = "promote"

    @property
    def annotation(self) -> str:
        """The annotation's full key."""
        return f"{GROUP}/{self.value}"


class ObjectKey(NamedTuple):
    """Names one namespaced object of a known kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As people write it: ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


class Kind(NamedTuple):
    """A kind of the Kubernetes API as clients address it."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


ROLLOUT: Final = Kind(GROUP, VERSION, "Rollout", "rollouts")
MODEL_VERSION: Final = Kind(GROUP, VERSION, "ModelVersion", "modelversions")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
ENDPOINT_SLICE: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
JOB: Final = Kind("batch", "v1", "Job", "jobs")
NAMESPACE: Final = Kind("", "v1", "Namespace", "namespaces")
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")
EVENT: Final = Kind("events.k8s.io", "v1", "Event", "events")


def model_version_name(model: str, version: str) -> str:
    """Return the one name that a ModelVersion of this model and version may have."""
    return f"{model}-v{version.removeprefix('v').lower()}"
