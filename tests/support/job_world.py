"""A world whose Jobs do not end by themselves: a test says what becomes of each."""

from dataclasses import dataclass, field, replace
from typing import Self

from serinus.api.rollout_status import StageState, TestResult, TestStatus
from serinus.engine.rollout.actions import Action, RunJobTest
from serinus.engine.rollout.observation import JobFacts, Observation, TestOutcome, TestRefusal
from support.builders import CANARY, PRODUCTION, STAGING, a_spec
from support.world import World
from support.world_states import JOB_TEST


@dataclass
class JobWorld(World):
    """What surrounds a Rollout whose tests are Jobs.

    Attributes:
        jobs: by test, the Jobs that there are and that have not ended.
        refusal: why the API server creates no Job; empty while it does.
        job_tests: whether this installation creates Jobs.
        asked: the tests whose Jobs were asked for, in order.
    """

    jobs: dict[str, JobFacts] = field(default_factory=dict)
    refusal: str = ""
    refused: dict[str, TestRefusal] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    job_tests: bool = True

    def observe(self) -> Observation:
        observed = super().observe()
        return replace(observed, jobs=dict(self.jobs), refused_tests=dict(self.refused), job_tests=self.job_tests)

    def fork(self) -> Self:
        """Another world that is like this one and goes its own way."""
        jobs, refused, asked = dict(self.jobs), dict(self.refused), list(self.asked)
        return replace(super().fork(), jobs=jobs, refused=refused, asked=asked)

    def see(self, problem: str = "", *, has_run: bool = False, test: str = "contract") -> "JobWorld":
        """The pods of a Job are seen, and a decision is taken."""
        self.jobs[test] = replace(self.jobs[test], problem=problem, has_run=has_run)
        self.settle()
        return self

    def end(self, result: TestResult, *, timed_out: bool = False, test: str = "contract") -> None:
        """A Job ends."""
        job = self.jobs.pop(test)
        self.outcomes()[test] = TestOutcome(result, f"Job {result.value}", job=job.name, timed_out=timed_out)

    def delete_job(self, test: str = "contract") -> None:
        """Somebody deletes a Job, ended or not."""
        self.jobs.pop(test, None)
        self.outcomes().pop(test, None)

    def outcomes(self) -> dict[str, TestOutcome]:
        stage = self.status.stage
        assert stage is not None
        return self.ended_tests.setdefault((self.status.run, stage.name), {})

    def entry(self, test: str = "contract") -> TestStatus:
        """What the status has of a test."""
        return next(one for one in self.status.tests if one.name == test)

    def _do(self, action: Action) -> bool:
        if not isinstance(action, RunJobTest):
            return super()._do(action)
        name = action.identity.test
        self.asked.append(name)
        if self.refusal:
            self.refused[name] = TestRefusal(self.refusal, self.now)
        else:
            self.refused.pop(name, None)
            self.jobs.setdefault(name, JobFacts(name=f"fraud-1-{name}"))
        return True


def under_test_in_staging() -> JobWorld:
    """A run at 0 % whose Job was asked for just now."""
    world = JobWorld(spec=a_spec("2.0.0", {**STAGING, "tests": [JOB_TEST]}, CANARY, PRODUCTION))
    world.settle()
    assert world.status.stage is not None
    assert world.status.stage.state is StageState.TESTING
    assert world.asked == ["contract"]
    return world


def under_test_in_canary(**fields: object) -> JobWorld:
    """A run at 5 % whose Job was asked for just now; ``fields`` are the canary stage's."""
    world = JobWorld(spec=a_spec("2.0.0", STAGING, {**CANARY, "tests": [JOB_TEST], **fields}, PRODUCTION))
    for _ in range(20):
        world.settle()
        if world.asked:
            assert world.weight("2.0.0")
            return world
        world.measure()
    raise AssertionError("the canary's Job was never asked for")
