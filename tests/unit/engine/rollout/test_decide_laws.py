"""Laws that hold in every history: random worlds, random people, crashes at any moment."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.api.names import Command
from serinus.api.rollout_status import TestResult
from serinus.engine.rollout.decide import decide
from serinus.engine.rollout.observation import InvalidSpec
from support.builders import CANARY, PRODUCTION, STAGING, a_spec, a_stage, a_version
from support.examples import examples
from support.world import BAD, GOOD, NOTHING, World

TESTED = {**STAGING, "tests": [{"name": "answers", "http": {"path": "/"}}]}
PLANS = (
    (STAGING, CANARY, PRODUCTION),
    (TESTED, a_stage("one", "1%", duration="1m"), CANARY, {**PRODUCTION, "approval": "Required"}),
    (a_stage("production", "100%", bake="1m"),),
    (STAGING, {**CANARY, "maxDuration": "11m", "onTimeout": "Rollback"}, PRODUCTION),
)
VERSIONS = ("1.0.0", "2.0.0", "3.0.0")
QUALITIES = {"good": GOOD, "bad": BAD, "idle": NOTHING, "down": None}

steps = st.one_of(
    st.tuples(st.just("look"), st.sampled_from(["", "", "", "before", "between"])),
    st.tuples(st.just("measure"), st.sampled_from([1, 1, 2, 40])),
    st.tuples(st.just("gateway"), st.booleans()),
    st.tuples(st.just("quality"), st.sampled_from(VERSIONS), st.sampled_from(sorted(QUALITIES))),
    st.tuples(st.just("ready"), st.sampled_from(VERSIONS), st.integers(0, 1)),
    st.tuples(st.just("wish"), st.sampled_from(VERSIONS), st.integers(0, len(PLANS) - 1)),
    st.tuples(st.just("command"), st.sampled_from(sorted(Command)), st.integers(0, 3)),
    st.tuples(st.just("freeze"), st.booleans()),
    st.tuples(st.just("test"), st.sampled_from([TestResult.FAILED, TestResult.PASSED])),
    st.tuples(st.just("spoil"), st.booleans()),
    st.tuples(st.just("forget"), st.sampled_from(VERSIONS)),
)
histories = st.lists(steps, max_size=25)


def play(world: World, step: tuple[object, ...]) -> None:  # noqa: C901, PLR0912 - one case for each kind of step
    match step:
        case ("look", str(crash)):
            world.look(crash=crash)
        case ("measure", int(ticks)):
            for _ in range(ticks):
                world.measure().look()
                world.gateway()
        case ("gateway", bool(accepts)):
            world.gateway_accepts = accepts
            world.gateway()
        case ("quality", str(version), str(quality)):
            world.quality[version] = QUALITIES[quality]
        case ("ready", str(version), int(ready)):
            world.versions[version] = a_version(version, ready=ready)
        case ("wish", str(version), int(index)):
            world.spec = a_spec(version, *PLANS[index])
        case ("command", Command() as verb, int(token)):
            world.commands[verb] = str(token)
        case ("freeze", bool(frozen)):
            world.freeze = "quarter end" if frozen else None
        case ("test", TestResult() as result):
            world.test_results["answers"] = result
        case ("spoil", bool(spoilt)):
            plan = world.spec.last if isinstance(world.spec, InvalidSpec) else world.spec
            if plan is not None:
                world.spec = InvalidSpec("spec.stages", "spoilt", last=plan) if spoilt else plan
        case ("forget", str(version)):
            world.versions.pop(version, None)
        case _:
            raise AssertionError(step)


def lived(history: list[tuple[object, ...]]) -> World:
    world = World(versions={version: a_version(version) for version in VERSIONS})
    for step in history:
        play(world, step)
    return world


@settings(max_examples=examples(150))
@given(histories)
def test_every_decision_of_every_history_keeps_the_laws(history: list[tuple[object, ...]]) -> None:
    """World holds each decision against tests/support/laws.py; a history without decisions would prove nothing."""
    world = lived([*history, ("measure", 2)])

    assert len(world.decisions) >= 2


@settings(max_examples=examples(50))
@given(histories)
def test_a_world_that_stays_as_it_is_comes_to_rest(history: list[tuple[object, ...]]) -> None:
    world = lived(history)
    world.gateway_accepts = True
    world.settle(most=40)

    decision = world.look()

    assert decision.actions == ()
    assert decision.events == ()
    assert decision.status == world.decisions[-1][0]


@settings(max_examples=examples(50))
@given(histories, st.sampled_from(["before", "between"]))
def test_any_prefix_of_a_history_followed_by_a_restart_ends_as_without_it(
    history: list[tuple[object, ...]], moment: str
) -> None:
    calm, shaken = lived(history), lived(history)
    shaken.look(crash=moment)
    for world in (calm, shaken):
        world.gateway_accepts, world.freeze = True, None
        world.settle(most=40)
        for _ in range(30):
            world.measure().settle(most=40)

    assert story_of(shaken) == story_of(calm)


def story_of(world: World) -> tuple[object, ...]:
    status = world.status
    return (
        status.phase,
        status.reason,
        status.run,
        status.stable.version if status.stable else None,
        status.candidate.version if status.candidate else None,
        status.candidate.weight if status.candidate else None,
        status.stage.name if status.stage else None,
        status.stage.state if status.stage else None,
        status.quarantined,
        [(run.version, run.result) for run in status.history],
        {entry.key: entry.weight for entry in world.route.entries},
    )


@settings(max_examples=examples(50))
@given(histories)
def test_the_same_arguments_give_the_same_decision(history: list[tuple[object, ...]]) -> None:
    world = lived(history)
    observed = world.observe()
    now = world.now + timedelta(seconds=1)
    assert decide(world.spec, world.status, observed, now) == decide(world.spec, world.status, observed, now)
