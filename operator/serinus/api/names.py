"""The names of the API: group, kinds, annotations, labels, commands."""

from enum import StrEnum
from typing import Final, NamedTuple

GROUP: Final = "serinus.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FREEZE_ANNOTATION: Final = f"{GROUP}/freeze"
"""On a Namespace: no run starts and no weight rises in it; the value is the displayed reason. Rollbacks still work."""

REQUESTED_BY_ANNOTATION: Final = f"{GROUP}/requested-by"
"""Stamped by the API server from ``request.userInfo`` where the chart's admission policy is installed."""

APPROVED_BY_ANNOTATION: Final = f"{GROUP}/approved-by"
"""Likewise: who wrote the last ``promote``. The API server checks by RBAC that this person may ``approve``."""

SPEC_BY_ANNOTATION: Final = f"{GROUP}/spec-by"
"""Likewise: who changed the spec last."""

VERSION_BY_ANNOTATION: Final = f"{GROUP}/version-by"
"""Likewise: who set ``spec.version``, and thus asked for the version; another change of the spec leaves it."""

VERSION_AUTHOR_ANNOTATION: Final = f"{GROUP}/version-author"
"""Likewise: what ``serinus.dev/author`` said when ``spec.version`` was set."""

REASON_ANNOTATION: Final = f"{GROUP}/reason"
"""The reason for one action, for the audit trail; by default the command's token. A text counts once."""

REASON_BY_ANNOTATION: Final = f"{GROUP}/reason-by"
"""Stamped by the API server: who wrote the reason; it is the reason of nobody else's action."""

OVERRIDE_ANNOTATION: Final = f"{GROUP}/override"
"""Beside ``promote`` or ``rollback``: why it must be done without the approval that the plan asks for."""

OVERRIDE_BY_ANNOTATION: Final = f"{GROUP}/override-by"
"""Stamped by the API server: who wrote the override. It checks by RBAC that this person may ``override``."""

ROLLBACK_TO_ANNOTATION: Final = f"{GROUP}/rollback-to"
"""With the command ``rollback``: the version to go back to; by default the Rollout's target."""

BEHALF_ANNOTATIONS: Final = {"name": f"{GROUP}/author", "commit": f"{GROUP}/commit", "url": f"{GROUP}/change-url"}
"""The author of the change in Git according to the pipeline; unverified, and marked so in the audit trail."""

WAIVER_ANNOTATION: Final = f"{GROUP}/waive-schema"
"""On a ModelVersion: why its schema may break the compatibility that its SemVer number implies."""

UNSAFE_ROLLBACK_ANNOTATION: Final = f"{GROUP}/accept-unsafe-rollback"
"""On a ModelVersion: why it may serve although its clients could not go back to the rollback target."""

WORSE_METRICS_ANNOTATION: Final = f"{GROUP}/accept-worse-metrics"
"""On a ModelVersion: why it may serve although its metrics are worse than those of the version in production."""

YANKED_ANNOTATION: Final = f"{GROUP}/yanked"
"""On a ModelVersion: why it must never serve again."""

MODEL_LABEL: Final = f"{GROUP}/model"
"""On an AuditRecord: its model."""

RECORD_ID_LABEL: Final = f"{GROUP}/record-id"
"""On an AuditRecord: its id, by which a repeated commit is detected."""

UNVERIFIED: Final = "unverified"
"""The actor where it is unknown."""

ROLLOUT_LABEL: Final = f"{GROUP}/rollout"
"""On a Job of an integration test: the name of its Rollout."""

RUN_LABEL: Final = f"{GROUP}/run"
"""On a Job of an integration test: the number of its run."""

STAGE_ANNOTATION: Final = f"{GROUP}/stage"
"""On a Job of an integration test: the name of its stage."""

TEST_ANNOTATION: Final = f"{GROUP}/test"
"""On a Job of an integration test: the name of the test."""

CONTENT_ANNOTATION: Final = f"{GROUP}/test-content"
"""On a Job of an integration test: the digest of what the test does."""

SHARD_MEMBERS_ANNOTATION: Final = f"{GROUP}/shard-members"
"""On the operator's own Lease where there are several shards: its processes, each with its last sign of life."""

FIELD_MANAGER: Final = "serinus"
FINALIZER: Final = f"{GROUP}/outbox"
"""On a Rollout while its candidate has traffic or its audit records are not delivered."""


class Command(StrEnum):
    """A command, given by an annotation ``serinus.dev/<command>: <token>``; each token is executed once."""

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


def issuer_annotation(annotation: str) -> str:
    """Return the annotation that names who wrote this one: a command, or what a person says of a ModelVersion."""
    return f"{annotation}-by"


class ObjectKey(NamedTuple):
    """Identifies one namespaced object of a known kind."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """``namespace/name``."""
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
MODEL: Final = Kind(GROUP, VERSION, "Model", "models")
AUDIT_RECORD: Final = Kind(GROUP, VERSION, "AuditRecord", "auditrecords")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
GRPC_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes")
VIRTUAL_SERVICE: Final = Kind("networking.istio.io", "v1", "VirtualService", "virtualservices")
INFERENCE_SERVICE: Final = Kind("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
ENDPOINT_SLICE: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
JOB: Final = Kind("batch", "v1", "Job", "jobs")
SERVICE: Final = Kind("", "v1", "Service", "services")
POD: Final = Kind("", "v1", "Pod", "pods")
NAMESPACE: Final = Kind("", "v1", "Namespace", "namespaces")
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")
EVENT: Final = Kind("events.k8s.io", "v1", "Event", "events")


def model_version_name(model: str, version: str) -> str:
    """Return the only valid name of the ModelVersion of this model and version."""
    return f"{model}-v{version.removeprefix('v').lower()}"


SEQUENCE_DIGITS: Final = 12


def audit_record_name(model: str, sequence: int) -> str:
    """Return the only valid name of the record with this number: the first create gets the number."""
    return f"{model}-{sequence:0{SEQUENCE_DIGITS}d}"
