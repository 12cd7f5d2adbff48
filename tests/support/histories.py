"""Random histories around one Rollout: everything that others can do, in any mode, with crashes at any moment.

``lived`` plays one in a World, which holds every decision against the laws. ``Coverage`` counts which event came in
which mode, so that the generator cannot silently cease to cover one.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serinus.api.modelversion import BackendRef
from serinus.api.names import Command
from serinus.api.rollout_status import RolloutStatus, TestResult
from serinus.engine.analysis.measurements import Batch
from serinus.engine.rollout.modes import mode_of
from serinus.engine.rollout.observation import AdmissionBlock, InvalidSpec
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteProblem
from serinus.engine.rollout.waiting import WaitReason
from support.builders import CANARY, PRODUCTION, STAGING, a_backend, a_key, a_spec, a_stage, a_version
from support.exploration.events import Happening
from support.exploration.facts import STRANGER
from support.exploration.moves import older
from support.history_laws import FOREIGN_WRITER, Past
from support.world import BAD, GOOD, NOTHING, World

TESTED: Final = {**STAGING, "tests": [{"name": "answers", "http": {"path": "/"}}]}
PLANS: Final = (
    (STAGING, CANARY, PRODUCTION),
    (TESTED, a_stage("one", "1%", duration="1m"), CANARY, {**PRODUCTION, "approval": "Required"}),
    (a_stage("production", "100%", bake="1m"),),
    (STAGING, {**CANARY, "maxDuration": "11m", "onTimeout": "Rollback"}, PRODUCTION),
    (STAGING, {**PRODUCTION, "name": "canary"}),
    (STAGING, {**CANARY, "warmup": {"requests": 1000}}, {**PRODUCTION, "warmup": {"readyFor": "1m"}}),
)
VERSIONS: Final = ("1.0.0", "2.0.0", "3.0.0")
FAILING: Final = Batch(700, 700, 700, 700)
QUALITIES: Final = {"good": GOOD, "bad": BAD, "failing": FAILING, "idle": NOTHING, "down": None}
BLOCKS: Final = {
    "well": None,
    "yanked": AdmissionBlock(WaitReason.VERSION_YANKED, "It was yanked."),
    "barred": AdmissionBlock(WaitReason.SCHEMA_REJECTED, "Its schema breaks a promise."),
    "other bytes": AdmissionBlock(WaitReason.ARTIFACT_REJECTED, "Its bytes are others."),
    "checked": AdmissionBlock(WaitReason.ARTIFACT_PENDING, "It is being checked.", temporary=True),
}
PROBLEMS: Final = {
    "deleted": RouteProblem(WaitReason.ROUTE_MISSING, "HTTPRoute fraud does not exist."),
    "without rule": RouteProblem(WaitReason.NO_SUCH_RULE, "HTTPRoute fraud has no rule predict."),
    "owned": RouteProblem(WaitReason.ROUTE_OWNED_BY_OTHER, "HTTPRoute fraud belongs to InferenceService/fraud."),
    "there": None,
}
EDITS: Final = ("raise", "remove", "stranger", "no stranger", "Git", "empty")
NEWER: Final = "it was written by a newer release"

Event = tuple[object, ...]

_EVENTS: Final[dict[str, st.SearchStrategy[Event]]] = {
    "look": st.tuples(st.just("look"), st.sampled_from(["", "", "", "before", "between"])),
    "measure": st.tuples(st.just("measure"), st.sampled_from([1, 1, 2, 40])),
    "gateway": st.tuples(st.just("gateway"), st.booleans()),
    "refs": st.tuples(st.just("refs"), st.booleans()),
    "quality": st.tuples(st.just("quality"), st.sampled_from(VERSIONS), st.sampled_from(sorted(QUALITIES))),
    "ready": st.tuples(st.just("ready"), st.sampled_from(VERSIONS), st.integers(0, 1)),
    "block": st.tuples(st.just("block"), st.sampled_from(VERSIONS), st.sampled_from(sorted(BLOCKS))),
    "replaced": st.tuples(st.just("replaced"), st.sampled_from(VERSIONS)),
    "forget": st.tuples(st.just("forget"), st.sampled_from(VERSIONS)),
    "service": st.tuples(st.just("service"), st.sampled_from(VERSIONS), st.booleans()),
    "wish": st.tuples(st.just("wish"), st.sampled_from(VERSIONS), st.integers(0, len(PLANS) - 1)),
    "rollbackTo": st.tuples(st.just("rollbackTo"), st.sampled_from(VERSIONS)),
    "command": st.tuples(st.just("command"), st.sampled_from(sorted(Command)), st.integers(0, 3)),
    "withdraw": st.tuples(st.just("withdraw"), st.sampled_from(sorted(Command))),
    "target": st.tuples(st.just("target"), st.sampled_from(["", *VERSIONS, "9.9.9"])),
    "freeze": st.tuples(st.just("freeze"), st.booleans()),
    "rival": st.tuples(st.just("rival"), st.booleans()),
    "test": st.tuples(st.just("test"), st.sampled_from([TestResult.FAILED, TestResult.PASSED])),
    "spoil": st.tuples(st.just("spoil"), st.booleans()),
    "status": st.tuples(st.just("status"), st.sampled_from(["newer", "older", "readable"])),
    "route": st.tuples(st.just("route"), st.sampled_from(sorted(PROBLEMS))),
    "edit": st.tuples(st.just("edit"), st.sampled_from(EDITS), st.sampled_from(VERSIONS)),
    "registry": st.tuples(st.just("registry"), st.booleans()),
    "clock": st.tuples(st.just("clock"), st.sampled_from([-600, -31, 31, 600])),
    "delete": st.tuples(st.just("delete"), st.booleans()),
    "create": st.tuples(st.just("create")),
    "shares": st.tuples(st.just("shares"), st.sampled_from([None, 50.0])),
}
"""By name, the events and what can be different in them."""

KINDS: Final = tuple(_EVENTS)
"""The kinds of event."""

steps: Final = st.one_of(*_EVENTS.values())
one_of_each: Final = st.tuples(*_EVENTS.values())

HAPPENINGS: Final[dict[Happening, str | None]] = {
    Happening.MODEL_VERSION_DELETED: "forget",
    Happening.MODEL_VERSION_REPLACED: "replaced",
    Happening.MODEL_VERSION_CREATED: "ready",
    Happening.SERVICE_DELETED: "service",
    Happening.ENDPOINTS_LOST: "ready",
    Happening.ENDPOINTS_BACK: "ready",
    Happening.ROUTE_DELETED: "route",
    Happening.ROUTE_REPLACED: "route",
    Happening.ROUTE_CREATED: "route",
    Happening.RULE_DELETED: "route",
    Happening.RULE_CREATED: "route",
    Happening.RULE_EDITED: "edit",
    Happening.ROLLOUT_DELETED: "delete",
    Happening.ROLLOUT_CREATED: "create",
    Happening.RIVAL: "rival",
    Happening.RIVAL_GONE: "rival",
    Happening.FROZEN: "freeze",
    Happening.THAWED: "freeze",
    Happening.ACCEPTED: "gateway",
    Happening.REFUSED: "gateway",
    Happening.UNRESOLVED: "refs",
    Happening.COMMAND: "command",
    Happening.COMMAND_WITHDRAWN: "withdraw",
    Happening.ANY_TARGET: "target",
    Happening.YANKED: "block",
    Happening.BARRED: "block",
    Happening.QUARANTINED: "quality",
    Happening.VERSION_CHANGED: "wish",
    Happening.STAGES_CHANGED: "wish",
    Happening.ROUTE_CHANGED: None,
    Happening.ROLLBACK_TO_CHANGED: "rollbackTo",
    Happening.SPEC_UNREADABLE: "spoil",
    Happening.SPEC_READABLE: "spoil",
    Happening.STATUS_UNREADABLE: "status",
    Happening.STATUS_READABLE: "status",
    Happening.OLDER_RELEASE: "status",
    Happening.NEWER_RELEASE: "status",
    Happening.CLOCK_BACK: "clock",
    Happening.CLOCK_FORWARD: "clock",
    Happening.TIME: "measure",
    Happening.ANSWERED: "measure",
    Happening.ANSWERED_PARTLY: "quality",
    Happening.ANSWERED_LATE: "clock",
    Happening.NEVER_ANSWERED: "quality",
    Happening.WEIGHTS_IGNORED: "shares",
    Happening.TEST_ENDS: "test",
    Happening.REGISTRY: "registry",
    Happening.CRASH: "look",
    Happening.WRITE_FAILS: "route",
    Happening.RESTART: "look",
    Happening.WATCH_GAP: None,
}
"""By event, the kind that plays it; None where only the exploration does."""

BEGINNINGS: Final[dict[str, list[Event]]] = {
    "Idle": [],
    "Running": [("measure", 10)],
    "RollingBack": [("measure", 10), ("gateway", False), ("command", Command.ABORT, 0), ("look", "")],
    "Stranded": [("measure", 60), ("ready", "1.0.0", 0), ("command", Command.ABORT, 0), ("look", "")],
    "RolledBack": [("measure", 10), ("command", Command.ABORT, 0), ("measure", 2)],
    "Settled": [("measure", 90)],
}
"""By mode, what leads there from the beginning."""

histories: Final = st.tuples(st.sampled_from(sorted(BEGINNINGS)), st.lists(steps, max_size=25))
"""The mode in which a history begins, and what happens then."""


@dataclass(repr=False)
class Coverage:
    """How often each kind of event came in each mode."""

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    laws: Counter[str] = field(default_factory=Counter)
    """By law, the histories in which its premise was true at least once."""
    histories: int = 0
    decisions: int = 0

    def told(self) -> str:
        """Return a line on the histories, and how often the rarest pair came."""
        (mode, kind), times = min(self.pairs.items(), key=lambda pair: pair[1])
        return (
            f"{self.histories:,} histories, {self.decisions:,} decisions, {len(self.pairs)} pairs of mode and event; "
            f"the rarest is {kind} while {mode}: {times}"
        )

    def missing(self) -> set[tuple[str, str]]:
        """Return the pairs that are possible and did not come."""
        return {(mode, kind) for mode in BEGINNINGS for kind in KINDS} - self.pairs.keys()


def lived(mode: str, history: Iterable[Event], coverage: Coverage | None = None) -> World:
    """Play a history that begins in this mode; once the Rollout is gone, only a new one changes anything."""
    world = _begun(mode).fork()
    for step in history:
        if coverage is not None:
            coverage.pairs[type(mode_of(world.status)).__name__, str(step[0])] += 1
        play(world, step)
    if coverage is not None:
        coverage.histories += 1
        coverage.decisions += len(world.decisions)
        coverage.laws.update(world.applied)
    return world


def play(world: World, step: Event) -> None:
    """Let one event happen."""
    if not world.gone or step[0] == "create":
        _PLAYED[str(step[0])](world, *step[1:])


@cache
def _begun(mode: str) -> World:
    world = World(versions={version: a_version(version) for version in VERSIONS})
    for step in BEGINNINGS[mode]:
        play(world, step)
    if type(mode_of(world.status)).__name__ != mode:
        message = f"this does not lead to {mode}: {world.status.summary}"
        raise AssertionError(message)
    return world


def played(number: int) -> Coverage:
    """Play so many random histories, the same ones at every run, and count what came in them."""
    coverage = Coverage()

    @settings(max_examples=number, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
    @given(histories)
    def one(history: tuple[str, list[Event]]) -> None:
        mode, events = history
        lived(mode, [*events, ("measure", 2)], coverage)

    one()
    return coverage


def calm(world: World) -> World:
    """Let everything that goes away by itself go away: the gateway answers, nobody holds anything any more."""
    world.gateway_accepts, world.freeze, world.conflict, world.status_problem = True, None, "", ""
    world.route_problem, world.unrecorded, world.registry_down = None, frozenset(), False
    return world


# ---- what each event does ------------------------------------------------------------------------


def _look(world: World, crash: str) -> None:
    world.look(crash=crash)
    if crash == "between":
        _restart(world)


def _restart(world: World) -> None:
    """What only the process knew is gone: the evidence, and the last spec that could be read."""
    world.evidence.clear()
    if isinstance(world.spec, InvalidSpec):
        world.spec = replace(world.spec, last=None)


def _measure(world: World, ticks: int) -> None:
    for _ in range(ticks):
        world.measure().look()
        world.gateway()


def _gateway(world: World, accepts: bool) -> None:  # noqa: FBT001 - an event's argument
    world.gateway_accepts = accepts
    world.gateway()


def _refs(world: World, resolved: bool) -> None:  # noqa: FBT001 - likewise
    parents = tuple(replace(parent, resolved=resolved) for parent in world.route.parents)
    world.route = replace(world.route, parents=parents)


def _version(world: World, version: str, **changes: object) -> None:
    world.versions[version] = replace(world.versions.get(version, a_version(version)), **changes)  # type: ignore[arg-type]


def _service(world: World, version: str, exists: bool) -> None:  # noqa: FBT001 - likewise
    key = a_key(version)
    world.missing = world.missing - {key} if exists else world.missing | {key}
    world.endpoints[key] = int(exists)
    if version in world.versions:
        _version(world, version, ready=int(exists))


def _replaced(world: World, version: str) -> None:
    other = BackendRef(name=f"{a_backend(version).name}-new", port=80)
    _version(world, version, backend=other if world.versions.get(version) == a_version(version) else a_backend(version))


def _forget(world: World, version: str) -> None:
    world.versions.pop(version, None)


def _quality(world: World, version: str, quality: str) -> None:
    world.quality[version] = QUALITIES[quality]


def _wish(world: World, version: str, index: int) -> None:
    world.spec = a_spec(version, *PLANS[index])


def _roll_back_to(world: World, version: str) -> None:
    if not isinstance(world.spec, InvalidSpec):
        world.spec = a_spec(world.spec.version, *PLANS[0], rollbackTo=version)


def _spoil(world: World, spoilt: bool) -> None:  # noqa: FBT001 - likewise
    plan = world.spec.last if isinstance(world.spec, InvalidSpec) else world.spec
    if plan is None and not spoilt:
        world.spec = a_spec("2.0.0")
    elif plan is not None:
        world.spec = InvalidSpec("spec.stages", "spoilt", last=plan) if spoilt else plan


def _status(world: World, writer: str) -> None:
    world.status_problem = NEWER if writer == "newer" else ""
    if writer == "older":
        world.status = older(world.status)
        world.past = replace(world.past, held=False)


def _route(world: World, becomes: str) -> None:
    world.route_problem = PROBLEMS[becomes]


def _edit(world: World, edit: str, version: str) -> None:
    entries, key = world.route.entries, a_key(version)
    match edit:
        case "raise":
            changed = (*(entry for entry in entries if entry.key != key), RouteEntry(key, 5000))
        case "remove":
            changed = tuple(entry for entry in entries if entry.key != key)
        case "stranger":
            changed = (*(entry for entry in entries if entry.key != STRANGER), RouteEntry(STRANGER, 1000))
        case "no stranger":
            changed = tuple(entry for entry in entries if entry.key != STRANGER)
        case "Git":
            changed = (RouteEntry(a_key("1.0.0"), 1),)
        case _:
            changed = ()
    if changed != entries:
        world.route = replace(
            world.route, entries=changed, generation=world.route.generation + 1, written_by=FOREIGN_WRITER
        )


def _delete(world: World, terminating: bool) -> None:  # noqa: FBT001 - likewise
    world.deleted, world.terminating = True, terminating
    world.gone = not world.has_finalizer


def _create(world: World) -> None:
    if world.gone:
        world.status, world.past, world.has_finalizer = RolloutStatus(), Past(), False
        world.deleted = world.terminating = world.gone = False


def _set(name: str, of: Callable[[object], object] = lambda value: value) -> Callable[..., None]:
    def play(world: World, value: object) -> None:
        setattr(world, name, of(value))

    return play


def _command(world: World, verb: Command, token: int) -> None:
    world.commands[verb] = str(token)


def _withdraw(world: World, verb: Command) -> None:
    world.commands.pop(verb, None)


def _clock(world: World, seconds: int) -> None:
    world.now += timedelta(seconds=seconds)


def _test(world: World, result: TestResult) -> None:
    world.test_results["answers"] = result


_PLAYED: Final[dict[str, Callable[..., None]]] = {
    "look": _look,
    "measure": _measure,
    "gateway": _gateway,
    "refs": _refs,
    "quality": _quality,
    "ready": lambda world, version, ready: _version(world, version, ready=ready),
    "block": lambda world, version, block: _version(world, version, block=BLOCKS[block]),
    "replaced": _replaced,
    "forget": _forget,
    "service": _service,
    "wish": _wish,
    "rollbackTo": _roll_back_to,
    "command": _command,
    "withdraw": _withdraw,
    "target": _set("rollback_to"),
    "freeze": _set("freeze", lambda frozen: "quarter end" if frozen else None),
    "rival": _set("conflict", lambda rival: "other" if rival else ""),
    "test": _test,
    "spoil": _spoil,
    "status": _status,
    "route": _route,
    "edit": _edit,
    "registry": _set("registry_down", lambda up: not up),
    "clock": _clock,
    "delete": _delete,
    "create": _create,
    "shares": _set("real_share"),
}
