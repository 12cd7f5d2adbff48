"""Laws that hold in every history: random worlds, random people, crashes at any moment, begun in any mode."""

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serinus.engine.rollout.decide import decide
from support.examples import examples
from support.exploration.events import Happening
from support.histories import BEGINNINGS, HAPPENINGS, KINDS, Coverage, Event, calm, histories, lived, one_of_each
from support.world import World

History = tuple[str, list[Event]]


_shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@settings(_shared, max_examples=examples(150))
@given(histories)
def test_every_decision_of_every_history_keeps_the_laws(history: History) -> None:
    """World holds each decision against support.laws; a history without decisions would prove nothing."""
    mode, events = history
    world = lived(mode, [*events, ("measure", 2)])

    assert len(world.decisions) >= 2 or world.gone


def test_every_event_in_every_mode_keeps_the_laws() -> None:
    coverage = Coverage()

    @settings(_shared, max_examples=examples(10))
    @given(events=one_of_each)
    def keep_the_laws(events: tuple[Event, ...]) -> None:
        for mode in BEGINNINGS:
            for event in events:
                world = lived(mode, [event, ("look", ""), ("measure", 2)], coverage)
                assert world.decisions or world.gone

    keep_the_laws()
    # Not in a fixture of the module: its tests may run in several processes.
    assert not coverage.missing(), coverage.told()


def test_the_histories_know_every_event() -> None:
    assert HAPPENINGS.keys() == set(Happening)
    assert set(HAPPENINGS.values()) - {None} <= set(KINDS)


@settings(max_examples=examples(50))
@given(histories)
def test_a_world_that_stays_as_it_is_comes_to_rest(history: History) -> None:
    world = calm(lived(*history))
    if world.gone:
        return
    world.settle(most=60)

    decision = world.look()

    assert decision.actions == ()
    assert decision.events == ()
    assert decision.status == world.decisions[-1][0]


@settings(max_examples=examples(50))
@given(histories, st.sampled_from(["before", "between"]))
def test_any_prefix_of_a_history_followed_by_a_restart_ends_as_without_it(history: History, moment: str) -> None:
    undisturbed, shaken = lived(*history), lived(*history)
    if shaken.gone:
        return
    shaken.look(crash=moment)
    for world in (undisturbed, shaken):
        calm(world).settle(most=60)
        for _ in range(30):
            world.measure().settle(most=60)

    assert story_of(shaken) == story_of(undisturbed)


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
def test_the_same_arguments_give_the_same_decision(history: History) -> None:
    world = lived(*history)
    observed = world.observe()
    now = world.now + timedelta(seconds=1)
    assert decide(world.spec, world.status, observed, now) == decide(world.spec, world.status, observed, now)
