"""What the oracle knows of one model: from facts alone, never from what the operator says of itself unchecked."""

from dataclasses import dataclass, field

from serinus.api.rollout_status import RolloutStatus, StageState
from support.soak.facts import PlannedStage, Quality
from support.soak.oracle import bounds
from support.soak.oracle.calm import Calm, Debts

EXACT = 0.011
"""Percent: weights are whole numbers on a scale of 10,000."""


@dataclass(slots=True)
class Trial:
    """One version on trial.

    Attributes:
        granted: the share that it was given by the plan.
        granted_at: when.
        held: seconds since then in which a person or a freeze held the run.
        approved: whether a person has promoted it since then.
        scrapes: what was counted since then: time, requests, errors, slow ones.
        worse: requests since then while it was as bad as it is.
        anew_at: when the evidence was collected anew, because the clock was set (Safety, "Wall clocks may step").
        disturbed: somebody has interfered, so that no outcome is due.
        waited: seconds in which nothing was in the way of a good version.
        restored_at: when the operator gave back a share that somebody else had taken.
    """

    uid: str
    run: int
    version: str
    granted: float = 0.0
    granted_at: float = 0.0
    held: float = 0.0
    approved: bool = False
    scrapes: list[tuple[float, int, int, int]] = field(default_factory=list)
    worse: int = 0
    anew_at: float = float("-inf")
    had_weight: bool = False
    disturbed: bool = False
    waited: float = 0.0
    restored_at: float = float("-inf")

    def grant(self, share: float, at: float) -> None:
        """It has this share from now on: the evidence of its stage begins."""
        self.granted, self.granted_at, self.held, self.approved, self.had_weight = share, at, 0.0, False, True
        self.scrapes.clear()
        self.worse = 0

    def counted(self, until: float = float("inf"), after: float = 0.0) -> tuple[int, int, int]:
        """Return requests, errors and slow ones that were scraped in this time."""
        seen = [scrape for scrape in self.scrapes if after < scrape[0] <= until]
        return sum(one[1] for one in seen), sum(one[2] for one in seen), sum(one[3] for one in seen)

    def collect_anew(self, at: float) -> None:
        """The evidence begins again: what was counted before does not help a good version, nor a bad one."""
        self.worse, self.waited, self.anew_at = 0, 0.0, at

    @property
    def requests(self) -> int:
        return self.counted(after=self.anew_at)[0]


@dataclass(slots=True)
class Model:
    """One model."""

    name: str
    calm: Calm
    debts: Debts
    qualities: dict[str, Quality] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    written_at: float = 0.0
    foreign_at: float = float("-inf")
    endpoints: dict[str, int] = field(default_factory=dict)
    endpoints_at: dict[str, float] = field(default_factory=dict)
    """When a version lost its endpoints, or had them again."""
    proven: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    yanked: dict[str, float] = field(default_factory=dict)
    uid: str = ""
    wished: str = ""
    wished_at: float = 0.0
    plans: list[tuple[PlannedStage, ...]] = field(default_factory=list)
    status: RolloutStatus = field(default_factory=RolloutStatus)
    runs_seen: dict[str, int] = field(default_factory=dict)
    ends_seen: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    last_stable: str = ""
    paused_at: float | None = None
    trial: Trial | None = None
    commands: dict[str, float] = field(default_factory=dict)
    frozen_at: float | None = None
    unfrozen_at: float = float("-inf")
    deleting: bool = False

    def stages_of(self, share: float) -> list[PlannedStage]:
        """Return the stages with this share, of every plan that may be in force, and what edits have made of them."""
        stages = [stage for plan in self.plans for stage in plan]
        names = {stage.name for stage in stages if abs(stage.share - share) < EXACT}
        return [stage for stage in stages if stage.name in names]

    def is_held(self) -> bool:
        """Return whether a person or a freeze holds the run."""
        stage = self.status.stage
        waits = stage is not None and stage.state is StageState.AWAITING_APPROVAL
        return self.status.paused is not None or self.frozen_at is not None or waits

    def lost_endpoints(self, version: str, now: float, within: float = 600.0) -> bool:
        """Return whether a version has none, or had none a moment ago."""
        at = self.endpoints_at.get(version, float("-inf"))
        return self.endpoints.get(version, 0) == 0 or now - at < within

    def ratio(self, version: str, share: float) -> float:
        """Return how many times over its limit a version is in truth, at a stage with this share."""
        quality = self.qualities.get(version)
        if quality is None:
            return 0.0
        stages = self.stages_of(share)
        ratios = [
            max(
                quality.errors / stage.errors if stage.errors else 0.0, quality.slow / stage.slow if stage.slow else 0.0
            )
            for stage in stages
        ]
        return min(ratios, default=0.0)

    def is_bad_from_the_start(self, version: str) -> bool:
        quality = self.qualities.get(version)
        if quality is None or quality.good_for:
            return False
        judged = [stage for plan in self.plans for stage in plan if stage.share > 0]
        return bool(judged) and all(self.ratio(version, stage.share) >= bounds.FAR for stage in judged)

    def is_good(self, version: str) -> bool:
        quality = self.qualities.get(version)
        return quality is not None and quality.name == "good"
