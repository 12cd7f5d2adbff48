"""One run of the cases: an operator whose queries are recorded, a healthy canary beside it, and the laws at the end."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from demo.errors import DemoError
from localcluster.api import Api
from localcluster.client import Cluster
from support.e2e.fixtures import GOOD, STABLE, program_environment
from support.e2e.manifests import MODEL, backend_of, canary, endpoints, production, service
from support.e2e.manifests import model_version as e2e_version
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import Place
from support.e2e.servers import ModelServer, serving
from support.hostile import laws
from support.hostile.campaign import Campaign
from support.hostile.cases import Case
from support.hostile.findings import Findings
from support.hostile.world import CaseWorld
from support.servers.faultproxy import FaultProxy

_DECIDED_WITHIN: Final = 240.0
_LONGEST: Final = 3600.0
"""Seconds: a run of all cases takes less, and the sentinel is judged by its requests until the end."""

_PAGES: Final = 1
"""Of each batch, so many models are read with the command line: each call starts a process."""

_SHOWN: Final = frozenset({"HTML", "HTML attribute", "script URL", "terminal", "line breaks", "right to left", "NUL"})
"""The values that could do most harm to who reads them."""

_KINDS: Final = (
    *("apis/serinus.dev/v1alpha1/rollouts", "apis/serinus.dev/v1alpha1/modelversions"),
    *("apis/serinus.dev/v1alpha1/models", "apis/gateway.networking.k8s.io/v1/httproutes"),
    *("api/v1/services", "api/v1/configmaps", "api/v1/secrets", "api/v1/namespaces", "apis/batch/v1/jobs"),
    *("apis/discovery.k8s.io/v1/endpointslices", "apis/apps/v1/deployments"),
)


async def played(
    cluster: Cluster, cases: Sequence[Case], folder: Path, progress: Callable[[Findings], object]
) -> Findings:
    """Start servers and an operator, and play the cases; ``progress`` is called after each batch."""
    environment = program_environment(cluster)
    async with serving(environment, (STABLE, GOOD), folder) as servers:
        return await played_beside(cluster, cases, folder, servers, progress)


async def played_beside(
    cluster: Cluster,
    cases: Sequence[Case],
    folder: Path,
    servers: dict[str, ModelServer],
    progress: Callable[[Findings], object] = lambda _: None,
) -> Findings:
    """Start an operator and play the cases beside a canary that is well."""
    async with Api(cluster.kubeconfig) as api, FaultProxy(*_address(cluster.prometheus_url)) as prometheus:
        environment = program_environment(cluster)
        setup = replace(setup_in(cluster), prometheus_url=prometheus.url)
        operator = OperatorControl(environment, setup, folder)
        prefix = f"hostile-{uuid4().hex[:6]}"
        place = Place(
            cluster=cluster,
            environment=environment,
            api=api,
            namespace=f"{prefix}-sentinel",
            servers=servers,
            folder=folder,
        )
        campaign = Campaign(api, prefix, (servers[STABLE].address, servers[GOOD].address), progress=progress)
        run = Run(operator, place, campaign, prometheus)
        await operator.start()
        try:
            await run.play(cases)
        finally:
            await operator.stop()
        campaign.findings.log = operator.log()
        campaign.findings.problems += laws.problems_of_log(campaign.findings.log)
        return campaign.findings


@dataclass(slots=True)
class Run:
    """The parts of one run."""

    operator: OperatorControl
    place: Place
    campaign: Campaign
    prometheus: FaultProxy
    queries: set[str] = field(default_factory=set)

    async def play(self, cases: Sequence[Case]) -> None:
        """Play the cases while the sentinel's canaries are decided, then check what only the end shows."""
        self.campaign.seen = self._read
        began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        async with self._sentinel():
            await self.campaign.run(cases)
        findings = self.campaign.findings
        for problem in {problem for query in self._queries() for problem in laws.problems_of_query(query)}:
            findings.problems.append(problem)
        findings.problems += await self._foreign(began)
        try:
            assert self.operator.process is not None
            self.operator.process.check()
        except DemoError as problem:
            findings.problems.append(f"the operator crashed: {problem}")

    def _queries(self) -> set[str]:
        asked = self.prometheus.requests
        found = {query for one in asked for query in parse_qs(one.body.decode()).get("query", ())}
        return found | {query for one in asked for query in parse_qs(urlsplit(one.target).query).get("query", ())}

    # ---- the sentinel --------------------------------------------------------------------------

    @asynccontextmanager
    async def _sentinel(self) -> AsyncIterator[None]:
        """Have one good version after the other promoted for as long as the block lasts, and one at least."""
        api = self.place.api
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.place.namespace}})
        plan = (canary("5s"), production("3s"))
        await self.place.stand(plan, STABLE)
        done = asyncio.Event()
        async with self.place.traffic(60.0, most=_LONGEST):
            task = asyncio.create_task(self._promote(done))
            try:
                yield
            finally:
                done.set()
                await task
        await api.request("DELETE", self.place.path("Rollout"))
        await api.request("DELETE", f"/api/v1/namespaces/{self.place.namespace}")

    async def _promote(self, done: asyncio.Event) -> None:
        findings = self.campaign.findings
        while not (done.is_set() and findings.decisions):
            version = f"2.0.{findings.decisions}"
            name = backend_of(version)
            await self.place.create(service(self.place.namespace, name))
            await self.place.create(endpoints(self.place.namespace, name, self.place.servers[GOOD].address))
            await self.place.create(e2e_version(self.place.namespace, version))
            await self.place.want(version)
            try:
                status = await self.place.until_ended(version, within=_DECIDED_WITHIN)
            except DemoError as problem:
                findings.problems.append(f"the sentinel's {version} was not decided: {problem}")
                return
            if status.phase != "Healthy":
                findings.problems.append(f"the sentinel's {version} was not promoted: {status.summary}")
            findings.decisions += 1

    # ---- what people read ----------------------------------------------------------------------

    async def _read(self, worlds: Sequence[CaseWorld]) -> None:
        """Check the events of a batch, and what the command line prints of some of its models."""
        problems = self.campaign.findings.problems
        for namespace in {world.namespace for world in worlds}:
            events = await self.place.api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
            for event in events["items"]:
                problems += laws.problems_of_text(f"the event {event['metadata']['name']}", event.get("note", ""))
        labels = {world.model: [case.hostile.label for case in (world.case, *world.passengers)] for world in worlds}
        told = sorted(worlds, key=lambda world: -len(_SHOWN.intersection(labels[world.model])))[:_PAGES]
        for world in told:
            model = f"{world.namespace}/{world.model}"
            for words in (["audit", "log", model, "-o", "wide"], ["report", model, "-o", "-", "--format", "html"]):
                problems += [f"{world.case}: {problem}" for problem in await self._printed(words)]

    async def _printed(self, words: Sequence[str]) -> list[str]:
        program = str(Path(sys.executable).with_name("serinus"))
        process = await asyncio.create_subprocess_exec(
            program,
            *words,
            env=dict(self.place.environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = (part.decode(errors="surrogateescape") for part in await process.communicate())
        where = f"serinus {' '.join(words)}"
        problems = laws.problems_of_output(where, output) + laws.problems_of_output(where, errors)
        if words[0] == "report":
            problems += laws.problems_of_page(where, output)
        if process.returncode != 0 or "Traceback" in errors:
            problems.append(f"{where} ended with {process.returncode}: {errors[-1000:]}")
        return problems

    # ---- the objects of others -----------------------------------------------------------------

    async def _foreign(self, since: str) -> list[str]:
        models = {namespace: frozenset(names) for namespace, names in self.campaign.models.items()}
        objects: list[dict[str, Any]] = []
        for path in _KINDS:
            listed = await self.place.api.request("GET", f"/{path}")
            objects += [{**one, "kind": listed["kind"].removesuffix("List")} for one in listed["items"]]
        return laws.foreign_writes(objects, {**models, self.place.namespace: frozenset({MODEL})}, since)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80
