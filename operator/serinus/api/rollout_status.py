"""The status of a Rollout: the state of the run, its evidence, and the next action.

It is also the only state that the operator keeps across restarts: every decision is based on it alone.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field

from serinus.api.audit_record import MAX_EVIDENCE, AuditEntry
from serinus.api.conditions import Condition
from serinus.api.modelversion import BackendRef
from serinus.api.route import RouteKind
from serinus.api.schema import API_DEFAULT, DECIMAL, Model, generation_seen, items, rule, text
from serinus.api.verdict import Cause, Verdict

MAX_HISTORY: Final = 10
MAX_QUARANTINED: Final = 50
MAX_FOREIGN: Final = 32
"""More backends than a rule of an HTTPRoute may have (16)."""
MAX_POINTS: Final = 20
MAX_TRAFFIC_POINTS: Final = 24
"""Points that are kept of each condition: at most 200 in a status, about 20 KB of etcd's 1.5 MiB for an object."""

MAX_USED_REASONS: Final = 16
"""So many reasons are remembered as used: an older text may be given again."""

MAX_RECORDS: Final = 256
"""The most records waiting for the registry; runs stop to advance long before, so that none is ever lost."""


class Phase(StrEnum):
    """The run in one word."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    HEALTHY = "Healthy"
    INVALID = "Invalid"


class StageState(StrEnum):
    """How far the run is within its stage."""

    PREPARING = "Preparing"
    SHIFTING = "Shifting"
    TESTING = "Testing"
    WARMING_UP = "WarmingUp"
    ANALYZING = "Analyzing"
    AWAITING_APPROVAL = "AwaitingApproval"
    DONE = "Done"


class TestResult(StrEnum):
    """How far an integration test is: a Job that runs, how it ended, or that it could not run."""

    __test__ = False  # pytest collects names that begin with Test

    RUNNING = "Running"
    PASSED = "Passed"
    FAILED = "Failed"
    NOT_RUN = "NotRun"


class RunResult(StrEnum):
    """How a run ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    CANCELLED = "Cancelled"


_VERSION = text("A version.", most=64)
_WEIGHT = Meta(description="Percent of the route's traffic.", ge=0, le=100)
_TIME = Meta(description="UTC.")
LONGEST_SENTENCE: Final = 4096
_SENTENCE = text("A full sentence.", least=0, most=LONGEST_SENTENCE)


def _figure(description: str) -> Meta:
    return text(f"{description} A decimal number as text.", pattern=DECIMAL, most=32)


class Serving(Model, frozen=True, kw_only=True):
    """A version and its share of the traffic."""

    version: Annotated[str, _VERSION]
    weight: Annotated[float, _WEIGHT]
    since: Annotated[datetime, Meta(description="Since when it has this role (UTC).")]
    backend: (
        Annotated[
            BackendRef, Meta(description="Where it serves; kept here so that its traffic can be taken back without it.")
        ]
        | None
    ) = None
    not_ready_since: (
        Annotated[datetime, Meta(description="Since when it has traffic and no ready endpoint (UTC).")] | None
    ) = None
    mirror: (
        Annotated[float, Meta(description="Percent of the requests of which it gets a copy.", ge=0, le=100)] | None
    ) = None


class RouteStatus(Model, frozen=True, kw_only=True):
    """The rule that carries the model's traffic, as it was when the run began."""

    kind: Annotated[RouteKind, Meta(description="Its kind.")] = RouteKind.HTTP_ROUTE
    name: Annotated[str, text("Its name.")]
    rule_name: Annotated[str, text("The rule; absent where the route has one rule.", most=253)] | None = None
    foreign: Annotated[
        tuple[Annotated[str, text("kind/name:port, without what a core Service implies.", most=512)], ...],
        items("The rule's other backends when the run began.", most=MAX_FOREIGN),
    ] = ()
    corrections: Annotated[
        int, Meta(description="How often in a row somebody else's change of the weights was put right.", ge=0)
    ] = 0
    corrected_at: Annotated[datetime, Meta(description="When that was last done (UTC).")] | None = None


