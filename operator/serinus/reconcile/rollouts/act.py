"""From actions to port calls."""

from collections.abc import Callable
from typing import assert_never

from serinus.engine.rollout.actions import Action, RunHttpTest, RunJobTest, SetFinalizer, SetWeights
from serinus.errors import RefusedError
from serinus.ports.cluster_state import Meta, Record
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.http_tests import HttpTestRunner


async def act(
    ports: Ports, tests: HttpTestRunner, on_change: Callable[[Record], None], owner: Meta, action: Action
) -> None:
    """Perform one action; performing it again changes nothing.

    Args:
        ports: where it is done.
        tests: runs HTTP tests, and fails a test whose Job is refused.
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
            try:
                await ports.jobs.ensure(owner, action)
            except RefusedError as problem:
                tests.refuse(owner, action.identity, f"the Job was refused: {problem}")
        case _:
            assert_never(action)
