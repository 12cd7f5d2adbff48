"""Plays the demo of the language model: a good version is promoted, one with a slow first token is rolled back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from demo.cluster import ClusterView, Kubectl, RolloutView, set_version_command
from demo.errors import DemoError
from demo.llm import manifests
from demo.llm.manifests import GOOD, HOSTNAME, SLOW, STABLE, VERSIONS, Version
from demo.llm.server import MODEL
from demo.local import rights
from demo.local.rights import NAMESPACE
from demo.local.stage import Setting, clear
from demo.observe import ended, position, serves, wait_for, wait_for_rollout
from demo.oncall import status_and_explanation
from demo.operatorprocess import await_ready, operator
from demo.process import Running, running
from demo.result import Claim
from demo.settings import LOCAL_PACE
from demo.stagehand import apply, await_server, await_traffic, load_command
from demo.terminal import Style, Terminal
from demo.traffic.requestlog import RequestLog, RequestRecord, between, count_by_version, quantile
from localcluster.api import Api
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase

KEY: Final = ObjectKey(NAMESPACE, MODEL)
RULE: Final = "chat"
CONDITION: Final = "ttft_p95 > 750ms"
RATE: Final = 50.0

_LONGEST_RUN_SECONDS: Final = 300.0
_RUN_SECONDS: Final = 120.0
_ROUTE_SECONDS: Final = 30.0
_AFTERWARDS_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the acts work with."""

    view: ClusterView
    team: Kubectl
    log: RequestLog
    terminal: Terminal
    programs: tuple[Running, ...]

    async def change(self, version: Version) -> RolloutView:
        """Set ``spec.version``, the only manual step of a run, and follow the run to its end.

        Raises:
            DemoError: it did not end in time, or a program has exited.
        """
        arguments = set_version_command(KEY, version.number)
        shown = [f"'{part}'" if "{" in part else part for part in arguments]
        self.terminal.command(f"kubectl {' '.join(shown)}", await self.team.run(arguments))
        seen: list[str] = []

        async def read() -> RolloutView:
            for program in self.programs:
                program.check()
            rollout = await self.view.rollout(KEY)
            if rollout.current and (not seen or seen[-1] != position(rollout.status)):
                seen.append(position(rollout.status))
                self.terminal.line(seen[-1])
            return rollout

        over = ended(version.number)
        return await wait_for(read, over, within=_RUN_SECONDS, what=f"the end of the run of {version.number}")


@dataclass(slots=True)
class _Facts:
    """What happened.

    Attributes:
        promoted: the status after the good version's run.
        rolled_back: that after the slow one's.
        requests: all that were sent.
        exposed: those that the slow version answered.
        safe_at: when all traffic was back, in seconds since 1970.
        weight: the slow version's share of the route in the end.
        status: output of ``serinus status``.
        explanation: output of ``serinus explain``.
        broken: why the demo ended early.
    """

    promoted: RolloutView | None = None
    rolled_back: RolloutView | None = None
    requests: list[RequestRecord] = field(default_factory=list)
    safe_at: float = 0.0
    weight: float = 100.0
    status: str = ""
    explanation: str = ""
    broken: str = ""

    def claims(self) -> list[Claim]:
        """Return what had to hold."""
        if self.broken or self.promoted is None or self.rolled_back is None:
            return [Claim("the demo ran to its end", holds=False, observed=self.broken)]
        cause = self.rolled_back.status.rollback
        late = between(self.requests, self.safe_at + LOCAL_PACE.settled)
        slow = [record for record in self.requests if record.version == SLOW.number]
        failed = [record for record in self.requests if record.failed]
        good = self.promoted.status
        return [
            Claim(f"{GOOD.number} was promoted", serves(GOOD.number)(self.promoted), good.summary),
            Claim(
                f"{SLOW.number} was rolled back by {CONDITION}",
                cause is not None and cause.condition == CONDITION and cause.version == SLOW.number,
                self.rolled_back.status.summary,
            ),
            Claim(f"{SLOW.number} has no traffic any more", self.weight == 0.0, f"{self.weight:g}%"),
            Claim(
                "all requests after that went to another version",
                not count_by_version(late)[SLOW.number],
                str(count_by_version(late)),
            ),
            Claim(
                f"every stream ended with its last token, also the {len(slow)} of {SLOW.number}",
                bool(slow) and not failed,
                f"{len(failed)} of {len(self.requests)} did not, {len(slow)} were of {SLOW.number}",
            ),
            Claim("serinus status says what was rolled back", SLOW.number in self.status, self.status),
            Claim("serinus explain says by which condition", CONDITION in self.explanation, self.explanation),
        ]


