"""What an on-call engineer asks of a version that was rolled back: ``serinus status``, ``explain`` and the page."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from demo.acts import Scene
from demo.cluster import Kubectl
from demo.errors import CouldNotAskError
from demo.manifests import FAILING
from demo.observe import wait_for
from demo.portable.server import MODEL
from demo.process import Running, running
from demo.result import Claim
from demo.terminal import Terminal
from serinus.api.names import ObjectKey

SERINUS: Final = Path(sys.executable).with_name("serinus")
ROLLED_BACK: Final = 2
"""The exit status of ``serinus status`` of a version that was rolled back."""

_PAGE_SECONDS: Final = 30.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class OnCallFacts:
    """What the on-call engineer was told.

    Attributes:
        status: output of ``serinus status``.
        explanation: output of ``serinus explain``.
        page: HTML of the Rollout's page.
    """

    status: str
    explanation: str
    page: str

    def claims(self) -> list[Claim]:
        """Return the claims about it."""
        version, condition = FAILING.number, "error_rate > 0.5%"
        return [
            Claim("serinus status says what was rolled back", _has(self.status, "RolledBack", version), self.status),
            Claim("serinus explain says by which condition", condition in self.explanation, self.explanation),
            Claim("the page of serinus web shows it", _has(self.page, MODEL, version), self.page[:200]),
        ]


def _has(text: str, *words: str) -> bool:
    return all(word in text for word in words)


async def look(scene: Scene, folder: Path) -> OnCallFacts:
    """Ask about the last version as the team's on-call engineer.

    Raises:
        DemoError: a command failed, or the page did not answer.
    """
    key = scene.settings.key
    status, explanation = await status_and_explanation(scene.kubectl, scene.terminal, key)
    command = [str(SERINUS), "web", "--port", "0", "-n", key.namespace]
    async with running("the page", command, scene.kubectl.environment, folder / "web.log") as web:
        address, page = await _page(web, key)
    scene.terminal.command("serinus web", f"{address} shows {len(page):,} bytes about {MODEL}, live in a browser")
    return OnCallFacts(status, explanation, page)


async def status_and_explanation(team: Kubectl, terminal: Terminal, key: ObjectKey) -> tuple[str, str]:
    """Show what ``serinus status`` and ``serinus explain`` say of a model whose version was rolled back.

    Raises:
        DemoError: a command failed.
    """
    serinus, name = Kubectl(SERINUS, team.environment), (key.name, "-n", key.namespace)
    status = await serinus.run(["status", *name], status=ROLLED_BACK)
    terminal.command(f"serinus status {' '.join(name)}; echo $?", f"{status}{ROLLED_BACK}")
    explanation = await serinus.run(["explain", *name])
    terminal.command(f"serinus explain {' '.join(name)}", explanation)
    return status, explanation


async def _page(web: Running, key: ObjectKey) -> tuple[str, str]:
    """Return the address of the Rollout's page and its HTML."""

    async def read() -> tuple[str, str]:
        web.check()
        found = re.search(r"http://\S+:\d+", web.tail())
        if found is None:
            raise CouldNotAskError("the page has no address yet")
        address = f"{found[0]}/rollouts/{key}"
        try:
            async with (
                aiohttp.ClientSession(trust_env=False) as session,
                session.get(address, timeout=_TIMEOUT, raise_for_status=True) as response,
            ):
                return address, await response.text()
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise CouldNotAskError(f"{address} does not answer: {problem!r}") from problem

    return await wait_for(read, lambda answer: bool(answer[1]), within=_PAGE_SECONDS, what="the page of serinus web")
