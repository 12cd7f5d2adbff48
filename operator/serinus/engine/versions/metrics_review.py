"""Compares the metrics that were measured before release with those of the version in production."""

from dataclasses import dataclass

from serinus.api.conditions import ConditionType
from serinus.api.model import Enforcement, MetricsPolicy
from serinus.api.names import WORSE_METRICS_ANNOTATION
from serinus.engine.conditions import FALSE, TRUE, UNKNOWN, ConditionUpdate
from serinus.engine.rollout.observation import AdmissionBlock
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.schema.baselines import KnownVersion, succeeds
from serinus.engine.schema.builds import Build, worse_metrics

_KIND = ConditionType.METRICS_ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsUnderReview:
    """A version's metrics, and what is known about their acceptance.

    Attributes:
        version: its number.
        build: with its metrics.
        acknowledgement: why a person accepts that they are worse; empty where nobody does.
        has_served: it has served all requests well: production's metrics are not held against it any more.
        was_compared: its status says how they compare.
    """

    version: str
    build: Build
    acknowledgement: str = ""
    has_served: bool = False
    was_compared: bool = False


@dataclass(frozen=True, slots=True)
class MetricsReview:
    """The outcome: at most one finding, why no run may start, and whether a person has accepted worse metrics."""

    findings: tuple[ConditionUpdate, ...] = ()
    block: AdmissionBlock | None = None
    acknowledged: bool = False


def review_metrics(candidate: MetricsUnderReview, serving: KnownVersion | None, policy: MetricsPolicy) -> MetricsReview:
    """Compare the metrics with those of the version in production, ``serving``. Pure.

    A release below the one in production is a backport or an earlier version, and no successor: it is not compared.
    """
    if candidate.has_served:
        return MetricsReview()
    if not policy.tolerances or policy.enforcement is Enforcement.OFF:
        asked = ConditionUpdate(_KIND, UNKNOWN, "NotAsked", "The Model's policy compares no metrics.")
        return MetricsReview((asked,) if candidate.was_compared else ())
    if serving is None or not succeeds(candidate.version, serving.version):
        message = "It succeeds no version in production."
        return MetricsReview((ConditionUpdate(_KIND, TRUE, "NothingToCompare", message),))
    worse = list(worse_metrics(serving.build, candidate.build, policy.tolerances))
    if not worse:
        message = f"No metric is worse than that of {serving.version} by more than its tolerance."
        return MetricsReview((ConditionUpdate(_KIND, TRUE, "WithinTolerance", message),))
    message = f"{candidate.version} is worse than {serving.version}, which is in production: {'; '.join(worse)}."
    return _worse(candidate, policy, message)


def _worse(candidate: MetricsUnderReview, policy: MetricsPolicy, message: str) -> MetricsReview:
    if policy.enforcement is not Enforcement.ENFORCE:
        message = f"{message} The Model's policy is {policy.enforcement.value}."
        return MetricsReview((ConditionUpdate(_KIND, FALSE, WaitReason.METRICS_WORSE, message),))
    if candidate.acknowledgement:
        message = f"{message} Accepted: {candidate.acknowledgement}"
        return MetricsReview((ConditionUpdate(_KIND, TRUE, "Acknowledged", message),), acknowledged=True)
    message = f"{message} To accept that, annotate it with {WORSE_METRICS_ANNOTATION}: <reason>."
    block = AdmissionBlock(WaitReason.METRICS_WORSE, message)
    return MetricsReview((ConditionUpdate(_KIND, FALSE, WaitReason.METRICS_WORSE, message),), block)
