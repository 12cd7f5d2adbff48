"""What the acts of the demo depend on: the local cluster and one that a kubeconfig names fill it in differently."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.metrics.dataplanes import DataPlane
from demo.portable.server import MODEL
from serinus.api.names import ObjectKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The plan's durations and how long the demo waits, all in seconds.

    Attributes:
        canary: how long the canary stage lasts at least.
        bake: how long 100 % is watched at least.
        stage: how long a stage may last.
        servers: how long the pods may take to become ready.
        route: how long the gateway may take to accept the route.
        adoption: how long the operator may take to adopt the version that serves.
        run: how long one run may take.
        load: how long requests are sent at most.
        poll: time between two reads of Rollout and route, and so the resolution of times measured by polling.
        probe: time between two questions to Prometheus.
        settled: time after which an accepted route is taken to be in effect.
        safe: how long it may take from a visible breach to weight 0.
    """

    canary: int = 20
    bake: int = 10
    stage: int = 180
    servers: float = 60.0
    route: float = 30.0
    adoption: float = 30.0
    run: float = 120.0
    load: float = 900.0
    poll: float = 0.1
    probe: float = 0.2
    settled: float = 1.0
    safe: float = 15.0


LOCAL_PACE: Final = Pace()
"""For scrapes of 1 s and 500 requests a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """How pods start the demo's programs.

    Attributes:
        image: of all containers.
        server: the command of a model server; its arguments follow.
        server_environment: its environment, as a container's ``env``.
        contract: the command of the contract test.
        contract_environment: its environment.
        trains: whether a server trains its model itself; otherwise its arguments have the weights.
    """

    image: str
    server: tuple[str, ...]
    server_environment: tuple[Mapping[str, object], ...]
    contract: tuple[str, ...]
    contract_environment: tuple[Mapping[str, object], ...]
    trains: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """Settings of one demo.

    Attributes:
        namespace: where everything is that the demo applies.
        hostname: host name of the route.
        gateway: namespace and name of the Gateway.
        gateway_url: where the load generator reaches it.
        preset: the Rollout's ``spec.metrics.preset``.
        source: its ``spec.metrics.source``.
        plane: what Prometheus has of that data plane.
        programs: how pods start the demo's programs.
        folder: folder for everything that the demo writes.
        rate: requests per second.
        pace: how long everything lasts.
        actors: whom the audit trail may name.
        trouble: what to read when the demo does not end well.
    """

    namespace: str
    hostname: str
    gateway: ObjectKey
    gateway_url: str
    preset: str
    source: str
    plane: DataPlane
    programs: Programs
    folder: Path
    rate: float
    pace: Pace
    actors: frozenset[str]
    trouble: str

    @property
    def key(self) -> ObjectKey:
        """Namespace and name of the Rollout, and of its route."""
        return ObjectKey(self.namespace, MODEL)
