"""The director: prepares the scene, plays the acts, shows the relevant output, and reports which claims hold."""

import asyncio
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Final

from demo.acts import Scene, promote, roll_back
from demo.audit import AuditFacts, audit, newest_record
from demo.errors import DemoError
from demo.manifests import FAILING, GOOD, SLOW, VERSIONS, Version
from demo.oncall import OnCallFacts, look
from demo.result import Claim, PromotionFacts, Result, RollbackFacts, claims_of_queries
from demo.settings import DemoSettings
from demo.stagehand import adopt
from demo.terminal import Style, Terminal
from demo.traffic.requestlog import between, count_by_version, quantile
from serinus.api.abort_condition import parse_abort_condition

INTERRUPTED: Final = 130

_BAD_VERSIONS: Final = (
    (SLOW, parse_abort_condition("latency_p95 > 200ms"), "turns slow under traffic"),
    (FAILING, parse_abort_condition("error_rate > 0.5%"), "fails one request in five"),
)
_EVENTS_SHOWN: Final = 14
_LIVE_SECONDS: Final = 0.5
_PLAIN_SECONDS: Final = 5.0
_RECENT_SECONDS: Final = 2.0
# More requests than any demo sends in that time.
_TAIL: Final = 6000
_BAR: Final = 20


@dataclass(slots=True)
class _Facts:
    promotions: list[PromotionFacts] = field(default_factory=list)
    rollbacks: list[RollbackFacts] = field(default_factory=list)
    on_call: OnCallFacts | None = None
    audited: AuditFacts | None = None
    queries_per_tick: float | None = None
    broken: str = ""

    def claims(self) -> list[Claim]:
        claims = [claim for promotion in self.promotions for claim in promotion.claims()]
        claims += [claim for rollback in self.rollbacks for claim in rollback.claims()]
        if self.on_call is not None:
            claims += self.on_call.claims()
        if self.audited is not None:
            claims += self.audited.claims()
        if self.queries_per_tick is not None:
            claims += claims_of_queries(self.queries_per_tick)
        if self.broken:
            claims.append(Claim("the demo ran to its end", holds=False, observed=self.broken))
        return claims

    def result(self) -> Result:
        per_tick = self.queries_per_tick
        return Result(
            ok=all(claim.holds for claim in self.claims()),
            promoted=tuple(figures for facts in self.promotions if (figures := facts.figures()) is not None),
            rollbacks=tuple(facts.figures() for facts in self.rollbacks),
            queries_per_tick=None if per_tick is None else round(per_tick, 2),
        )


def run(settings: DemoSettings, scene: AbstractAsyncContextManager[Scene], terminal: Terminal) -> int:
    """Play the demo and return the exit status: 0 only if every claim holds.

    Args:
        settings: of the demo.
        scene: sets everything up, and takes it down in the end.
        terminal: where it is shown.
    """
    try:
        return asyncio.run(_run(settings, scene, terminal))
    except (KeyboardInterrupt, asyncio.CancelledError):
        terminal.close()
        terminal.line("interrupted: all programs of the demo are stopped", Style.YELLOW)
        return INTERRUPTED


async def _run(settings: DemoSettings, scene: AbstractAsyncContextManager[Scene], terminal: Terminal) -> int:
    _end_on_signals()
    facts = _Facts()
    try:
        await _play(settings, scene, terminal, facts)
    except DemoError as problem:
        facts.broken = str(problem)
    terminal.close()
    result = facts.result()
    result.write(settings.folder / "result.json")
    _conclude(terminal, facts, result)
    return 0 if result.ok else 1


