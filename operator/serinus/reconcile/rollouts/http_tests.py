"""The HTTP tests under way and their outcomes, until the status has them.

A restart forgets them: a check that was under way is simply sent again.
"""

import asyncio
from dataclasses import dataclass

from serinus.api.rollout_status import RolloutStatus, TestResult
from serinus.engine.rollout.actions import RunHttpTest, TestRun
from serinus.engine.rollout.observation import TestOutcome
from serinus.ports.cluster_state import Meta
from serinus.ports.services import HttpChecks


@dataclass(frozen=True, slots=True)
class TestId:
    """One test of one stage of one run of one Rollout."""

    __test__ = False  # pytest collects names that begin with Test

    uid: str
    run: int
    stage: str
    test: str


class HttpTestRunner:
    """Runs HTTP tests beside the reconcile loop."""

    __test__ = False  # pytest collects names that begin with Test

    def __init__(self, checks: HttpChecks) -> None:
        """Send the requests through this port."""
        self._checks = checks
        self._under_way: dict[TestId, asyncio.Task[TestOutcome]] = {}
        self._ended: dict[TestId, TestOutcome] = {}

    async def run(self, owner: Meta, action: RunHttpTest) -> bool:
        """Run one test unless it is under way or has ended; return whether it ended now."""
        test = _id(owner.uid, action.identity)
        if test in self._under_way or test in self._ended:
            return False
        task = asyncio.create_task(self._checks.run(owner.key.namespace, action.identity.backend, action.check))
        self._under_way[test] = task
        try:
            self._ended[test] = await task
        finally:
            del self._under_way[test]
        return True

    def refuse(self, owner: Meta, identity: TestRun, message: str) -> None:
        """Remember that a test cannot even begin: it has failed."""
        self._ended[_id(owner.uid, identity)] = TestOutcome(TestResult.FAILED, message)

    def outcomes(self, uid: str, status: RolloutStatus) -> dict[str, TestOutcome]:
        """Return the ended tests of the current run and stage, by name."""
        if status.stage is None:
            return {}
        here = (uid, status.run, status.stage.name)
        return {test.test: outcome for test, outcome in self._ended.items() if (test.uid, test.run, test.stage) == here}

    def forget(self, uid: str, status: RolloutStatus) -> None:
        """Drop what the status holds by now, and what belongs to earlier stages."""
        stage = status.stage.name if status.stage is not None else ""
        held = {test.name for test in status.tests}
        for test in [test for test in self._ended if test.uid == uid]:
            if (test.run, test.stage) != (status.run, stage) or test.test in held:
                del self._ended[test]

    def forget_all(self, uid: str) -> None:
        """Drop everything about a Rollout that is gone."""
        for test in [test for test in self._ended if test.uid == uid]:
            del self._ended[test]


def _id(uid: str, identity: TestRun) -> TestId:
    return TestId(uid, identity.run, identity.stage, identity.test)
