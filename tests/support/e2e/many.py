"""Many models at once in one namespace, with a few shared processes behind their Services."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from demo.observe import wait_for
from serinus.api.parsing import decode
from serinus.api.rollout_status import RolloutStatus
from support.e2e.fixtures import STABLE
from support.e2e.manifests import Manifest, backend_of, endpoints, model_version, rollout, route, service
from support.e2e.manifests import model as policy
from support.e2e.place import Place

OLD, NEW = "1.0.0", "2.0.0"


@dataclass(frozen=True, slots=True)
class Model:
    """One of many: which of the shared processes serves its new version; the old one is served by the good one."""

    name: str
    process: str

    def hostname(self, namespace: str) -> str:
        return f"{self.name}.{namespace}.local"

    async def stand(self, place: Place, plan: Sequence[Manifest]) -> None:
        """Serve both versions and let the route give everything to the old one."""
        await place.create(policy(place.namespace, self.name))
        for version, process in ((OLD, STABLE), (NEW, self.process)):
            name = backend_of(version, self.name)
            await place.create(service(place.namespace, name))
            await place.create(endpoints(place.namespace, name, place.servers[process].address))
            await place.create(model_version(place.namespace, version, self.name))
        await place.create(route(place.namespace, self.hostname(place.namespace), model=self.name, stable=OLD))
        await place.create(rollout(place.namespace, OLD, plan, model=self.name))

    async def want_the_new_version(self, place: Place) -> None:
        await place.api.merge(f"{place.path('Rollout')}/{self.name}", {"spec": {"version": NEW}})


async def statuses_of(place: Place) -> dict[str, RolloutStatus]:
    """Return the statuses of all Rollouts of the namespace, by name."""
    found = await place.all("Rollout")
    return {raw["metadata"]["name"]: decode(RolloutStatus, raw.get("status", {}), "status") for raw in found}


async def until_all(
    place: Place, models: Collection[Model], fits: Callable[[RolloutStatus], bool], *, within: float, what: str
) -> dict[str, RolloutStatus]:
    """Wait until the status of every Rollout fits, and return them by name."""
    return await wait_for(
        lambda: statuses_of(place),
        lambda seen: len(seen) == len(models) and all(fits(status) for status in seen.values()),
        within=within,
        what=f"{len(models)} times {what}",
        describe=lambda seen: "; ".join(f"{name} {one.phase}" for name, one in seen.items() if not fits(one)),
        every=0.5,
    )
