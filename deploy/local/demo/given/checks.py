"""What the cluster must have: looked at before anything in it is changed, each lack with what to do."""

import asyncio
import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from demo.cluster import Kubectl
from demo.errors import CouldNotAskError, DemoError
from demo.given.namespace import ForeignNamespaceError, is_there
from demo.given.operator import source_of
from demo.given.options import Options
from demo.metrics.prometheus import Probe
from demo.oncall import SERINUS
from serinus.cli.check.line import Line, State, failed, ok, unknown
from serinus.metrics.presets import PRESETS
from serinus.source_settings import SourceSettings

_REACHED_SECONDS: Final = 10.0
_NEEDED: Final = (
    ("create", "namespaces"),
    ("delete", "namespaces"),
    *(("create", kind) for kind in ("deployments.apps", "services", "configmaps", "jobs.batch")),
    ("create", "httproutes.gateway.networking.k8s.io"),
    ("create", "rollouts.serinus.dev"),
    ("delete", "rollouts.serinus.dev"),
)


_LATER: Final = frozenset({"namespace", "routes", "actor-stamp"})
"""What ``serinus check`` says of the demo's namespace, which is not there yet: the demo makes it."""


class CheckedLine(msgspec.Struct, frozen=True):
    """One line of ``serinus check -o json``."""

    check: str
    state: State
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found in the cluster.

    Attributes:
        lines: one for each thing that was looked at.
        source: the operator's settings of the metric source; None where there are none.
        leftover: whether an earlier demo has left its namespace.
        alone: whether the operator has no other Rollout.
    """

    lines: Sequence[Line]
    source: SourceSettings | None = None
    leftover: bool = False
    alone: bool = False

    @property
    def missing(self) -> list[Line]:
        """Return what keeps the demo from being played."""
        return [line for line in self.lines if line.state is State.FAILED]


async def look(kubectl: Kubectl, options: Options) -> Found:
    """Look at the cluster, and change nothing.

    Raises:
        DemoError: the API server did not answer.
    """
    lines = await _checked(kubectl, options.namespace)
    if any(line.name in {"crds", "gateway-api"} and line.state is State.FAILED for line in lines):
        return Found(lines=lines)
    leftover, namespace = await _namespace(kubectl, options.namespace)
    source, configured = await source_of(kubectl, options.source)
    lines += [namespace, configured, await _rights(kubectl, options.namespace), await _gateway(kubectl, options)]
    lines += [await reached(options.gateway_url), await prometheus(options.prometheus, options.preset)]
    return Found(
        lines=lines,
        source=source,
        leftover=leftover,
        alone=not leftover and not (await kubectl.run(["get", "rollouts.serinus.dev", "-A", "-o", "name"])).strip(),
    )


async def _checked(kubectl: Kubectl, namespace: str) -> list[Line]:
    """Return what ``serinus check`` says."""
    serinus, words = Kubectl(SERINUS, kubectl.environment), ["check", "-n", namespace, "-o", "json"]
    try:
        text = await serinus.run(words)
    except DemoError:
        # Its status is 1 where something is missing, which it says in the same form, and where nobody answers.
        text = await serinus.run(words, status=1)
        if not text.strip():
            raise
    try:
        checked = msgspec.json.decode(text, type=list[CheckedLine])
    except msgspec.DecodeError as problem:
        raise DemoError(f"serinus check did not answer: {text[:300]}") from problem
    return [Line(one.check, one.state, one.message, one.remedy) for one in checked if one.check not in _LATER]


async def _namespace(kubectl: Kubectl, name: str) -> tuple[bool, Line]:
    try:
        leftover = await is_there(kubectl, name)
    except ForeignNamespaceError as problem:
        return False, failed("namespace", str(problem), "choose another: --namespace NAME")
    said = (
        f"{name} of an earlier demo will be removed first" if leftover else f"{name} does not exist, and will be made"
    )
    return leftover, ok("namespace", said)


async def _rights(kubectl: Kubectl, namespace: str) -> Line:
    answers = await asyncio.gather(
        *(_may(kubectl, "auth", "can-i", verb, kind, "-n", namespace) for verb, kind in _NEEDED)
    )
    refused = [" ".join(words) for words, may in zip(_NEEDED, answers, strict=True) if not may]
    if refused:
        return failed(
            "rights-demo", f"you may not {', '.join(refused)}", "ask an administrator, or use a context of one"
        )
    return ok("rights-demo", "you may make and remove what the demo needs")


async def _may(kubectl: Kubectl, *words: str) -> bool:
    try:
        return (await kubectl.run(words)).strip() == "yes"
    except DemoError:
        return False


async def _gateway(kubectl: Kubectl, options: Options) -> Line:
    key = options.gateway
    words = ["get", "gateways.gateway.networking.k8s.io", key.name, "-n", key.namespace, "--ignore-not-found"]
    text = await kubectl.run([*words, "-o", "json"])
    if not text.strip():
        remedy = "give one of these: kubectl get gateways -A"
        return failed("gateway", f"there is no Gateway {key}", remedy)
    return gateway_line(json.loads(text), options.namespace)


def gateway_line(raw: Mapping[str, Any], namespace: str) -> Line:
    """Return whether a Gateway is programmed and takes routes of the namespace."""
    name, place = raw["metadata"]["name"], raw["metadata"]["namespace"]
    conditions = raw.get("status", {}).get("conditions", [])
    if not any(one.get("type") == "Programmed" and one.get("status") == "True" for one in conditions):
        remedy = f"see its conditions: kubectl describe gateway {name} -n {place}"
        return failed("gateway", f"{place}/{name} is not programmed", remedy)
    listeners = [one for one in raw["spec"].get("listeners", []) if one.get("protocol") == "HTTP"]
    if not listeners:
        return failed("gateway", f"{place}/{name} has no listener for HTTP", "add one, or give another Gateway")
    # The Gateway API's default is Same; of a selector the Gateway itself judges once the route is there.
    taken = {one.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same") for one in listeners}
    if taken == {"Same"} and namespace != place:
        remedy = "set allowedRoutes.namespaces.from: All on a listener, or --namespace to one that is taken"
        return failed("gateway", f"{place}/{name} takes routes of its own namespace only", remedy)
    return ok("gateway", f"{place}/{name} is programmed")


async def reached(url: str) -> Line:
    """Return whether something listens at the gateway's address."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    try:
        async with asyncio.timeout(_REACHED_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as problem:
        said = f"{url} does not answer: {problem!r}"
        if isinstance(problem, socket.gaierror):
            return failed("gateway-url", said, "give an address that this machine knows")
        # Envoy opens no port for a listener without routes, and the demo's route is not there yet.
        remedy = "a gateway without routes may not answer; else give an address that this machine reaches"
        return unknown("gateway-url", said, remedy)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ok("gateway-url", f"{url} answers")


async def prometheus(url: str, preset: str) -> Line:
    """Return whether Prometheus answers, and has series of the preset."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        probe = Probe(session, url)
        try:
            answers, series = await probe.value("vector(1)"), await probe.value(f"count({PRESETS[preset].sign})")
        except CouldNotAskError as problem:
            remedy = "give an address that this machine reaches, such as that of a kubectl port-forward"
            return failed("prometheus", str(problem), remedy)
    if answers is None:
        return failed("prometheus", f"{url} does not answer as Prometheus", "give another --prometheus")
    if not series:
        # A gateway without a route has none yet.
        said = f"{url} answers, and has no series of preset {preset} yet"
        return unknown("prometheus", said, "if the gateway has had routes: let Prometheus scrape its proxies")
    return ok("prometheus", f"{url} has {series:g} series of preset {preset}")
