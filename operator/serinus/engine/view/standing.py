"""Where a Rollout stands in one word, for marks, the order of lists and exit statuses."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase, RolloutStatus


class Standing(StrEnum):
    """What a person has to know first."""

    WAITS = "Waits"
    FAILED = "Failed"
    RUNNING = "Running"
    PENDING = "Pending"
    HEALTHY = "Healthy"


class Subject(Struct, frozen=True, kw_only=True):
    """A Rollout as it is stored.

    Attributes:
        key: its namespace and name.
        generation: of its spec.
        created_at: when it was made (UTC).
        spec: None where it cannot be followed; ``spec_problem`` then says why.
        status: what the operator said last.
    """

    key: ObjectKey
    generation: int
    created_at: datetime
    spec: RolloutSpec | None
    spec_problem: str = ""
    status: RolloutStatus

    @property
    def observed(self) -> bool:
        """Whether the status is about the spec as it is now."""
        return self.status.observed_generation >= self.generation


WAITS_FOR_A_PERSON: Final = frozenset({"AwaitingApproval", "Paused", "Frozen"})
"""The reasons that end by a person's word alone, beside those that the condition Stalled tells."""


def standing_of(subject: Subject) -> Standing:
    """Return where it stands. A spec that the operator has not seen yet is Pending, whatever the status says."""
    status = subject.status
    if status.phase in {Phase.ROLLED_BACK, Phase.ROLLING_BACK}:
        return Standing.FAILED if subject.observed else Standing.PENDING
    if not subject.observed:
        return Standing.PENDING
    if status.phase is Phase.INVALID:
        return Standing.FAILED
    if status.phase is Phase.PAUSED or status.reason in WAITS_FOR_A_PERSON or _holds(status, ConditionType.STALLED):
        return Standing.WAITS
    if status.phase is Phase.HEALTHY:
        return Standing.WAITS if _fails(status, ConditionType.BACKENDS_READY) else Standing.HEALTHY
    return Standing.PENDING if status.phase is Phase.PENDING else Standing.RUNNING


def is_over(subject: Subject) -> bool:
    """Return whether the run has ended and nothing of it is under way any more."""
    ends = {Phase.HEALTHY, Phase.ROLLED_BACK, Phase.INVALID}
    return subject.observed and subject.status.phase in ends


def _holds(status: RolloutStatus, kind: ConditionType) -> bool:
    found = find_condition(status.conditions, kind)
    return found is not None and found.status is ConditionStatus.TRUE


def _fails(status: RolloutStatus, kind: ConditionType) -> bool:
    found = find_condition(status.conditions, kind)
    return found is not None and found.status is ConditionStatus.FALSE


ORDER: Final = {standing: place for place, standing in enumerate(Standing)}
"""What needs a person comes first: as the words are written above."""
