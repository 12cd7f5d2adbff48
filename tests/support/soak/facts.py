"""What can be observed of the world from outside: the only input of the oracle.

Times are seconds of true time since the simulation began, which no step of a wall clock changes. Shares are percent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.rollout_status import RolloutStatus


class Trouble(StrEnum):
    """A fault that lasts for a while."""

    API = "API errors, conflicts and time-outs"
    METRICS_DOWN = "Prometheus down"
    NO_DATA = "no series"
    METRICS_SLOW = "Prometheus slow"
    METRICS_PARTIAL = "answers to some questions only"
    OPERATOR = "operator killed"
    GATEWAY = "gateway accepts no route"
    ROUTER = "route writes refused"
    CLOCK = "clock set"
    WATCH = "watch deaf"
    REGISTRY = "registry down"


METRICS = frozenset(
    {Trouble.METRICS_DOWN, Trouble.NO_DATA, Trouble.METRICS_SLOW, Trouble.METRICS_PARTIAL, Trouble.CLOCK}
)
"""Faults in which evidence cannot be asked for, or not fully."""

WRITES = frozenset({Trouble.API, Trouble.OPERATOR, Trouble.ROUTER, Trouble.WATCH})
"""Faults in which a weight cannot be written, or its cause is not seen."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What a version is in truth.

    Attributes:
        name: for people.
        errors: the share of its requests that fail, 0 to 1.
        slow: the share of its requests above the latency limit, 0 to 1.
        good_for: seconds with traffic in which it behaves like a good version; then it becomes what it is.
        passes_tests: whether its integration tests pass.
    """

    name: str
    errors: float
    slow: float
    good_for: float = 0.0
    passes_tests: bool = True


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage of a plan.

    Attributes:
        share: percent of the traffic.
        watch: seconds that it must last.
        errors: the tolerated share of failed requests, 0 to 1; 0 where it is not judged.
        slow: the tolerated share of slow requests, 0 to 1; 0 where it is not judged.
        requests: how many it needs to pass.
        approval: whether a person must let the run in.
    """

    name: str
    share: float
    watch: float
    errors: float
    slow: float
    requests: int
    approval: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to a model; an empty model means all."""

    at: float
    model: str


@dataclass(frozen=True, slots=True)
class Weights(Fact):
    """A route was written: the shares of all its versions, by the operator or by somebody else."""

    shares: Mapping[str, float]
    by_operator: bool


@dataclass(frozen=True, slots=True)
class StatusWritten(Fact):
    """The operator wrote the status of a Rollout."""

    uid: str
    status: RolloutStatus


@dataclass(frozen=True, slots=True)
class Wished(Fact):
    """A person created a Rollout or changed its spec."""

    uid: str
    version: str
    plan: tuple[PlannedStage, ...]


@dataclass(frozen=True, slots=True)
class Commanded(Fact):
    """A person set a command."""

    verb: str
    token: str


@dataclass(frozen=True, slots=True)
class Applied(Fact):
    """A person applied a ModelVersion."""

    version: str
    quality: Quality


@dataclass(frozen=True, slots=True)
class Yanked(Fact):
    """A person yanked a version."""

    version: str


@dataclass(frozen=True, slots=True)
class Endpoints(Fact):
    """A version has this many ready endpoints now."""

    version: str
    ready: int


@dataclass(frozen=True, slots=True)
class Frozen(Fact):
    """The model's namespace was frozen, or the freeze was taken away."""

    on: bool


@dataclass(frozen=True, slots=True)
class Deleting(Fact):
    """A person deleted the Rollout."""

    uid: str


@dataclass(frozen=True, slots=True)
class Gone(Fact):
    """The Rollout is gone."""

    uid: str


@dataclass(frozen=True, slots=True)
class Counted(Fact):
    """One scrape of one version: its requests since the scrape before, and how many failed or were slow."""

    version: str
    requests: int
    errors: int
    slow: int


@dataclass(frozen=True, slots=True)
class Recorded(Fact):
    """The registry stored a record of the audit trail."""

    record: AuditRecordSpec


@dataclass(frozen=True, slots=True)
class Troubled(Fact):
    """A fault begins or ends; ``seconds`` is how far the clock was set."""

    kind: Trouble
    on: bool
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Looked(Fact):
    """Nothing happened; time has passed, once for each scrape."""
