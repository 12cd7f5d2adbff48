"""Every state that a small world can reach, by every move that anybody can make: breadth first, nothing left out."""

from collections import deque
from collections.abc import Callable, Hashable
from functools import partial

import pytest

from serinus.api.names import Command
from serinus.engine.rollout.modes import Idle, RolledBack, RollingBack, Running, mode_of
from support.builders import CANARY, PRODUCTION, STAGING, a_spec, a_version
from support.world import BAD, GOOD, NOTHING, World

GATED = {**PRODUCTION, "approval": "Required"}
Move = Callable[[World], object]


def measured(world: World, ticks: int) -> None:
    for _ in range(ticks):
        world.measure()


def turns(world: World, quality: object) -> None:
    world.quality = dict.fromkeys(world.versions, quality)  # type: ignore[arg-type]
    world.measure()


def pending(world: World, version: str) -> None:
    world.spec = a_spec(version, STAGING, CANARY, GATED)


def commands(world: World, verb: Command) -> None:
    world.commands[verb] = "asked" if world.status.last_handled.get(verb.value) != "asked" else "again"
    world.look()


def readiness(world: World, ready: int) -> None:
    world.versions["1.0.0"] = a_version("1.0.0", ready=ready)


MOVES: dict[str, Move] = {
    "look": lambda world: world.look(),
    "crash before the writes": lambda world: world.look(crash="before"),
    "crash between the writes": lambda world: world.look(crash="between"),
    "the gateway accepts": lambda world: world.gateway(),
    "ten good minutes": lambda world: measured(world, 41),
    "it turns bad": lambda world: turns(world, BAD),
    "it turns good": lambda world: turns(world, GOOD),
    "no traffic": lambda world: turns(world, NOTHING),
    "no Prometheus": lambda world: turns(world, None),
    "1.0.0 is wanted": lambda world: pending(world, "1.0.0"),
    "2.0.0 is wanted": lambda world: pending(world, "2.0.0"),
    "frozen": lambda world: setattr(world, "freeze", "quarter end"),
    "thawed": lambda world: setattr(world, "freeze", None),
    "the target is not ready": lambda world: readiness(world, 0),
    "the target is ready": lambda world: readiness(world, 1),
    **{verb.value: partial(commands, verb=verb) for verb in Command},
}


def state_of(world: World) -> Hashable:
    """What makes two worlds the same: all but times, sentences and the past."""
    status, stage = world.status, world.status.stage
    elapsed = stage is not None and (world.now - stage.state_since).total_seconds() >= 600
    key = world._stage_key()
    readings = world.evidence.get(key, ()) if key is not None else ()
    return (
        type(mode_of(status)),
        status.stable.version if status.stable else None,
        status.candidate.version if status.candidate else None,
        status.candidate.weight if status.candidate else None,
        (stage.name, stage.state, elapsed) if stage else None,
        status.paused is not None,
        bool(status.approvals),
        frozenset(status.quarantined),
        status.last_known_good,
        tuple((entry.key.name, entry.weight) for entry in world.route.entries),
        world.route.parents[0].observed_generation == world.route.generation,
        tuple(sorted((version, batch) for version, batch in world.quality.items() if version == "2.0.0" and batch)),
        tuple((one.breached_at is not None, one.requests > 600, type(one.latest).__name__) for one in readings),
        world.freeze,
        world.versions["1.0.0"].ready,
        world.spec.version,  # type: ignore[union-attr]
        frozenset(verb for verb, token in world.commands.items() if status.last_handled.get(verb.value) != token),
    )


def explore(start: World, moves: dict[str, Move], most: int) -> dict[Hashable, World]:
    seen = {state_of(start): start}
    queue = deque([start])
    while queue:
        world = queue.popleft()
        for move in moves.values():
            following = world.fork()
            move(following)
            state = state_of(following)
            if state not in seen:
                seen[state] = following
                queue.append(following)
                assert len(seen) <= most, "the space is not small any more"
    return seen


METRICS = (
    "look;crash between the writes;the gateway accepts;ten good minutes;it turns bad;it turns good;"
    "no traffic;no Prometheus"
)
PEOPLE = (
    "look;crash before the writes;the gateway accepts;ten good minutes;it turns bad;promote;pause;resume;abort;retry"
)
WISHES = (
    "look;the gateway accepts;ten good minutes;it turns bad;1.0.0 is wanted;2.0.0 is wanted;frozen;thawed;rollback;"
    "the target is not ready;the target is ready"
)


@pytest.mark.parametrize(
    "moves", [METRICS, PEOPLE, WISHES], ids=["metrics and crashes", "people", "wishes and freezes"]
)
def test_every_reachable_state_keeps_the_laws_and_finds_its_rest(
    moves: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = World(spec=a_spec("2.0.0", STAGING, CANARY, GATED))

    seen = explore(start, {name: MOVES[name] for name in moves.split(";")}, most=6000)

    for world in seen.values():
        calm = world.fork()
        calm.settle(most=40)
    modes = {type(mode_of(world.status)) for world in seen.values()}
    with capsys.disabled():
        print(  # noqa: T201 - the count is what the test has to tell
            f"\n  {len(seen)} states visited by {moves.count(';') + 1} moves; "
            f"modes: {', '.join(sorted(mode.__name__ for mode in modes))}"
        )
    assert {Idle, Running, RollingBack, RolledBack} <= modes
