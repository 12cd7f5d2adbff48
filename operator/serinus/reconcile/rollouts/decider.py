"""One attempt to reconcile a Rollout: what is observed and what the engine decides on it; calls no port.

Both lanes attempt the same way, so that the ordinary reconcile comes to the decision whose weights the safety lane has
written already.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import perf_counter

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import Action, SetWeights
from serinus.engine.rollout.decide import decide
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.observation import InvalidSpec, Observation
from serinus.ports.acting import UNNAMED
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.ownership import Ownership
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.http_tests import HttpTestResults
from serinus.reconcile.rollouts.job_tests import JobTests
from serinus.reconcile.rollouts.observe import LocalFacts, contents_in, observe, spec_of
from serinus.reconcile.rollouts.outbox_relay import OutboxRelay
from serinus.reconcile.rollouts.safety_memory import Correction, SafetyMemory, Verdict, has_begun
from serinus.reconcile.rollouts.stage_clocks import StageClocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one attempt to reconcile a Rollout has come to.

    Attributes:
        record: the Rollout as it is stored.
        status: what it was decided on: the stored status, less what steps of the clock have done to it.
        spec: what was followed.
        epoch: the leader's term in which it was reconciled.
        observed: the facts.
        at: when it was decided.
        set_by: what the wall clock had been set by at that time, in seconds.
        decision: what follows.
        mark: how often the safety lane had decided about it by then.
        verdict: the rollback that the safety lane has decided and the status does not have yet, or None.
        correction: the weights that the safety lane has put right and the status does not have yet, or None.
    """

    record: RolloutRecord
    status: RolloutStatus
    spec: RolloutSpec | InvalidSpec
    epoch: int
    observed: Observation
    at: datetime
    set_by: float
    decision: Decision
    mark: int
    verdict: Verdict | None = None
    correction: Correction | None = None

    @property
    def key(self) -> ObjectKey:
        """The Rollout's key."""
        return self.record.meta.key

    @property
    def towards_safety(self) -> tuple[SetWeights, ...]:
        """The writes that take traffic from a bad version, or from the candidate of a Rollout that is deleted."""
        weights = (action for action in self.decision.actions if isinstance(action, SetWeights))
        return tuple(action for action in weights if action.towards_safety or self.observed.deleted)

    @property
    def others(self) -> tuple[Action, ...]:
        """The other actions, in order."""
        safe = self.towards_safety
        return tuple(action for action in self.decision.actions if action not in safe)

    @property
    def begins_rollback(self) -> bool:
        """Whether a rollback is decided that the stored status does not have."""
        return has_begun(self.record.status.rollback, self.decision.status.rollback)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be written or reported."""
        unchanged = self.decision.status == self.record.status and not self.record.status_problem
        return unchanged and not self.decision.actions


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Looks at Rollouts.

    Attributes:
        ports: the leadership, the clock and the telemetry.
        cache: the cluster's objects.
        admission: the reviews of the model versions.
        tracker: the analyses of the stages under way.
        tests: the outcomes of ended HTTP tests.
        jobs: what is known of the Jobs of tests.
        relay: knows which audit records were delivered.
        memory: what the safety lane has decided and done.
        clocks: the run time of the stages under way.
        ownership: which Rollouts this process decides about.
        job_tests: whether this installation creates Jobs for tests.
        actor_stamped: returns whether the annotations that name the actors are stamped by the API server.
    """

    ports: Ports
    cache: ClusterCache
    admission: AdmissionCache
    tracker: AnalysisTracker
    tests: HttpTestResults
    jobs: JobTests
    relay: OutboxRelay
    memory: SafetyMemory
    clocks: StageClocks
    ownership: Ownership
    job_tests: bool
    actor_stamped: Callable[[], bool]

    def attempt(self, key: ObjectKey) -> Attempt | None:
        """Observe and decide on a Rollout; None where it is gone, or where another process leads."""
        record = self.cache.rollout(key)
        epoch = self.ownership.epoch_of(record) if record is not None else None
        if record is None or epoch is None:
            return None
        observed = self._observe(record)
        verdict = self.memory.verdict(record)
        if verdict is not None:
            attempt = self._decide_by(verdict, record, epoch, observed)
            if attempt.begins_rollback:
                return attempt
            self.memory.reconsider(key)
        return self._decide(spec_of(self.cache, record), record, epoch, observed)

    def attempt_to_report(self, key: ObjectKey) -> Attempt | None:
        """Do the same for the ordinary reconcile, which reports what the safety lane has put right."""
        attempt = self.attempt(key)
        correction = self.memory.correction(attempt.record) if attempt is not None else None
        if attempt is None or correction is None:
            return attempt
        if attempt.verdict is not None:
            self.memory.reported(key)
            return attempt
        observed = correction.observation_with(attempt.observed)
        status = self.clocks.status_of(attempt.record, correction.set_by)
        decision = decide(correction.spec, status, observed, correction.at)
        self.clocks.decided(attempt.record, decision.status, correction.set_by)
        return replace(attempt, spec=correction.spec, observed=observed, decision=decision, correction=correction)

    def attempt_on_departed(self, record: RolloutRecord) -> Attempt | None:
        """Observe and decide on a Rollout that is gone, by its last readable spec; None where another leads."""
        epoch = self.ports.leadership.epoch_of(record.model)
        if epoch is None:
            return None
        observed = observe(self.cache, self.admission, record, LocalFacts(), deleted=True)
        return self._decide(spec_of(self.cache, record), record, epoch, observed)

    def model_of(self, key: ObjectKey) -> ObjectKey:
        """Return the model on whose behalf is written for a Rollout, also for one that is gone and must be drained."""
        record = self.cache.rollout(key) or self.memory.departed(key)
        return record.model if record is not None else UNNAMED

    def settle_clocks(self) -> None:
        """Take in a step of the wall clock that no decision has noticed yet."""
        term = self.ownership.term
        if term is not None:
            self.clocks.check(self.ports.clock.now(), term)

    def verdict_of(self, attempt: Attempt) -> Verdict | None:
        """Return the verdict that an attempt comes to; None where it begins no rollback."""
        rollback = attempt.decision.status.rollback
        if not attempt.begins_rollback or rollback is None:
            return None
        return attempt.verdict or Verdict(
            base=replace(attempt.record, status=attempt.status),
            spec=attempt.spec,
            observed=attempt.observed,
            at=attempt.at,
            set_by=attempt.set_by,
            version=rollback.version,
        )

    def _observe(self, record: RolloutRecord) -> Observation:
        contents = contents_in(self.cache, record)
        local = LocalFacts(
            readings=self.tracker.readings(record),
            share=self.tracker.share(record),
            metrics_problem=self.tracker.problem(record),
            http_tests=self.tests.outcomes(record.meta.uid, record.status, contents),
            pods=self.jobs.pods(),
            own_jobs=self.jobs.own(record),
            refused_tests=self.jobs.refusals(record) | self.tests.refusals(record.meta.uid, record.status, contents),
            job_tests=self.job_tests,
            actor_stamped=self.actor_stamped(),
            audit=self.relay.facts(record),
        )
        return observe(self.cache, self.admission, record, local)

    def _decide_by(self, verdict: Verdict, record: RolloutRecord, epoch: int, fresh: Observation) -> Attempt:
        observed, status = verdict.observation_with(fresh), verdict.status_for(record)
        return Attempt(
            record=record,
            status=status,
            spec=verdict.spec,
            epoch=epoch,
            observed=observed,
            at=verdict.at,
            set_by=verdict.set_by,
            decision=decide(verdict.spec, status, observed, verdict.at),
            mark=self.memory.mark(record.meta.key),
            verdict=verdict,
        )

    def _decide(
        self, spec: RolloutSpec | InvalidSpec, record: RolloutRecord, epoch: int, observed: Observation
    ) -> Attempt:
        started, now = perf_counter(), self.ports.clock.now()
        set_by = self.clocks.check(now, self.ownership.term or epoch)
        status = self.clocks.status_of(record, set_by)
        decision = decide(spec, status, observed, now)
        self.ports.telemetry.decisions.observe(perf_counter() - started)
        self.clocks.decided(record, decision.status, set_by)
        return Attempt(
            record=record,
            status=status,
            spec=spec,
            epoch=epoch,
            observed=observed,
            at=now,
            set_by=set_by,
            decision=decision,
            mark=self.memory.mark(record.meta.key),
        )
