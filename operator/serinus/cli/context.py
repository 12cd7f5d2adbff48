"""What a command gets of the outside; apart from the registry's own modules, which take long to load."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serinus.clock import SystemClock

if TYPE_CHECKING:
    # The commands at a terminal that only read one Rollout must start fast: these load numpy.
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from serinus.api.model import ModelSpec
    from serinus.api.names import ObjectKey
    from serinus.ports.registry_store import RegistryStore
    from serinus.ports.services import Clock


async def _open_store(url: str, namespaces: Sequence[str]) -> RegistryStore:
    from serinus.registry.address import open_store  # noqa: PLC0415 - a test with its own store loads nothing

    return await open_store(url, namespaces=namespaces)


async def _read_policy(model: ObjectKey) -> ModelSpec | None:
    from serinus.api.model import ModelSpec  # noqa: PLC0415 - slow to load
    from serinus.api.names import MODEL  # noqa: PLC0415 - likewise
    from serinus.api.parsing import decode  # noqa: PLC0415 - likewise
    from serinus.errors import NotFoundError  # noqa: PLC0415 - likewise
    from serinus.kube.client import KubernetesClient  # noqa: PLC0415 - likewise
    from serinus.kube.kinds import object_path  # noqa: PLC0415 - likewise

    async with await KubernetesClient.open() as client:
        try:
            raw = await client.request("GET", object_path(MODEL, model))
        except NotFoundError:
            return None
    return decode(ModelSpec, raw.get("spec", {}), "spec")


@dataclass(frozen=True, slots=True)
class CliContext:
    """The commands' access to the registry, the cluster, the clock and the environment; tests replace it.

    Attributes:
        open_store: opens a registry by its address, to list these namespaces of a cluster; no namespaces mean all.
        read_policy: returns the spec of the cluster's Model; None if there is no such Model.
        clock: the time.
        environment: the variables of the process.
    """

    open_store: Callable[[str, Sequence[str]], Awaitable[RegistryStore]] = _open_store
    read_policy: Callable[[ObjectKey], Awaitable[ModelSpec | None]] = _read_policy
    clock: Clock = field(default_factory=SystemClock)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