class CurrentStage(Model, frozen=True, kw_only=True):
    """The stage that the run is in."""

    index: Annotated[int, Meta(description="From 0.", ge=0)]
    name: Annotated[str, text("As in spec.stages.", most=40)]
    state: Annotated[StageState, Meta(description="How far the run is in it.")]
    since: Annotated[datetime, Meta(description="When the stage began (UTC).")]
    state_since: Annotated[datetime, Meta(description="When the state began (UTC).")]
    held_since: (
        Annotated[datetime, Meta(description="Since when a pause, a freeze or a person is waited for (UTC).")] | None
    ) = None
    held_seconds: Annotated[
        float,
        Meta(description="Held time that is over, and what the clock was set by (back: negative), in seconds."),
    ] = 0.0
    state_held_seconds: Annotated[float, Meta(description="The same for the state, in seconds.")] = 0.0

    def elapsed(self, now: datetime) -> timedelta:
        """Return how long the stage has run by now, held time left out; never negative."""
        return self._without_held(now - self.since, self.held_seconds, now)

    def elapsed_in_state(self, now: datetime) -> timedelta:
        """Return how long the state has lasted by now, held time left out; never negative."""
        return self._without_held(now - self.state_since, self.state_held_seconds, now)

    def _without_held(self, length: timedelta, held_seconds: float, now: datetime) -> timedelta:
        holding = now - self.held_since if self.held_since is not None else timedelta(0)
        # A hold in which the clock was set back is negative: the stage's whole length is shorter by as much.
        return max(timedelta(0), length - timedelta(seconds=held_seconds) - holding)


class EvidencePoint(Model, frozen=True, kw_only=True):
    """The figures of one condition at one time of the stage."""

    at: Annotated[datetime, Meta(description="Up to when the metrics were read (UTC).")]
    requests: Annotated[int, Meta(description="The candidate's requests since the stage began.", ge=0)] = 0
    bad: Annotated[int, Meta(description="How many of them were bad.", ge=0)] = 0
    evidence: (
        Annotated[str, _figure("The evidence E of the Sequential judgement; absent where it does not judge.")] | None
    ) = None
    value: (
        Annotated[str, _figure("What the Observed judgement compares: the ratio in the window, or the query's value.")]
        | None
    ) = None


class EvidenceStatus(Model, frozen=True, kw_only=True):
    """The last judgement of one condition."""

    name: Annotated[str, text("The metric.", most=64)]
    condition: Annotated[str, text("The line of abortOn.", most=128)]
    verdict: Annotated[Verdict, Meta(description="Pass, Breach or Unknown.")]
    cause: Annotated[Cause, Meta(description="Why it is Unknown.")] | None = None
    message: Annotated[str, _SENTENCE] = ""
    value: Annotated[str, text("The value with its unit.", least=0, most=64)] = ""
    threshold: Annotated[str, text("The limit as written.", least=0, most=64)] = ""
    requests: Annotated[int, Meta(description="Requests that it rests on.", ge=0)] = 0
    at: Annotated[datetime, Meta(description="When it was judged (UTC).")]
    guard: Annotated[bool, Meta(description="Whether it is a guard of spec.guards instead of a line of abortOn.")] = (
        False
    )
    points: Annotated[
        tuple[EvidencePoint, ...],
        items("How its figures grew since the stage began, oldest first; thinned out evenly.", most=MAX_POINTS),
    ] = ()


class TrafficPoint(Model, frozen=True, kw_only=True):
    """The candidate's share of the traffic at one time of the run."""

    at: Annotated[datetime, Meta(description="When this was so (UTC).")]
    desired: Annotated[float, Meta(description="Percent that was decided.", ge=0, le=100)]
    accepted: (
        Annotated[
            float,
            Meta(
                description="Percent that the gateway has accepted last; absent where that is not known.", ge=0, le=100
            ),
        ]
        | None
    ) = None
    observed: (
        Annotated[
            float,
            Meta(
                description="Percent of the latest requests; absent where none was read with this point.", ge=0, le=100
            ),
        ]
        | None
    ) = None
    requests: Annotated[
        int, Meta(description="Requests to the candidate and the stable version that this rests on.", ge=0)
    ] = 0