def _end_on_signals() -> None:
    """Make Ctrl-C, SIGTERM and a closed terminal stop the demo in order; a second signal does not disturb that."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - called by a coroutine

    def end() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)


async def _play(
    settings: DemoSettings, stage: AbstractAsyncContextManager[Scene], terminal: Terminal, facts: _Facts
) -> None:
    terminal.heading(f"{settings.key.name}: four versions, one route, {settings.rate:g} requests/s")
    async with stage as scene:
        live = asyncio.create_task(_keep_live(scene))
        try:
            newest = await newest_record(scene.kubectl, settings.key)
            await adopt(scene)
            await _show_rollout(scene)
            await _play_acts(scene, facts)
            terminal.heading(f"At 3 a.m. somebody asks what became of {FAILING.number}")
            facts.on_call = await look(scene, settings.folder)
            terminal.heading("A year later an auditor asks why")
            facts.audited = await audit(scene, settings.folder, newest)
        except DemoError as problem:
            await _try_to_show_status(scene)
            raise DemoError(f"{problem}\n  {settings.trouble}") from problem
        finally:
            live.cancel()
            with suppress(asyncio.CancelledError):
                await live


async def _play_acts(scene: Scene, facts: _Facts) -> None:
    terminal = scene.terminal
    terminal.heading(f"{GOOD.number} is good: 0 % with tests, 5 %, 100 %")
    facts.promotions.append(await promote(scene, GOOD))
    facts.queries_per_tick = scene.meter.per_tick
    await _show_rollout(scene)
    await _show_events(scene)
    if facts.promotions[-1].figures() is None:
        # The other acts need this version as their rollback target.
        raise DemoError(f"{GOOD.number} was not promoted: {facts.promotions[-1].status.summary}")
    for version, condition, fault in _BAD_VERSIONS:
        terminal.heading(f"{version.number} {fault}: the tests at 0 % cannot see that")
        facts.rollbacks.append(await roll_back(scene, version, condition))
        await _show_rollout(scene)
        await _show_status(scene)
        await _show_events(scene)


async def _show_rollout(scene: Scene) -> None:
    await scene.show("get", "mro", "-n", scene.settings.namespace, "-o", "wide")


async def _show_status(scene: Scene) -> None:
    await scene.show(
        *("describe", "mro", scene.settings.key.name, "-n", scene.settings.namespace),
        keep=lambda text: _section(text, "Status:", "Events:"),
        piped=" | sed -n '/^Status:/,/^Events:/p'",
    )


async def _show_events(scene: Scene) -> None:
    await scene.show(
        *("events", "-n", scene.settings.namespace, "--for", f"rollout.serinus.dev/{scene.settings.key.name}"),
        keep=lambda text: "\n".join(text.splitlines()[-_EVENTS_SHOWN:]),
        piped=f" | tail -n {_EVENTS_SHOWN}",
    )


async def _try_to_show_status(scene: Scene) -> None:
    with suppress(DemoError):
        await _show_status(scene)
        await _show_events(scene)


def _section(text: str, first: str, last: str) -> str:
    match = re.search(rf"^{re.escape(first)}.*?(?=^{re.escape(last)}|\Z)", text, re.MULTILINE | re.DOTALL)
    return match[0] if match else text


async def _keep_live(scene: Scene) -> None:
    every = _LIVE_SECONDS if scene.terminal.live else _PLAIN_SECONDS
    while True:
        text = _traffic_line(scene)
        if scene.terminal.live:
            scene.terminal.show(text)
        else:
            scene.terminal.line(text)
        await asyncio.sleep(every)


def _traffic_line(scene: Scene) -> str:
    recent = between(scene.log.read()[-_TAIL:], time.time() - _RECENT_SECONDS)
    answered = count_by_version(recent)
    total = max(1, len(recent))
    shares = "  ".join(f"{version.number} {_bar(answered, version, total)}" for version in _answering(answered))
    failed = sum(record.failed for record in recent)
    p95 = quantile(recent, 0.95) * 1000 if recent else 0.0
    return f"  {shares}  │ {len(recent) / _RECENT_SECONDS:3.0f} req/s  p95 {p95:3.0f} ms  failed {failed}"


def _answering(answered: Counter[str]) -> list[Version]:
    return [version for version in VERSIONS if answered[version.number]]


def _bar(answered: Counter[str], version: Version, total: int) -> str:
    share = answered[version.number] / total
    return f"{'█' * max(1, round(share * _BAR))} {100 * share:.1f}%"


def _conclude(terminal: Terminal, facts: _Facts, result: Result) -> None:
    terminal.heading("What happened")
    for promoted in result.promoted:
        terminal.line(f"{promoted.version} was promoted to 100% in {promoted.seconds:.1f} s")
    if result.rollbacks:
        terminal.table(_rows(result))
    if result.queries_per_tick is not None:
        terminal.line(f"Prometheus received {result.queries_per_tick:g} queries of the operator's per tick")
    terminal.heading("What had to hold")
    for claim in facts.claims():
        mark = terminal.style("✔", Style.GREEN) if claim.holds else terminal.style("✖", Style.RED)
        terminal.line(f"{mark} {claim.text}" + ("" if claim.holds else f": {claim.observed}"))
    verdict = "Everything held." if result.ok else "NOT everything held."
    terminal.line(verdict, Style.BOLD, Style.GREEN if result.ok else Style.RED)


def _rows(result: Result) -> list[Sequence[str]]:
    heading = ("version", "rolled back for", "value", "at", "visible to safe", "requests it had", "failed afterwards")
    rows = [
        (
            rollback.version,
            rollback.condition,
            rollback.value,
            f"{rollback.at_weight:g}%",
            f"{rollback.visible_to_safe_seconds:.2f} s",
            f"{rollback.requests_to_bad_version}",
            f"{rollback.requests_failed_after_safe or 'none'}",
        )
        for rollback in result.rollbacks
    ]
    return [heading, *rows]
