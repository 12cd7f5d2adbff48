"""Plays the cases against a running operator, many at a time, and says of each what came of it."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp

from demo.errors import CouldNotAskError, DemoError
from demo.observe import wait_for
from localcluster.api import Api, ApiError
from support.e2e.watch import watching
from support.hostile.answers import answered, refusals, reviewed, serves_the_old
from support.hostile.cases import Case
from support.hostile.findings import Findings, Outcome
from support.hostile.laws import first_share, problems_of_text, share_of_candidate, texts_of
from support.hostile.world import CaseWorld, each

Raw = Mapping[str, Any]

TOGETHER: Final = 30
"""Cases that are played at once, each in a world of its own."""

_PASSENGERS: Final = 4
"""Further ModelVersions in each world: nothing serves them, so that a world of their own would show nothing more."""

_PATIENCE: Final = 180.0


@dataclass(slots=True)
class Timing:
    """How long each step of a batch took, in seconds."""

    steps: list[str] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def __call__(self, step: str) -> None:
        now = time.monotonic()
        self.steps.append(f"{step} {now - self.since:.0f} s")
        self.since = now

    def __str__(self) -> str:
        return ", ".join(self.steps)


@dataclass(slots=True)
class Campaign:
    """The cases of one run.

    Attributes:
        api: of the administrator, who plays the tenants.
        prefix: of the namespaces.
        addresses: of the processes that serve 1.0.0 and 2.0.0.
        models: by namespace, the models of the cases.
        seen: called after each batch with its worlds, before they go.
        say: tells a person how far the run is.
        progress: called after each batch.
    """

    api: Api
    prefix: str
    addresses: tuple[str, str]
    findings: Findings = field(default_factory=Findings)
    models: dict[str, set[str]] = field(default_factory=dict)
    seen: Callable[[Sequence[CaseWorld]], Awaitable[None]] | None = None
    say: Callable[[str], None] = print
    progress: Callable[[Findings], object] = lambda _: None

    async def run(self, cases: Sequence[Case]) -> Findings:
        """Play all cases and return what was seen."""
        await self._namespace(self.prefix)
        worlds = [self._world(case, number) for number, case in enumerate(cases)]
        refusals = await each(self._refusal(world) for world in worlds)
        stored = [world for world, refusal in zip(worlds, refusals, strict=True) if refusal == ""]
        self.say(f"{len(cases)} cases: {len(cases) - len(stored)} refused, {len(stored)} to play")
        for number, batch in enumerate(_batches(stored)):
            began = time.monotonic()
            await self._play(f"{self.prefix}-{number}", batch)
            played = sum(1 + len(world.passengers) for world in batch)
            self.say(f"batch {number}: {played} cases, {time.monotonic() - began:.0f} s")
            self.progress(self.findings)
        await self.api.request("DELETE", f"/api/v1/namespaces/{self.prefix}")
        return self.findings

    def _world(self, case: Case, number: int) -> CaseWorld:
        return CaseWorld(self.api, case, self.prefix, f"c{number}", self.addresses)

    async def _refusal(self, world: CaseWorld) -> str | None:
        """Ask the API server; None where its answer was neither yes nor no, which is a problem."""
        try:
            refusal = await world.refusal()
        except ApiError as problem:
            self.findings.problems.append(f"{world.case}: {problem}")
            return None
        if refusal:
            self._refused(world.case, refusal)
        return refusal

    def _refused(self, case: Case, refusal: str) -> None:
        self.findings.outcomes[str(case)] = Outcome.REFUSED
        if case.field not in refusal:
            self.findings.unnamed.append(f"{case}: {refusal[:300]}")

    async def _namespace(self, name: str) -> None:
        await self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    # ---- one batch -----------------------------------------------------------------------------

    async def _play(self, namespace: str, batch: Sequence[CaseWorld]) -> None:
        """Have all cases of a batch adopted, struck, judged and restored, and remove what they leave."""
        worlds = [self._placed(world, namespace) for world in batch]
        places = sorted({world.namespace for world in worlds})
        for place in places:
            await self._namespace(place)
        async with AsyncExitStack() as stack:
            routes = [await stack.enter_async_context(watching(self.api, worlds_path(place))) for place in places]
            await each(world.stand() for world in worlds)
            await each(world.board() for world in worlds)
            timed = Timing()
            serving = [world for world in worlds if not world.managed]
            late = [world for world in worlds if world.managed]
            worlds = [*await self._settled(serving, serves_the_old, "the adoption of 1.0.0"), *late]
            timed("adopted")
            worlds, refused = await self._struck(worlds)
            plans = {world.model: (await self._rollout(world))["spec"] for world in worlds}
            worlds = await self._settled(worlds, answered, "an answer")
            timed("answered")
            versions = await self._reviewed([*worlds, *refused])
            timed("reviewed")
            for world in worlds:
                await self._judge(world, versions)
            for world in refused:
                self._judge_passengers(world, versions)
            await each(world.restore() for world in worlds)
            serving = [world for world in worlds if not world.managed]
            serving = await self._settled(serving, serves_the_old, "1.0.0 again")
            timed("restored")
            self.say(f"  {timed}")
            if self.seen is not None:
                await self.seen(serving)
            states = [raw for one in routes for _, raw in one.states]
            self._check_weights(states, serving, plans)
            self._check_managed(states, [world for world in worlds if world.managed])
        for place in places:
            await self._remove(place)

    def _placed(self, world: CaseWorld, namespace: str) -> CaseWorld:
        """Return the world in the batch's namespace; a case of a namespace has one of its own."""
        own = f"{namespace}-{world.model}" if world.case.kind == "Namespace" else namespace
        self.models.setdefault(own, set()).add(world.model)
        return replace(world, namespace=own)

    async def _struck(self, worlds: Sequence[CaseWorld]) -> tuple[list[CaseWorld], list[CaseWorld]]:
        """Write each case; return the worlds that were struck, and those whose edit the API server refuses."""
        refusals = await each(world.strike() for world in worlds)
        for world, refusal in zip(worlds, refusals, strict=True):
            if refusal:
                self._refused(world.case, refusal)
        said = list(zip(worlds, refusals, strict=True))
        return [world for world, refusal in said if not refusal], [world for world, refusal in said if refusal]

    async def _settled(self, worlds: Sequence[CaseWorld], fits: Callable[[Raw], bool], what: str) -> list[CaseWorld]:
        """Wait until the Rollouts of all worlds fit; return those that do, the others are problems."""

        async def late() -> list[CaseWorld]:
            rollouts: dict[tuple[str, str], Raw] = {}
            for place in {world.namespace for world in worlds}:
                listed = await self._listed(place, "rollouts")
                rollouts |= {(place, raw["metadata"]["name"]): raw for raw in listed["items"]}
            return [world for world in worlds if not fits(rollouts[world.namespace, world.model])]

        try:
            await wait_for(late, lambda left: not left, within=_PATIENCE, what=what, every=1.0)
        except DemoError:
            left = await late()
            for world in left:
                status = (await self._rollout(world)).get("status", {})
                told = {name: status.get(name) for name in ("phase", "summary", "nextAction", "observedGeneration")}
                self.findings.problems.append(f"{world.case}: {what} did not come within {_PATIENCE:g} s: {told}")
            return [world for world in worlds if world not in left]
        return list(worlds)

    async def _reviewed(self, worlds: Sequence[CaseWorld]) -> dict[tuple[str, str], Raw]:
        """Wait until the ModelVersions of all cases are reviewed; those that are not are problems."""
        named = {(world.namespace, name): case for world in worlds for case, name in world.versions()}
        found: dict[tuple[str, str], Raw] = {}

        async def late() -> list[Case]:
            for place in {namespace for namespace, _ in named}:
                listed = await self._listed(place, "modelversions")
                found.update(
                    {(place, raw["metadata"]["name"]): {**raw, "kind": "ModelVersion"} for raw in listed["items"]}
                )
            return [case for key, case in named.items() if not reviewed(found[key])]

        try:
            await wait_for(late, lambda left: not left, within=_PATIENCE, what="the reviews", every=1.0)
        except DemoError:
            left = await late()
            self.findings.problems += [f"{case}: it is not reviewed and recorded" for case in left]
        return found

    async def _judge(self, world: CaseWorld, versions: Mapping[tuple[str, str], Raw]) -> None:
        """Note the outcome of a case that the API server has stored, and of its passengers."""
        own = [versions[world.namespace, name] for case, name in world.versions() if case is world.case]
        self._note(world.case, [await self._rollout(world), *own])
        self._judge_passengers(world, versions)

    def _judge_passengers(self, world: CaseWorld, versions: Mapping[tuple[str, str], Raw]) -> None:
        for case, name in world.versions():
            if case is not world.case:
                self._note(case, [versions[world.namespace, name]])

    def _note(self, case: Case, raws: Sequence[Raw]) -> None:
        texts = [told for raw in raws for told in texts_of(raw)]
        self.findings.problems += [f"{case}: {told}" for one in texts for told in problems_of_text(*one)]
        refusal = " ".join(refusals(raws))
        self.findings.outcomes[str(case)] = Outcome.NAMED if refusal else Outcome.FOLLOWED
        if refusal and case.field not in refusal:
            self.findings.unnamed.append(f"{case}: {refusal[:300]}")

    def _check_weights(self, states: Sequence[Raw], worlds: Sequence[CaseWorld], plans: Mapping[str, Raw]) -> None:
        for world in worlds:
            most = first_share(plans[world.model])
            shares = [share_of_candidate(raw) for raw in states if raw["metadata"]["name"] == world.model]
            if not shares or max(shares) > most:
                self.findings.problems.append(f"{world.case}: the candidate got {shares}, and {most:g} % was planned")
            elif self.findings.outcomes.get(str(world.case)) is Outcome.NAMED and max(shares) > 0:
                self.findings.problems.append(f"{world.case}: what is refused got {max(shares):g} %")

    def _check_managed(self, states: Sequence[Raw], worlds: Sequence[CaseWorld]) -> None:
        """Hold the made routes against what the operator has said; a first version is alone on its route."""
        for world in worlds:
            made = [raw for raw in states if raw["metadata"]["name"] == f"{world.model}-managed"]
            named = self.findings.outcomes.get(str(world.case)) is Outcome.NAMED
            if named and any(share_of_candidate(raw) for raw in made):
                self.findings.problems.append(f"{world.case}: what is refused got traffic")

    async def _listed(self, place: str, kind: str) -> Raw:
        try:
            return await self.api.request("GET", worlds_path(place, kind))
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise CouldNotAskError(f"{kind} of {place} cannot be listed: {problem!r}") from problem

    async def _rollout(self, world: CaseWorld) -> Raw:
        return await self.api.request("GET", world.path("Rollout", world.model))

    async def _remove(self, place: str) -> None:
        await self.api.request("DELETE", worlds_path(place, "rollouts"))
        await self.api.request("DELETE", f"/api/v1/namespaces/{place}")


def worlds_path(namespace: str, kind: str = "httproutes") -> str:
    """Return the API path of a namespace's routes, or of its objects of ours."""
    group = "gateway.networking.k8s.io/v1" if kind == "httproutes" else "serinus.dev/v1alpha1"
    return f"/apis/{group}/namespaces/{namespace}/{kind}"


def _batches(worlds: Sequence[CaseWorld]) -> list[Sequence[CaseWorld]]:
    """Return the worlds of each batch, with those as passengers that need no world of their own."""
    others = [world.case for world in worlds if world.case.passive]
    active = [world for world in worlds if not world.case.passive]
    while len(others) > _PASSENGERS * len(active):
        active.append(replace(worlds[0], case=others.pop(), model=f"p{len(active)}"))
    full = [replace(world, passengers=tuple(others[at :: len(active)])) for at, world in enumerate(active)]
    return [full[start : start + TOGETHER] for start in range(0, len(full), TOGETHER)]
