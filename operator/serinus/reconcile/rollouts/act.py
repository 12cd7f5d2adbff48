"""From actions to port calls: one `match`, weights first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from serinus.engine.rollout.actions import Action, RunHttpTest, RunJobTest, SetWeights
from serinus.errors import RefusedError
from serinus.ports.cluster_state import Meta, Record
from serinus.ports.services import Jobs, TrafficRouter
from serinus.reconcile.rollouts.http_tests import HttpTestRunner


@dataclass(frozen=True, slots=True)
class Hands:
    """Everything that an action may need.

    Attributes:
        router: writes weights.
        jobs: creates the Jobs of tests.
        desk: runs HTTP tests.
        begin: starts an HTTP test beside the loop.
        learn: takes in an object as a write has left it.
    """

    router: TrafficRouter
    jobs: Jobs
    desk: HttpTestRunner
    begin: Callable[[Meta, RunHttpTest], None]
    learn: Callable[[Record], None]


async def act(hands: Hands, owner: Meta, action: Action) -> None:
    """Do one action; doing it again changes nothing.

    Raises:
        SerinusError: it was not done, or may not have been; the status must stay as it was.
    """
    match action:
        case SetWeights():
            hands.learn(await hands.router.set_weights(owner.key.namespace, action))
        case RunHttpTest():
            hands.begin(owner, action)
        case RunJobTest():
            try:
                await hands.jobs.ensure(owner, action)
            except RefusedError as problem:
                hands.desk.refuse(owner, action.identity, f"the Job was refused: {problem}")
        case _:
            assert_never(action)
