"""From actions to port calls."""

from collections.abc import Callable
from typing import assert_never

from serinus.engine.rollout.actions import Action, RunHttpTest, RunJobTest, SetFinalizer, SetWeights
from serinus.ports.cluster_state import Meta, Record
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.http_tests import HttpTestRunner
from serinus.reconcile.rollouts.job_tests import JobTests


async def act(  # noqa: PLR0913, PLR0917 - the parts of an action's effect
    ports: Ports,
    tests: HttpTestRunner,
    jobs: JobTests,
    on_change: Callable[[Record], None],
    owner: Meta,
    action: Action,
) -> None:
    """Perform one action; performing it again changes nothing.

    Args:
        ports: where it is done.
        tests: runs HTTP tests.
        jobs: creates the Jobs of tests.
        on_change: takes in an object as a write has left it.
        owner: the Rollout.
        action: what to do.

    Raises:
        SerinusError: it was not done, or may not have been; the status must stay as it was.
    """
    match action:
        case SetWeights():
            on_change(await ports.router.set_weights(owner.key.namespace, action))
        case SetFinalizer(present=present):
            on_change(await ports.finalizers.set(owner, present=present))
        case RunHttpTest():
            tests.start(owner, action)
        case RunJobTest():
            await jobs.run(owner, action)
        case _:
            assert_never(action)
