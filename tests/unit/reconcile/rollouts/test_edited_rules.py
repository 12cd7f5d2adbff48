"""Rules that somebody renames or adds during a run: a version that is bad loses its traffic all the same."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from serinus.api.names import Command
from serinus.api.rollout_status import Phase
from serinus.ports.cluster_state import HttpRouteRecord, RouteRule
from support.records import key, route, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

Edit = Callable[[tuple[RouteRule, ...]], tuple[RouteRule, ...]]

_HEALTH: Final = route(weights={"health": 1}).rules[0].entries


def _renamed(rules: tuple[RouteRule, ...]) -> tuple[RouteRule, ...]:
    return tuple(replace(rule, name="infer") for rule in rules)


def _with_another(rules: tuple[RouteRule, ...]) -> tuple[RouteRule, ...]:
    return (RouteRule("", _HEALTH), *rules)


def _with_the_stable_one(rules: tuple[RouteRule, ...]) -> tuple[RouteRule, ...]:
    """As for the requests of one customer."""
    return (RouteRule("", route().rules[0].entries), *rules)


def _edit(rig: Rig, found: HttpRouteRecord, rules: tuple[RouteRule, ...]) -> None:
    parents = tuple(replace(parent, observed_generation=found.generation + 1) for parent in found.parents)
    rig.cluster.put(replace(found, rules=rules, generation=found.generation + 1, parents=parents, written_by="kubectl"))


def _shares(rig: Rig) -> dict[str, int]:
    """The weights of the rule of the run, which stays the last one."""
    entries = rig.cluster.route(key()).rules[-1].entries
    return {entry.key.name: entry.weight for entry in entries}


@pytest.mark.parametrize("edit", [_renamed, _with_another, _with_the_stable_one])
def test_a_version_on_trial_is_found_in_a_route_whose_rules_were_edited(edit: Edit) -> None:
    @in_virtual_time
    async def story() -> None:
        rig = Rig()
        rig.model("fraud")
        if edit is not _renamed:
            unnamed = spec_for("fraud", route={"httpRoute": {"name": "fraud"}})
            rig.cluster.put(replace(rig.cluster.rollout(key()), spec=unnamed, generation=2))
            found = rig.cluster.route(key())
            _edit(rig, found, (replace(found.rules[0], name=""),))
        async with rig.running(resync_every=60):
            await rig.reaches_canary()
            found = rig.cluster.route(key())
            _edit(rig, found, edit(found.rules))
            rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "users complain"}))
            await until(lambda: not _shares(rig)["fraud-v2-0-0"], why="the weight to go", within=10)
            await rig.reaches(Phase.ROLLED_BACK, within=10)
            assert _shares(rig) == {"fraud-v1-0-0": 10_000, "fraud-v2-0-0": 0}
            assert rig.cluster.route(key()).rules[:-1] == edit(found.rules)[:-1]

    story()
