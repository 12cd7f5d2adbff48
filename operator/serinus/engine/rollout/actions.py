"""What decide() may ask of the world. Every action is idempotent: doing it twice is doing it once."""

from dataclasses import dataclass

from serinus.api.modelversion import BackendRef
from serinus.api.route import RuleId
from serinus.api.route_template import HttpRouteTemplate
from serinus.api.stage_tests import HttpCheck, JobTest
from serinus.engine.rollout.traffic.facts import BackendKey, Mirror, backend_key


@dataclass(frozen=True, slots=True)
class BackendShare:
    """A backend and its share of the traffic, in ten-thousandths."""

    backend: BackendRef
    parts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWeights:
    """Give the model's backends these shares in the route's rule.

    Attributes:
        route: the route and rule.
        shares: every backend of ours that belongs in the rule; they sum to 10,000, or to 0 where none serves yet.
        ours: the backends of all the model's versions: those not in ``shares`` are taken out of the rule.
        filters_of: the backend whose filters a new entry gets; None where new entries have none.
        on_trial: the backend of the version on trial, by which the rule is found where somebody has renamed it; None
            where no run is under way.
        towards_safety: takes traffic from a bad version: written first, retried at once, waits for nothing.
    """

    route: RuleId
    shares: tuple[BackendShare, ...]
    ours: frozenset[BackendKey]
    filters_of: BackendKey | None = None
    on_trial: BackendKey | None = None
    towards_safety: bool = False

    @property
    def backends(self) -> frozenset[BackendKey]:
        """All backends that it knows."""
        return self.ours | {backend_key(share.backend) for share in self.shares}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRoute:
    """Make a managed route that does not exist, owned by the Rollout; one of its name that exists stays as it is.

    Attributes:
        route: its name.
        template: what it is made of.
        shares: the backends of its rule; they sum to 10,000, or to 0 where none serves yet.
    """

    route: RuleId
    template: HttpRouteTemplate
    shares: tuple[BackendShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeRoute:
    """Put right what a managed route has of its template; its backends and their weights stay as they are.

    Attributes:
        route: its name.
        template: what it should have.
        ours: the backends of all the model's versions, by which the rule is found where somebody has added others.
        on_trial: the backend of the version on trial; None where no run is under way.
    """

    route: RuleId
    template: HttpRouteTemplate
    ours: frozenset[BackendKey]
    on_trial: BackendKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMirror:
    """Have the model's rule in a managed route copy requests to one backend, or to none.

    Attributes:
        route: its name.
        mirror: what gets copies, and of how many requests; None for nothing.
        ours: the backends of all the model's versions, by which the rule is found where somebody has added others.
        on_trial: the backend of the version on trial; None where no run is under way.
    """

    route: RuleId
    mirror: Mirror | None
    ours: frozenset[BackendKey]
    on_trial: BackendKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRun:
    """Which test of which run: together with the Rollout's uid its idempotency key.

    ``content`` is the digest of what the test does: where that is edited it is another test.
    """

    __test__ = False  # pytest collects names that begin with Test

    run: int
    stage: str
    test: str
    model: str
    version: str
    backend: BackendRef
    content: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHttpTest:
    """Send one check to the candidate's own Service; the outcome shows up in ``Observation.tests``."""

    identity: TestRun
    check: HttpCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJobTest:
    """Make sure that the Job of this test exists; the outcome shows up in ``Observation.tests``."""

    identity: TestRun
    test: JobTest


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFinalizer:
    """Put our finalizer on the Rollout, or take it off.

    With it a Rollout that is deleted stays until its candidate has no traffic and its records are delivered.
    """

    present: bool


Action = SetWeights | CreateRoute | ShapeRoute | SetMirror | RunHttpTest | RunJobTest | SetFinalizer