async def play(setting: Setting, terminal: Terminal) -> bool:
    """Play the demo and return whether every claim holds."""
    began, facts = time.monotonic(), _Facts()
    terminal.heading(f"{MODEL}: three versions that stream tokens, one route, {setting.rate:g} requests/s")
    try:
        async with _ready(setting, terminal) as stage:
            await _acts(stage, facts)
    except DemoError as problem:
        facts.broken = f"{problem}\n  The operator's log is {setting.folder / 'operator.log'}"
    terminal.heading("What had to hold")
    claims = facts.claims()
    for claim in claims:
        mark = terminal.style("✔", Style.GREEN) if claim.holds else terminal.style("✖", Style.RED)
        terminal.line(f"{mark} {claim.text}" + ("" if claim.holds else f": {claim.observed}"))
    terminal.line(f"{time.monotonic() - began:.0f} s")
    return all(claim.holds for claim in claims)


async def _acts(stage: Stage, facts: _Facts) -> None:
    terminal = stage.terminal
    terminal.heading(f"{GOOD.number} is as fast as {STABLE.number}: 0 % with a test, 20 %, 100 %")
    facts.promoted = await stage.change(GOOD)
    if facts.promoted.status.phase is not Phase.HEALTHY:
        raise DemoError(f"{GOOD.number} was not promoted: {facts.promoted.status.summary}")
    terminal.heading(f"{SLOW.number} has a slow first token: the test at 0 % cannot see that")
    facts.rolled_back = await stage.change(SLOW)
    route = await wait_for(
        lambda: stage.view.route(KEY, RULE),
        lambda route: route.accepted,
        within=_ROUTE_SECONDS,
        what="a route that the gateway accepts",
    )
    facts.safe_at, facts.weight = time.time(), route.weight(SLOW.backend)
    await asyncio.sleep(_AFTERWARDS_SECONDS + LOCAL_PACE.settled)
    facts.requests = list(stage.log.read())
    for number, count in sorted(count_by_version(facts.requests).items()):
        own = [record for record in facts.requests if record.version == number]
        terminal.line(f"{number or 'none'} answered {count}: first token after {quantile(own, 0.95):.3f} s (95 %)")
    facts.status, facts.explanation = await status_and_explanation(stage.team, terminal, KEY)


@asynccontextmanager
async def _ready(setting: Setting, terminal: Terminal) -> AsyncIterator[Stage]:
    """Set up versions, route, operator and load, yield, and stop all programs when the block ends."""
    environment, folder = setting.cluster.environment(), setting.folder
    admin = Kubectl(setting.cluster.kubectl, environment)
    async with AsyncExitStack() as stack:
        view = ClusterView(await stack.enter_async_context(Api(setting.cluster.kubeconfig)))
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        await clear(admin, folder)
        accounts = await rights.install(setting.cluster, admin, folder)
        process = await stack.enter_async_context(operator(setting.operator, accounts.operator, folder))
        versions = "---\n".join(manifests.version(version) for version in VERSIONS)
        await apply(accounts.team, folder, "versions", versions)
        await apply(admin, folder, "route", manifests.route(STABLE))
        keys = [ObjectKey(NAMESPACE, version.backend) for version in VERSIONS]
        await asyncio.gather(*(await_server(view, key, LOCAL_PACE.servers) for key in keys))
        await await_ready(process, setting.operator, session)
        terminal.line(f"{len(VERSIONS)} versions serve, the operator is ready")
        command = load_command(
            "demo.llm.load",
            folder,
            url=setting.cluster.gateway_url,
            hostname=HOSTNAME,
            rate=setting.rate,
            seconds=_LONGEST_RUN_SECONDS,
        )
        load = await stack.enter_async_context(running("the load generator", command, environment, _log(folder)))
        log = RequestLog(folder / "requests.csv")
        await await_traffic(log, load)
        await apply(accounts.team, folder, "rollout", manifests.rollout(STABLE))
        await wait_for_rollout(
            view, KEY, serves(STABLE.number), within=_ROUTE_SECONDS, what=f"the adoption of {STABLE.number}"
        )
        yield Stage(view=view, team=accounts.team, log=log, terminal=terminal, programs=(process, load))


def _log(folder: Path) -> Path:
    return folder / "load.log"