class Baseline(Model, frozen=True, kw_only=True):
    """What a guard counted of the stable version in the last stage in which it was compared with."""

    metric: Annotated[str, text("The metric.", most=64)]
    requests: Annotated[int, Meta(description="The stable version's requests in that stage.", ge=0)]
    bad: Annotated[int, Meta(description="How many of them were bad.", ge=0)]


class TestStatus(Model, frozen=True, kw_only=True):
    """How far one integration test of the current stage is."""

    __test__ = False  # pytest collects names that begin with Test

    name: Annotated[str, text("As in the stage.", most=40)]
    result: Annotated[
        TestResult,
        Meta(description="Passed or Failed; Running while its Job has not ended; NotRun where it could not run."),
    ]
    message: Annotated[str, _SENTENCE] = ""
    at: Annotated[datetime, _TIME]
    lost: Annotated[int, Meta(description="How many of its Jobs were gone before they had ended.", ge=0)] = 0
    job_uid: Annotated[
        str, text("The uid of the Job that Serinus created for it; no other Job counts.", least=0, most=128)
    ] = ""
    content: Annotated[
        str, text("Digest of the test as it was run; one that is edited since runs anew.", least=0, most=64)
    ] = ""


class RollbackReason(StrEnum):
    """Why a version lost its traffic; stable, and the reason of events and conditions."""

    METRIC_BREACHED = "MetricBreached"
    TEST_FAILED = "TestFailed"
    ABORTED = "Aborted"
    ROLLBACK_REQUESTED = "RollbackRequested"
    STAGE_TIMED_OUT = "StageTimedOut"
    CANDIDATE_REFUSED = "CandidateRefused"
    NO_READY_ENDPOINTS = "NoReadyEndpoints"


class Rollback(Model, frozen=True, kw_only=True):
    """Why and when the traffic went back."""

    version: Annotated[str, _VERSION]
    to: Annotated[str, text("The version that it went back to; empty where there is none.", least=0, most=64)]
    reason: Annotated[RollbackReason, Meta(description="One stable word.")]
    message: Annotated[str, _SENTENCE]
    condition: Annotated[str, text("The line of abortOn that was breached.", least=0, most=128)] = ""
    value: Annotated[str, text("The value with its unit.", least=0, most=64)] = ""
    requests: Annotated[int, Meta(description="Requests that it rests on.", ge=0)] = 0
    at_weight: Annotated[float, _WEIGHT]
    requested_by: Annotated[str, text("Who asked, or unverified.", least=0, most=512)] = ""
    decided_at: Annotated[datetime, _TIME]
    traffic_safe_at: Annotated[datetime, Meta(description="When the gateway had accepted it (UTC).")] | None = None


class Pause(Model, frozen=True, kw_only=True):
    """A person asked the run to stay where it is."""

    reason: Annotated[str, text("The annotation's value.", least=0, most=1024)]
    requested_by: Annotated[str, text("Who asked, or unverified.", least=0, most=512)] = ""
    at: Annotated[datetime, _TIME]


class StageApproval(Model, frozen=True, kw_only=True):
    """A person let the run into a stage, or out of one before its time."""

    stage: Annotated[str, text("The stage that was left.", most=40)]
    requested_by: Annotated[str, text("Who, or unverified.", least=0, most=512)] = ""
    token: Annotated[str, text("The annotation's value.", least=0, most=1024)] = ""
    at: Annotated[datetime, _TIME]
    digest: Annotated[str, text("The artifact that it was given for.", least=0, most=71)] = ""
    spec_hash: Annotated[str, text("The plan and version that it was given for.", least=0, most=71)] = ""


class VersionRequest(Model, frozen=True, kw_only=True):
    """Who asked for the version of a run, as it stood when the run began."""

    by: Annotated[str, text("Who set spec.version, or unverified.", least=0, most=512)] = ""
    author: Annotated[str, text("For whom a pipeline did, as it says itself.", least=0, most=512)] = ""
    reason: Annotated[str, text("The reason that was given.", least=0, most=1024)] = ""


