"""The demo's own namespace: made, marked as the demo's, and removed with everything in it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from demo.cluster import Kubectl
from demo.errors import CouldNotAskError, DemoError
from demo.observe import wait_for
from demo.terminal import Style, Terminal

LABEL: Final = "app.kubernetes.io/managed-by"
MARK: Final = "serinus-demo"

_ROLLOUTS_SECONDS: Final = 120.0
_GONE_SECONDS: Final = 300.0


class ForeignNamespaceError(DemoError):
    """The namespace exists, and the demo did not make it."""


async def is_there(kubectl: Kubectl, name: str) -> bool:
    """Return whether an earlier demo has left its namespace.

    Raises:
        ForeignNamespaceError: it is somebody else's.
        DemoError: the API server does not say.
    """
    return bool(await _uid(kubectl, name))


@asynccontextmanager
async def own_namespace(kubectl: Kubectl, name: str, terminal: Terminal, *, keep: bool) -> AsyncIterator[None]:
    """Make the namespace, in the place of one that an earlier demo has left, and remove it when the block ends.

    Raises:
        DemoError: it is somebody else's, or could not be made or removed.
    """
    left = await _uid(kubectl, name)
    if left:
        terminal.line(f"removing the namespace {name} of an earlier demo")
        await _remove(kubectl, name, left)
    uid = await _make(kubectl, name)
    try:
        yield
    finally:
        terminal.close()
        if keep:
            terminal.line(f"kept: remove it with kubectl delete namespace {name}", Style.YELLOW)
        else:
            terminal.line(f"removing the namespace {name} and everything in it")
            await _remove(kubectl, name, uid)
            terminal.line(f"the namespace {name} is gone")


async def _make(kubectl: Kubectl, name: str) -> str:
    """Make the namespace and return its uid."""
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LABEL: MARK}}}
    try:
        await kubectl.run(["create", "-f", "-"], json.dumps(manifest))
        return await _uid(kubectl, name)
    except asyncio.CancelledError:
        # The API server may have made it before the interruption.
        if uid := await _uid(kubectl, name):
            await _remove(kubectl, name, uid)
        raise


async def _remove(kubectl: Kubectl, name: str, uid: str) -> None:
    await _still(kubectl, name, uid)
    # First the Rollouts: they go once their candidates have no traffic, which the operator sees to.
    await kubectl.run(["delete", "rollouts.serinus.dev", "--all", "-n", name, "--wait=false"])
    with suppress(DemoError):
        await wait_for(
            lambda: _said(kubectl, "get", "rollouts.serinus.dev", "-n", name, "-o", "name"),
            lambda found: not found,
            within=_ROLLOUTS_SECONDS,
            what=f"the end of the Rollouts in {name}",
        )
    await _still(kubectl, name, uid)
    await kubectl.run(["delete", "namespace", name, "--wait=false"])
    await wait_for(
        lambda: _said(kubectl, "get", "namespace", name, "--ignore-not-found", "-o", "name"),
        lambda found: not found,
        within=_GONE_SECONDS,
        what=f"the end of the namespace {name}: see `kubectl get namespace {name} -o yaml`",
    )


async def _still(kubectl: Kubectl, name: str, uid: str) -> None:
    if await _uid(kubectl, name) != uid:
        raise DemoError(f"somebody has replaced the namespace {name} meanwhile: it is left as it is")


async def _uid(kubectl: Kubectl, name: str) -> str:
    text = await kubectl.run(["get", "namespace", name, "--ignore-not-found", "-o", "json"])
    if not text.strip():
        return ""
    metadata = json.loads(text)["metadata"]
    if metadata.get("labels", {}).get(LABEL) != MARK:
        raise ForeignNamespaceError(
            f"the namespace {name} exists, and no demo has made it (it has no label {LABEL}={MARK})"
        )
    uid: str = metadata["uid"]
    return uid


async def _said(kubectl: Kubectl, *words: str) -> str:
    try:
        return (await kubectl.run(words)).strip()
    except DemoError as problem:
        raise CouldNotAskError(str(problem)) from problem
