"""The Jobs of tests beside their objects: why they were refused, and why their pods do not run.

Nothing here outlives the process: a Job that was refused is asked for again, the pods are read again, and the uid of a
Job that was created is in the status by then.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.rollout.actions import RunJobTest
from serinus.engine.rollout.job_tests import has_ended, known_test, never_ran
from serinus.engine.rollout.observation import TestRefusal
from serinus.engine.rollout.tested_content import is_as_written
from serinus.errors import AmbiguousError, RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import JobRecord, Meta, PodFacts, Record, RolloutRecord
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.http_tests import HttpTestResults, TestId
from serinus.reconcile.rollouts.observe import contents_in, current_jobs

logger = logging.getLogger(__name__)

PAUSE: Final = 10.0
"""Seconds between two reads of a Job's pods, and before the first one: most pods run by then."""

FIRST: Final = 1 / 3
"""The first read comes no later than after this part of the Job's deadline."""


SILENT: Final = timedelta(seconds=5)
"""So long may the creation of a Job fail until the status says why: most outages are shorter."""


class JobTests:
    """Creates the Jobs of tests, and reads the pods of those that have not run."""

    def __init__(  # noqa: PLR0913 - what surrounds it
        self,
        ports: Ports,
        cache: ClusterCache,
        results: HttpTestResults,
        background: BackgroundTasks,
        *,
        enqueue: Callable[[ObjectKey], None],
        on_change: Callable[[Record], None],
    ) -> None:
        """Keep the outcomes of Jobs that are deleted in ``results``; ``on_change`` takes in a Job that was created."""
        self._jobs, self._clock = ports.jobs, ports.clock
        self._cache = cache
        self._results = results
        self._background = background
        self._enqueue = enqueue
        self._on_change = on_change
        self._refused: dict[TestId, TestRefusal] = {}
        self._failing: dict[TestId, datetime] = {}
        self._pods: dict[str, PodFacts] = {}
        self._watched: set[str] = set()
        self._own: dict[TestId, str] = {}

    def __len__(self) -> int:
        """How many refusals, failures and Jobs are kept."""
        return len(self._refused.keys() | self._failing.keys() | self._own.keys()) + len(self._watched)

    # ---- creating ------------------------------------------------------------------------------

    async def run(self, owner: Meta, action: RunJobTest) -> None:
        """Create the Job of a test unless it exists; keep why where it is refused, or fails again and again.

        Raises:
            SerinusError: it may not have been created; ask again.
        """
        test = TestId.of(owner, action.identity)
        try:
            job = await self._jobs.ensure(owner, action, self._uid_of(owner.key, test))
        except RefusedError as problem:
            logger.warning("%s: the Job of test %s was refused: %s", owner.key, test.test, problem)
            self._refused[test] = TestRefusal(str(problem), self._clock.now())
            self._enqueue(owner.key)
        except (AmbiguousError, TransientError) as problem:
            now = self._clock.now()
            if now - self._failing.setdefault(test, now) < SILENT:
                raise
            logger.warning("%s: the Job of test %s cannot be created: %s", owner.key, test.test, problem)
            self._refused[test] = TestRefusal(str(problem), now, may_exist=True)
            self._enqueue(owner.key)
        else:
            self._refused.pop(test, None)
            self._failing.pop(test, None)
            self._own[test] = job.meta.uid
            # Before the watch reports it: a Job that is not in the cache is taken for one that somebody has deleted.
            self._on_change(job)

    # ---- what is known -------------------------------------------------------------------------

    def pods(self) -> Mapping[str, PodFacts]:
        """Return what the pods of the Jobs under way show, by the Job's uid."""
        return self._pods

    def own(self, record: RolloutRecord) -> dict[str, str]:
        """Return the uids of the Jobs of the current run and stage that are known to be the operator's own, by test.

        The status has those that an earlier process created; what this one has created since is newer.
        """
        contents = contents_in(self._cache, record)
        tests = [
            test for test in record.status.tests if test.job_uid and is_as_written(test.name, test.content, contents)
        ]
        stored = {test.name: test.job_uid for test in tests}
        return stored | {test.test: job for test, job in self._own.items() if self._is_current(test, record)}

    def _is_current(self, test: TestId, record: RolloutRecord) -> bool:
        return test.is_current(record.meta.uid, record.status, contents_in(self._cache, record))

    def _uid_of(self, rollout: ObjectKey, test: TestId) -> str:
        """Return the uid of the Job that was created for a test; empty where none is known."""
        record = self._cache.rollout(rollout)
        if record is None or not self._is_current(test, record):
            return self._own.get(test, "")
        return self.own(record).get(test.test, "")

    def refusals(self, record: RolloutRecord) -> dict[str, TestRefusal]:
        """Return why Jobs of the current run and stage were refused, by test."""
        return {test.test: refusal for test, refusal in self._refused.items() if self._is_current(test, record)}

    # ---- watching ------------------------------------------------------------------------------

    def watch(self, record: RolloutRecord) -> None:
        """Read the pods of the Rollout's Jobs that have not run, from now on; drop what concerns earlier stages."""
        for test in self._of(record.meta.uid):
            if not self._is_current(test, record):
                self._drop(test)
        for job in current_jobs(self._cache, record, self.own(record)):
            # Where the process ended before the status had the uid, the first one of the right name counts.
            self._own.setdefault(_test_of(job), job.meta.uid)
            if self._is_pending(job) and job.meta.uid not in self._watched:
                self._watched.add(job.meta.uid)
                self._background.start(self._watch(record.meta.key, job))

    def keep_outcome(self, job: JobRecord) -> None:
        """Keep how a Job ended that is being removed before the status has it, such as by its TTL."""
        key = job.meta.key
        rollout = self._cache.rollout(ObjectKey(key.namespace, job.rollout))
        test = _test_of(job)
        if job.outcome is None or rollout is None or not self._is_current(test, rollout):
            return
        if self.own(rollout).get(job.test, job.meta.uid) != job.meta.uid:
            return
        known = known_test(rollout.status, job.test)
        if (known is not None and has_ended(known)) or never_ran(job.outcome, known):
            return
        self._results.add(test, job.outcome)

    def forget(self, uid: str) -> None:
        """Drop the refusals of a Rollout that is gone."""
        for test in self._of(uid):
            self._drop(test)

    def _of(self, uid: str) -> list[TestId]:
        return [test for test in {*self._refused, *self._failing, *self._own} if test.uid == uid]

    def _drop(self, test: TestId) -> None:
        self._own.pop(test, None)
        self._refused.pop(test, None)
        self._failing.pop(test, None)

    def _is_pending(self, job: JobRecord) -> bool:
        return job.outcome is None and not job.has_run

    async def _watch(self, rollout: ObjectKey, job: JobRecord) -> None:
        """Read the Job's pods every ten seconds until a container has run, and keep what they show until it ends."""
        uid = job.meta.uid
        try:
            await asyncio.sleep(self._until_first(job))
            while (current := self._current(rollout, job)) is not None:
                if not self._pods.get(uid, PodFacts(has_run=False)).has_run:
                    await self._read(rollout, current)
                await asyncio.sleep(PAUSE)
        finally:
            self._pods.pop(uid, None)
            self._watched.discard(uid)

    def _until_first(self, job: JobRecord) -> float:
        due = job.created_at + timedelta(seconds=min(PAUSE, job.deadline * FIRST))
        return min(PAUSE, max(0.0, (due - self._clock.now()).total_seconds()))

    def _current(self, rollout: ObjectKey, job: JobRecord) -> JobRecord | None:
        """Return the Job as it is now; None once it has run, has ended or belongs to an earlier stage."""
        record = self._cache.rollout(rollout)
        jobs = current_jobs(self._cache, record, {}) if record is not None else ()
        return next((one for one in jobs if one.meta.uid == job.meta.uid and self._is_pending(one)), None)

    async def _read(self, rollout: ObjectKey, job: JobRecord) -> None:
        try:
            found = await self._jobs.pods(job)
        except RefusedError as problem:
            found = PodFacts(has_run=False, problem=f"no pod of it was ready, and its pods cannot be read: {problem}")
        except SerinusError as problem:
            logger.info("the pods of Job %s cannot be read: %s", job.meta.key, problem)
            return
        if found != self._pods.get(job.meta.uid):
            self._pods[job.meta.uid] = found
            self._enqueue(rollout)


def _test_of(job: JobRecord) -> TestId:
    return TestId(job.owner, job.run, job.stage, job.test, job.content)
