"""The HTTP tests under way, and the outcomes of tests that no object has, until the status has them.

A restart forgets them: a check that was under way is simply sent again.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import RunHttpTest, TestRun
from serinus.engine.rollout.job_tests import has_ended
from serinus.engine.rollout.observation import TestOutcome, TestRefusal
from serinus.engine.rollout.tested_content import is_as_written
from serinus.errors import RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import Meta
from serinus.ports.services import Clock, HttpChecks
from serinus.reconcile.background import BackgroundTasks

logger = logging.getLogger(__name__)

SECOND_TRY: Final = 5.0
"""After so many seconds a test that could not be sent is tried once more, then the status says so."""


@dataclass(frozen=True, slots=True)
class TestId:
    """One test of one stage of one run of one Rollout."""

    __test__ = False  # pytest collects names that begin with Test

    uid: str
    run: int
    stage: str
    test: str
    content: str = ""

    @classmethod
    def of(cls, owner: Meta, identity: TestRun) -> Self:
        """Return the id of the test that an action runs."""
        return cls(owner.uid, identity.run, identity.stage, identity.test, identity.content)

    def is_current(self, uid: str, status: RolloutStatus, contents: dict[str, str]) -> bool:
        """Return whether it is a test of the Rollout's current run and stage, as the plan has it now."""
        stage = status.stage
        current = stage is not None and (self.uid, self.run, self.stage) == (uid, status.run, stage.name)
        return current and is_as_written(self.test, self.content, contents)


class HttpTestResults:
    """The outcomes of ended tests that no status has yet, and why HTTP tests could not be sent."""

    def __init__(self) -> None:
        """Begin empty."""
        self._ended: dict[TestId, TestOutcome] = {}
        self._refused: dict[TestId, TestRefusal] = {}

    def __contains__(self, test: TestId) -> bool:
        """Whether the test has ended."""
        return test in self._ended

    def __len__(self) -> int:
        """How many outcomes and refusals are kept."""
        return len(self._ended) + len(self._refused)

    def add(self, test: TestId, outcome: TestOutcome) -> None:
        """Keep how a test ended."""
        self._ended[test] = outcome
        self._refused.pop(test, None)

    def refuse(self, test: TestId, refusal: TestRefusal) -> None:
        """Keep why a test could not be sent."""
        self._refused[test] = refusal

    def refusals(self, uid: str, status: RolloutStatus, contents: dict[str, str]) -> dict[str, TestRefusal]:
        """Return why tests of the current run and stage could not be sent, by name."""
        return {test.test: refusal for test, refusal in self._refused.items() if test.is_current(uid, status, contents)}

    def outcomes(self, uid: str, status: RolloutStatus, contents: dict[str, str]) -> dict[str, TestOutcome]:
        """Return the ended tests of the current run and stage, by name."""
        return {test.test: outcome for test, outcome in self._ended.items() if test.is_current(uid, status, contents)}

    def forget(self, uid: str, status: RolloutStatus, contents: dict[str, str]) -> None:
        """Drop what the status contains by now, and what belongs to earlier stages."""
        stored = {test.name for test in status.tests if has_ended(test)}
        for test in [test for test in self._ended if test.uid == uid]:
            if test.test in stored or not test.is_current(uid, status, contents):
                del self._ended[test]
        for test in [test for test in self._refused if test.uid == uid and not test.is_current(uid, status, contents)]:
            del self._refused[test]

    def forget_all(self, uid: str) -> None:
        """Drop everything about a Rollout that is gone."""
        for kept in (self._ended, self._refused):
            for test in [test for test in kept if test.uid == uid]:
                del kept[test]


class HttpTestRunner:
    """Runs HTTP tests in the background and enqueues their Rollout when they end."""

    def __init__(
        self,
        checks: HttpChecks,
        results: HttpTestResults,
        background: BackgroundTasks,
        enqueue: Callable[[ObjectKey], None],
        clock: Clock,
    ) -> None:
        """Send the requests through ``checks`` and keep the outcomes in ``results``."""
        self.results = results
        self._clock = clock
        self._checks = checks
        self._background = background
        self._enqueue = enqueue
        self._running: set[TestId] = set()

    def start(self, owner: Meta, action: RunHttpTest) -> None:
        """Run one test in the background, unless it is under way or has ended."""
        self._background.start(self._run(owner, action))

    async def _run(self, owner: Meta, action: RunHttpTest) -> None:
        test = TestId.of(owner, action.identity)
        if test in self._running or test in self.results:
            return
        self._running.add(test)
        try:
            self.results.add(test, await self._outcome(owner, action))
        except SerinusError as problem:
            logger.warning("%s: test %s cannot be sent: %s", owner.key, test.test, problem)
            self.results.refuse(test, TestRefusal(_why(problem), self._clock.now()))
        finally:
            self._running.discard(test)
        self._enqueue(owner.key)

    async def _outcome(self, owner: Meta, action: RunHttpTest) -> TestOutcome:
        namespace, backend = owner.key.namespace, action.identity.backend
        try:
            return await self._checks.run(namespace, backend, action.check)
        except TransientError:
            await asyncio.sleep(SECOND_TRY)
            return await self._checks.run(namespace, backend, action.check)


def _why(problem: SerinusError) -> str:
    """Return why nothing could be sent, with what to do where a person must do it."""
    if isinstance(problem, RefusedError):
        return f"{str(problem).rstrip('.')}. Give the operator the rights of its chart"
    return str(problem)
