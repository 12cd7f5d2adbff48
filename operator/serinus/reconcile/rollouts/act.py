"""From actions to port calls."""

from collections.abc import Callable
from typing import assert_never

from serinus.engine.rollout.actions import (
    Action,
    CreateRoute,
    RunHttpTest,
    RunJobTest,
    SetFinalizer,
    SetMirror,
    SetWeights,
    ShapeRoute,
)
from serinus.errors import ConflictError, TransientError
from serinus.ports.cluster_state import Meta, Record, RouteRecord
from serinus.ports.services import Guard
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.http_tests import HttpTestRunner
from serinus.reconcile.rollouts.job_tests import JobTests


async def act(  # noqa: PLR0913 - the parts of an action's effect
    ports: Ports,
    tests: HttpTestRunner,
    jobs: JobTests,
    owner: Meta,
    action: Action,
    *,
    on_change: Callable[[Record], None],
    guard: Guard,
) -> None:
    """Perform one action; performing it again changes nothing.

    Args:
        ports: where it is done.
        tests: runs HTTP tests.
        jobs: creates the Jobs of tests.
        owner: the Rollout.
        action: what to do.
        on_change: takes in an object as a write has left it.
        guard: called before each request that changes a route.

    Raises:
        SerinusError: it was not done, or may not have been; the status must stay as it was.
    """
    match action:
        case SetWeights():
            on_change(await ports.router.set_weights(owner.key.namespace, action, guard=guard))
        case CreateRoute() | ShapeRoute() | SetMirror():
            route = await _on_managed_route(ports, owner, action, guard)
            on_change(route)
            if isinstance(action, CreateRoute) and route.made_for != owner.uid:
                raise ConflictError(f"{action.route.title} exists, and was not made for Rollout {owner.key}")
        case SetFinalizer(present=present):
            written = await ports.finalizers.set(owner, present=present)
            if written.has_finalizer != present:
                raise TransientError(f"Rollout {owner.key}: somebody changes its finalizers again")
            # One that was being deleted is gone with its last finalizer, and must not come back into the cache.
            if present or not written.deleting:
                on_change(written)
        case RunHttpTest():
            tests.start(owner, action)
        case RunJobTest():
            await jobs.run(owner, action)
        case _:
            assert_never(action)


async def _on_managed_route(
    ports: Ports, owner: Meta, action: CreateRoute | ShapeRoute | SetMirror, guard: Guard
) -> RouteRecord:
    match action:
        case CreateRoute():
            return await ports.managed_routes.create(owner, action, guard=guard)
        case ShapeRoute():
            return await ports.managed_routes.shape(owner, action, guard=guard)
        case SetMirror():
            return await ports.managed_routes.mirror(owner, action, guard=guard)
        case _:
            assert_never(action)
