"""Comparison of two versions: the operator's own review of the later one, while the other one serves."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import structs

from serinus.api.conditions import ConditionType
from serinus.api.model import Enforcement, ModelSpec, Verification
from serinus.api.modelversion import Compatibility, ModelVersionSpec, SchemaChange
from serinus.api.names import WAIVER_ANNOTATION, WORSE_METRICS_ANNOTATION, YANKED_ANNOTATION
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.schema.baselines import build_changes
from serinus.engine.schema.compatibility import Reason, WayBack, judge
from serinus.engine.schema.diff import diff, severity
from serinus.engine.versions.admission import Review, VersionUnderReview, known_version, review, rules_of
from serinus.engine.versions.catalogue import spec_hash


@dataclass(frozen=True, slots=True)
class Manifest:
    """A ModelVersion as it would be applied: its spec, and its annotations."""

    spec: ModelVersionSpec
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """The version that serves, the one that is to follow it, and their Model's policy; None where none was found."""

    before: Manifest
    after: Manifest
    policy: ModelSpec | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the operator would say.

    Attributes:
        accepted: whether a run of the version may start.
        reason: why not, or the outcome of the schema's review, in one word.
        message: the same in sentences.
        remarks: what else it would say: of metrics where the policy only warns.
        compatible: whether both signatures are known.
        changes: every change, unlike a status, which has only the most severe ones.
    """

    accepted: bool
    reason: str
    message: str
    remarks: tuple[str, ...]
    compatible: bool
    compatibility: Compatibility
    way_back: WayBack
    changes: tuple[SchemaChange, ...]


def answer_of(pair: Pair) -> Answer:
    """Return the operator's answer to the later version. Pure."""
    # Its artifact is not read here, and no policy asks for that.
    policy = structs.replace(pair.policy or ModelSpec(), verification=Verification.OFF)
    before, after = _under_review(pair.before), _under_review(pair.after)
    known = [known_version(before)]
    serving = before.spec.version
    verdict = judge(known_version(after), known, serving, rules_of(policy))
    result = review(after, known, policy, production=serving, verification=Verification.OFF)
    schema = next(update for update in result.findings if update.kind is ConditionType.SCHEMA_ACCEPTED)
    blocked = result.block is not None and result.block.reason is not WaitReason.SCHEMA_REJECTED
    reason, message = (
        (result.block.reason, result.block.message)
        if result.block and blocked
        else (
            schema.reason,
            schema.message,
        )
    )
    return Answer(
        accepted=result.block is None,
        reason=str(reason),
        message=message,
        remarks=_remarks(result),
        compatible=verdict.reason is not Reason.SCHEMA_UNKNOWN,
        compatibility=verdict.compatibility,
        way_back=verdict.way_back,
        changes=_all_changes(before, after, policy),
    )


def _under_review(manifest: Manifest) -> VersionUnderReview:
    annotations = manifest.annotations
    return VersionUnderReview(
        spec=manifest.spec,
        spec_hash=spec_hash(manifest.spec),
        waiver=annotations.get(WAIVER_ANNOTATION, ""),
        worse_metrics=annotations.get(WORSE_METRICS_ANNOTATION, ""),
        yanked=annotations.get(YANKED_ANNOTATION, ""),
    )


def _remarks(result: Review) -> tuple[str, ...]:
    """Return what is said of metrics, unless it is why no run may start."""
    if result.block is not None and result.block.reason is WaitReason.METRICS_WORSE:
        return ()
    return tuple(
        f"Metrics ({update.reason}): {update.message}"
        for update in result.findings
        if update.kind is ConditionType.METRICS_ACCEPTED
    )


def _all_changes(before: VersionUnderReview, after: VersionUnderReview, policy: ModelSpec) -> tuple[SchemaChange, ...]:
    old, new = known_version(before), known_version(after)
    changes: list[SchemaChange] = []
    if old.signature is not None and new.signature is not None:
        changes += diff(old.signature, new.signature)
    own, learnt = build_changes(old, new, rules_of(policy), changed=bool(changes))
    changes += own
    changes += learnt if policy.versioning.retraining is not Enforcement.OFF else ()
    return tuple(sorted(changes, key=severity))