class PastRun(Model, frozen=True, kw_only=True):
    """One run that has ended."""

    run: Annotated[int, Meta(description="Its number.", ge=0)]
    version: Annotated[str, _VERSION]
    result: Annotated[RunResult, Meta(description="How it ended.")]
    started_at: Annotated[datetime, _TIME]
    ended_at: Annotated[datetime, _TIME]
    reason: Annotated[str, _SENTENCE] = ""


class RolloutStatus(Model, frozen=True, kw_only=True):
    """The status subresource of a Rollout."""

    observed_generation: Annotated[int, generation_seen("The generation that all of this was said of.")] = 0
    phase: Annotated[
        Phase, Meta(description="The run in one word.", extra_json_schema={API_DEFAULT: Phase.PENDING.value})
    ] = Phase.PENDING
    reason: Annotated[str, text("Why, one word.", least=0, most=128)] = ""
    summary: Annotated[str, text("The whole story in a sentence or two.", least=0, most=4096)] = ""
    next_action: Annotated[str, text("What happens next, and who must act.", least=0, most=4096)] = ""
    stable: Serving | None = None
    candidate: Serving | None = None
    last_known_good: Annotated[str, text("The version that served well before stable.", most=64)] | None = None
    route: RouteStatus | None = None
    stage: CurrentStage | None = None
    phase_since: Annotated[datetime, Meta(description="Since when the phase holds (UTC).")] | None = None
    run: Annotated[int, Meta(description="The number of the current or last run.", ge=0)] = 0
    run_started_at: Annotated[datetime, Meta(description="When it began (UTC).")] | None = None
    requested: VersionRequest | None = None
    plan_generation: Annotated[
        int, Meta(description="metadata.generation of the plan that the records of this run know.", ge=0)
    ] = 0
    evidence: Annotated[
        tuple[EvidenceStatus, ...], items("The last judgement of each condition.", most=MAX_EVIDENCE, key="condition")
    ] = ()
    traffic: Annotated[
        tuple[TrafficPoint, ...],
        items("The candidate's share in the last run, oldest first; thinned out.", most=MAX_TRAFFIC_POINTS),
    ] = ()
    baselines: Annotated[
        tuple[Baseline, ...],
        items("What the guards at 100% go by, where nothing can be compared.", most=4, key="metric"),
    ] = ()
    tests: Annotated[tuple[TestStatus, ...], items("The tests of the current stage.", most=8, key="name")] = ()
    rollback: Rollback | None = None
    paused: Pause | None = None
    approvals: Annotated[tuple[StageApproval, ...], items("Approvals of this run.", most=32)] = ()
    quarantined: Annotated[
        tuple[Annotated[str, _VERSION], ...],
        items("Versions that were rolled back; they start again only by retry.", most=MAX_QUARANTINED),
    ] = ()
    history: Annotated[tuple[PastRun, ...], items("The last runs, newest first.", most=MAX_HISTORY)] = ()
    last_handled: Annotated[
        dict[str, Annotated[str, text("The token.", least=0, most=1024)]],
        Meta(description="By command, the last token that was acted on.", max_length=16),
    ] = field(default_factory=dict)
    used_reasons: Annotated[
        tuple[Annotated[str, text("SHA-256 of it, the first 32 digits.", most=32)], ...],
        items("Reasons and overrides that a record bears already, newest first.", most=MAX_USED_REASONS),
    ] = ()
    epoch: Annotated[int, Meta(description="The leader's term that wrote this; it never falls.", ge=0)] = 0
    records: Annotated[
        tuple[AuditEntry, ...], items("What the registry has not recorded yet, oldest first.", most=MAX_RECORDS)
    ] = ()
    records_made: Annotated[int, Meta(description="How many records this Rollout has made.", ge=0)] = 0
    conditions: Annotated[tuple[Condition, ...], items("What is observed.", most=16, key="type")] = ()


STATUS_RULES: Final = (
    rule(
        "!has(oldSelf.epoch) || (has(self.epoch) && self.epoch >= oldSelf.epoch)",
        "status.epoch never falls: this writer has lost the leadership",
    ),
)
