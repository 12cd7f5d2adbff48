"""Puts the controllers together: what each part needs is made before it, so no object refers to a later one."""

from collections.abc import Callable
from dataclasses import dataclass

from serinus.api.model import Verification
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.controller import ModelVersionController
from serinus.reconcile.modelversions.stage_writer import StageWriter
from serinus.reconcile.ownership import Ownership
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.announcements import Announcements
from serinus.reconcile.rollouts.controller import RolloutController
from serinus.reconcile.rollouts.decider import Decider
from serinus.reconcile.rollouts.exposition import Exposition
from serinus.reconcile.rollouts.http_tests import HttpTestResults, HttpTestRunner
from serinus.reconcile.rollouts.informer import Informer
from serinus.reconcile.rollouts.job_tests import JobTests
from serinus.reconcile.rollouts.outbox_relay import OutboxRelay
from serinus.reconcile.rollouts.priority import Priorities
from serinus.reconcile.rollouts.queue import RolloutQueue
from serinus.reconcile.rollouts.reconciler import RolloutReconciler
from serinus.reconcile.rollouts.safety_lane import SafetyLane
from serinus.reconcile.rollouts.safety_memory import SafetyMemory
from serinus.reconcile.rollouts.stage_clocks import StageClocks
from serinus.reconcile.rollouts.status_delays import StatusDelays
from serinus.reconcile.rollouts.unreadable import UnreadableStatuses
from serinus.reconcile.takeover import Takeover
from serinus.reconcile.workqueue import WorkQueue
from serinus.settings import RolloutSeries
from serinus.telemetry import LANES, ORDINARY, SAFETY, VERSIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The parts that work together.

    Attributes:
        cache: the cluster's objects.
        background: the tasks beside the workers.
        queue: the Rollouts that wait for a worker.
        memory: what the safety lane has decided and done.
        model_versions: reconciles the ModelVersions.
        reconciler: reconciles one Rollout.
        controller: runs it all; the sink of the watch.
        exposition: the operator's own metrics.
        takeover: what happens where models come to this process or leave it.
    """

    cache: ClusterCache
    background: BackgroundTasks
    queue: RolloutQueue
    memory: SafetyMemory
    model_versions: ModelVersionController
    reconciler: RolloutReconciler
    controller: RolloutController
    exposition: Exposition
    takeover: Takeover


def assemble(  # noqa: PLR0913 - the settings that the parts need
    ports: Ports,
    *,
    verification: Verification,
    actor_stamped: Callable[[], bool],
    workers: int,
    job_tests: bool = True,
    rollout_series: RolloutSeries = RolloutSeries.ALL,
) -> Assembly:
    """Return controllers that work through these ports; nothing is started.

    Args:
        ports: everything outside the process.
        verification: how artifacts are verified where a Model does not say.
        actor_stamped: returns whether the annotations that name the actors are stamped by the API server.
        workers: how many Rollouts are reconciled at a time.
        job_tests: whether this installation creates Jobs for tests.
        rollout_series: which Rollouts have series of their own in the operator's metrics.
    """
    cache, background, memory = ClusterCache(ports.router.capabilities), BackgroundTasks(), SafetyMemory()
    ownership = Ownership(ports.leadership, cache, ports.clock)
    tracker, results = AnalysisTracker(cache, ports.sources, ownership.handles), HttpTestResults()
    queues = {
        lane: WorkQueue(ports.clock.monotonic, ports.telemetry.queue_waits.labels(lane).observe) for lane in LANES
    }
    queue = RolloutQueue(
        cache,
        Priorities(cache, tracker, results, memory).of,
        ownership.handles,
        ordinary=queues[ORDINARY],
        safety=queues[SAFETY],
    )
    admission = AdmissionCache(cache, verification)
    stages = StageWriter(ports.statuses, ports.telemetry)
    model_versions = ModelVersionController(
        ports,
        cache,
        admission,
        stages=stages,
        actor_stamped=actor_stamped,
        enqueue_rollouts=queue.enqueue_model,
        queue=queues[VERSIONS],
    )
    informer = Informer(cache, queue, model_versions, ownership)
    announcements = Announcements(ports.notifier, cache)
    relay = OutboxRelay(ports, cache, background, announcements, queue.enqueue)
    jobs = JobTests(ports, cache, results, background, enqueue=queue.enqueue, on_change=informer.on_written)
    decider = Decider(
        ports=ports,
        cache=cache,
        admission=admission,
        tracker=tracker,
        tests=results,
        jobs=jobs,
        relay=relay,
        memory=memory,
        clocks=StageClocks(cache, ports.clock),
        ownership=ownership,
        job_tests=job_tests,
        actor_stamped=actor_stamped,
    )
    reconciler = RolloutReconciler(
        ports=ports,
        cache=cache,
        decider=decider,
        memory=memory,
        queue=queue,
        tracker=tracker,
        tests=HttpTestRunner(ports.http_checks, results, background, queue.enqueue, ports.clock),
        jobs=jobs,
        relay=relay,
        announcements=announcements,
        stages=stages,
        unreadable=UnreadableStatuses(ports.clock, ports.telemetry),
        delays=StatusDelays(),
        on_change=informer.on_written,
    )
    lane = SafetyLane(
        ports=ports, queue=queue, decider=decider, memory=memory, reconciler=reconciler, on_change=informer.on_written
    )
    controller = RolloutController(reconciler, lane, queue, informer, model_versions, workers=workers)
    return Assembly(
        cache=cache,
        background=background,
        queue=queue,
        memory=memory,
        model_versions=model_versions,
        reconciler=reconciler,
        controller=controller,
        exposition=Exposition(ports, cache, tracker, queues, rollout_series=rollout_series),
        takeover=Takeover(cache=cache, queue=queue, reconciler=reconciler, model_versions=model_versions),
    )
