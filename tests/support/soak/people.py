"""One team for each model: applies versions, gives commands, edits plans, breaks and mends things, by chance."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import numpy as np

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase, RolloutStatus, StageState
from serinus.engine.rollout.traffic.facts import RouteEntry
from serinus.ports.cluster_state import (
    EndpointsRecord,
    HttpRouteRecord,
    ModelVersionRecord,
    NamespaceRecord,
    RolloutRecord,
)
from support.records import backend, endpoints, model_version, rollout, spec_for
from support.soak.cluster import SoakCluster
from support.soak.facts import Applied, Quality
from support.soak.plans import draw_quality, draw_stages
from support.soak.traffic import GOOD
from support.virtual_loop import START

KEPT: Final = 4
"""Versions without a role that a team keeps before it deletes the oldest."""

IDLE: Final = 5.0 * 3600
"""Seconds between two acts where no run is under way, on average."""

BUSY: Final = 900.0
"""The same in mid-run."""

Chances = Mapping[Callable[["Team"], Any], float]


class Team:
    """The people around one model."""

    def __init__(
        self, cluster: SoakCluster, key: ObjectKey, rng: np.random.Generator, acts: Counter[str], pace: float
    ) -> None:
        self._cluster, self._key, self._rng, self.acts, self._pace = cluster, key, rng, acts, pace
        self._numbers, self._tokens, self._made = 1, 0, 0
        self._versions = ["1.0.0"]
        self._stages = draw_stages(rng)

    # ---- what is there -------------------------------------------------------------------------

    @property
    def model(self) -> str:
        return self._key.name

    def _stored(self) -> RolloutRecord | None:
        record = self._cluster.objects.get((RolloutRecord, self._key))
        return record if isinstance(record, RolloutRecord) else None

    def _status(self) -> RolloutStatus:
        record = self._stored()
        return record.status if record is not None else RolloutStatus()

    def _spec(self, version: str) -> RolloutSpec:
        return spec_for(self.model, version, *self._stages)

    def begin(self) -> None:
        """Apply the first version, and the Rollout that wants it."""
        self._apply("1.0.0", GOOD)
        self._create("1.0.0")

    def _create(self, version: str) -> None:
        self._made += 1
        at = START + timedelta(seconds=self._cluster.now())
        uid = f"uid-{self.model}-{self._made}"
        record = rollout(
            self.model, self._spec(version), uid=uid, namespace=self._key.namespace, created_at=at, commands={}
        )
        self._cluster.put(record)

    def _apply(self, version: str, quality: Quality) -> None:
        self._cluster.qualities[self.model, version] = quality
        self._cluster.tell(Applied(self._cluster.now(), self.model, version, quality))
        at = START + timedelta(seconds=self._cluster.now())
        namespace = self._key.namespace
        self._cluster.put(model_version(version, self.model, namespace=namespace, created_at=at))
        self._set_endpoints(version, 2)

    def _set_endpoints(self, version: str, ready: int) -> None:
        self._cluster.put(endpoints(self.model, version, ready, namespace=self._key.namespace))

    # ---- the days of a team --------------------------------------------------------------------

    async def work(self) -> None:
        """Act until cancelled."""
        await asyncio.sleep(float(self._rng.uniform(0, IDLE / self._pace)))
        while True:
            status = self._status()
            acts = self._choices(status)
            running = acts is IN_RUN
            chances = np.array(list(acts.values()))
            act = list(acts)[int(self._rng.choice(len(acts), p=chances / chances.sum()))]
            with self._cluster.somebody_else():
                self.acts[act.__name__.strip("_")] += 1
                later = act(self)
            if later is not None:
                await later
            self._tidy()
            await asyncio.sleep(float(self._rng.exponential(BUSY if running else IDLE / self._pace)))

    def _choices(self, status: RolloutStatus) -> Chances:
        if self._stored() is None:
            return {Team._recreate: 1.0}
        if status.phase is Phase.PAUSED and status.stage is not None:
            return HELD
        if status.stage is not None and status.stage.state is StageState.AWAITING_APPROVAL:
            return HELD
        if status.phase in {Phase.PROGRESSING, Phase.PENDING, Phase.ROLLING_BACK}:
            return IN_RUN
        return AT_REST

    def _tidy(self) -> None:
        """Delete the oldest versions that nothing names any more."""
        if (record := self._stored()) is None or not isinstance(record.spec, RolloutSpec):
            return
        status = record.status
        route = self._cluster.objects.get((HttpRouteRecord, self._key))
        named = {record.spec.version, status.last_known_good}
        named |= {role.version for role in (status.stable, status.candidate) if role is not None}
        if isinstance(route, HttpRouteRecord):
            named |= set(self._cluster.shares(route))
        free = [version for version in self._versions if version not in named]
        for version in free[:-KEPT]:
            self._delete_version(version)

    def _delete_version(self, version: str) -> None:
        self._versions.remove(version)
        namespace = self._key.namespace
        name = f"{self.model}-v{version}"
        with self._cluster.somebody_else():
            self._cluster.remove(ModelVersionRecord, ObjectKey(namespace, name))
            self._cluster.remove(EndpointsRecord, ObjectKey(namespace, f"{backend(self.model, version).name}-abc"))
        self._cluster.qualities.pop((self.model, version), None)
        self._cluster.store.forget(ObjectKey(namespace, self.model), version)

    # ---- acts ----------------------------------------------------------------------------------

    def _command(self, verb: str, **fields: Any) -> None:
        if (record := self._stored()) is not None:
            self._tokens += 1
            token = f"{verb}-{self._tokens}"
            self._cluster.put(replace(record, commands={**record.commands, verb: token}, **fields))

    def _wish(self, version: str) -> None:
        if (record := self._stored()) is not None:
            self._cluster.put(replace(record, spec=self._spec(version), generation=record.generation + 1))

    def _release(self) -> None:
        self._numbers += 1
        version = f"1.{self._numbers}.0"
        self._versions.append(version)
        if self._rng.random() < 0.3:
            self._stages = draw_stages(self._rng)
        self._apply(version, draw_quality(self._rng, 3600.0))
        self._wish(version)

    def _edit_plan(self) -> None:
        record = self._stored()
        if record is not None and isinstance(record.spec, RolloutSpec):
            self._stages = draw_stages(self._rng)
            self._wish(record.spec.version)

    def _pause(self) -> None:
        self._command("pause")

    def _resume(self) -> None:
        self._command("resume")

    def _promote(self) -> None:
        self._command("promote")

    def _abort(self) -> None:
        self._command("abort")

    def _retry(self) -> None:
        self._command("retry")

    def _roll_back(self) -> None:
        self._command("rollback")

    def _go_back_by_spec(self) -> None:
        status = self._status()
        if status.last_known_good in self._versions:
            self._wish(status.last_known_good)

    def _yank(self) -> None:
        candidate = self._status().candidate
        self._yank_version(candidate.version if candidate is not None else "")

    def _yank_previous(self) -> None:
        self._yank_version(self._status().last_known_good or "")

    def _yank_version(self, version: str) -> None:
        name = ObjectKey(self._key.namespace, f"{self.model}-v{version}")
        record = self._cluster.objects.get((ModelVersionRecord, name))
        if isinstance(record, ModelVersionRecord) and version in self._versions:
            self._cluster.put(replace(record, yanked="it leaks"))

    async def _lose_endpoints(self) -> None:
        candidate = self._status().candidate
        if candidate is not None and candidate.version in self._versions:
            await self._without_endpoints(candidate.version)

    async def _lose_stable_endpoints(self) -> None:
        stable = self._status().stable
        if stable is not None and stable.version in self._versions:
            await self._without_endpoints(stable.version)

    async def _without_endpoints(self, version: str) -> None:
        with self._cluster.somebody_else():
            self._set_endpoints(version, 0)
        await asyncio.sleep(float(self._rng.uniform(5, 120)))
        if version in self._versions:
            with self._cluster.somebody_else():
                self._set_endpoints(version, 2)

    def _edit_route(self) -> None:
        """Somebody gives all entries of the route the weights that come to mind."""
        route = self._cluster.objects.get((HttpRouteRecord, self._key))
        if not isinstance(route, HttpRouteRecord):
            return
        entries = tuple(
            RouteEntry(entry.key, int(self._rng.choice([0, 1000, 5000, 10000])), entry.filters)
            for entry in route.rules[0].entries
        )
        if any(entry.weight for entry in entries):
            generation = route.generation + 1
            parents = tuple(replace(parent, observed_generation=generation) for parent in route.parents)
            rules = (replace(route.rules[0], entries=entries),)
            stored = replace(route, rules=rules, generation=generation, parents=parents, written_by="kubectl")
            self._cluster.put(stored)

    def _delete(self) -> None:
        if self._stored() is not None:
            self._cluster.delete(self._key)

    def _recreate(self) -> None:
        route = self._cluster.objects.get((HttpRouteRecord, self._key))
        assert isinstance(route, HttpRouteRecord)
        serving = max(self._cluster.shares(route).items(), key=lambda item: item[1])[0]
        self._create(serving if serving in self._versions else self._versions[-1])

    async def _freeze(self) -> None:
        key = ObjectKey("", self._key.namespace)
        self._set_freeze(key, "holidays")
        await asyncio.sleep(float(self._rng.uniform(60, 3600)))
        with self._cluster.somebody_else():
            self._set_freeze(key, None)

    def _set_freeze(self, key: ObjectKey, freeze: str | None) -> None:
        record = self._cluster.objects[NamespaceRecord, key]
        assert isinstance(record, NamespaceRecord)
        self._cluster.put(replace(record, freeze=freeze))

    def _wait(self) -> None:
        """Nobody does anything."""


AT_REST: Final[Chances] = {
    Team._release: 0.70,
    Team._retry: 0.06,
    Team._roll_back: 0.03,
    Team._go_back_by_spec: 0.03,
    Team._edit_plan: 0.04,
    Team._edit_route: 0.03,
    Team._yank_previous: 0.02,
    Team._lose_stable_endpoints: 0.02,
    Team._delete: 0.02,
    Team._pause: 0.02,
    Team._wait: 0.03,
}

IN_RUN: Final[Chances] = {
    Team._wait: 0.62,
    Team._pause: 0.07,
    Team._promote: 0.05,
    Team._abort: 0.03,
    Team._roll_back: 0.02,
    Team._release: 0.03,
    Team._edit_plan: 0.02,
    Team._yank: 0.02,
    Team._lose_endpoints: 0.03,
    Team._lose_stable_endpoints: 0.01,
    Team._edit_route: 0.06,
    Team._delete: 0.01,
    Team._freeze: 0.02,
    Team._retry: 0.01,
}

HELD: Final[Chances] = {
    Team._resume: 0.45,
    Team._promote: 0.30,
    Team._abort: 0.05,
    Team._wait: 0.15,
    Team._release: 0.05,
}
