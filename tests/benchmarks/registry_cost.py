"""What the registry costs in DynamoDB: ``python tests/benchmarks/registry_cost.py [versions …]``; judges nothing.

Requests and capacity units, as DynamoDB Local counts them, of a promotion, a rollback and a read of what serves, of a
model with few, many and very many versions: the figures must not depend on how many there are.
"""

# ruff: noqa: T201 - a benchmark speaks to a person in a terminal

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / part) for part in ("operator", "deploy/local", "tests")]

import pytest  # noqa: E402 - the paths above come first

from localcluster.programs.dynamodb import dynamodb_local  # noqa: E402
from serinus.api.audit_record import AuditEvent  # noqa: E402
from serinus.api.model import MAX_RECENT  # noqa: E402
from serinus.api.names import ObjectKey  # noqa: E402
from serinus.registry.dynamodb.client import Clients  # noqa: E402
from serinus.registry.dynamodb.items import version_values  # noqa: E402
from serinus.registry.dynamodb.keys import Keys  # noqa: E402
from support.dynamodb.place import CLUSTER, DynamoDbPlace, boto_clients, credentials, make_tables, settings_at  # noqa: E402
from support.registry.place import audit_entry, register, registry_on, version_entry  # noqa: E402

SIZES: Final = (10, 1_000, 10_000)
_ROUNDS: Final = 20
_BATCH: Final = 25
_USED: Final = ("1000.0.0", "1000.1.0")


@dataclass(slots=True)
class Bill:
    """What was asked and what DynamoDB says that it costs."""

    requests: float = 0.0
    read_units: float = 0.0
    write_units: float = 0.0
    seconds: float = 0.0

    def add(self, other: "Bill", weight: float) -> None:
        self.requests += other.requests * weight
        self.read_units += other.read_units * weight
        self.write_units += other.write_units * weight
        self.seconds += other.seconds * weight

    @property
    def units(self) -> float:
        return self.read_units + self.write_units


@contextmanager
def billed(clients: Clients) -> Iterator[Bill]:
    """Request the consumed capacity of every call, and add it up."""
    bill = Bill()

    def ask_for_capacity(params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "TOTAL"

    def add(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        bill.requests += 1
        consumed = parsed.get("ConsumedCapacity", [])
        listed = consumed if isinstance(consumed, list) else [consumed]
        units = sum(table["CapacityUnits"] for table in listed)
        if model.name == "TransactWriteItems":
            bill.write_units += units
        else:
            bill.read_units += units

    for client in boto_clients(clients):
        client.meta.events.register("provide-client-params.dynamodb", ask_for_capacity)
        client.meta.events.register("after-call.dynamodb", add)
    begun = time.perf_counter()
    yield bill
    bill.seconds = time.perf_counter() - begun
    for client in boto_clients(clients):
        client.meta.events.unregister("provide-client-params.dynamodb", ask_for_capacity)
        client.meta.events.unregister("after-call.dynamodb", add)


def seed(client: Any, table: str, model: ObjectKey, count: int) -> None:
    """Put versions beside the registry's own, many at a time."""
    keys = Keys.of_cluster("", CLUSTER)
    numbers = iter(range(count))
    while batch := list(itertools.islice(numbers, _BATCH)):
        entries = [version_entry(model, f"{number // 100}.{number % 100}.0") for number in batch]
        puts = [
            {"PutRequest": {"Item": keys.version(model, one.version) | version_values(keys, model, one)}}
            for one in entries
        ]
        while puts:
            puts = client.batch_write_item(RequestItems={table: puts})["UnprocessedItems"].get(table, [])


async def measure(place: DynamoDbPlace, count: int) -> dict[str, Bill]:
    model, store = place.fresh_model(), place.open()
    clients, registry = place.clients(store), registry_on(store)
    seed(clients.reads, f"{place.settings.table_prefix}-registry", model, count)
    await register(registry, model, *_USED)
    await registry.promote(model, _USED[0], audit_entry())
    # The head remembers its last records: it is at its full size only once there are so many.
    for _ in range(MAX_RECENT):
        await registry.record(model, audit_entry())
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "promote": lambda: registry.promote(model, _USED[1], audit_entry()),
        "rollback": lambda: registry.rollback(model, audit_entry(), to=_USED[0]),
        "read production": lambda: registry.production(model),
    }
    total = {name: Bill() for name in steps}
    for _ in range(_ROUNDS):
        for name, step in steps.items():
            with billed(clients) as bill:
                await step()
            total[name].add(bill, 1 / _ROUNDS)
        await registry.record(model, audit_entry(AuditEvent.QUARANTINE_LIFTED, version=_USED[1]))
    return total


async def compare(sizes: tuple[int, ...], endpoint: str) -> None:
    settings = settings_at(endpoint)
    make_tables(settings)
    place = DynamoDbPlace(settings)
    print(f"{'versions':>9}  {'what':<16} {'requests':>8} {'read u.':>8} {'write u.':>8} {'ratio':>6} {'ms':>7}")
    first: dict[str, Bill] = {}
    for size in sizes:
        measured = await measure(place, size)
        first = first or measured
        for name, bill in measured.items():
            ratio, milliseconds = bill.units / first[name].units, bill.seconds * 1000
            print(
                f"{size:>9,}  {name:<16} {bill.requests:>8.1f} {bill.read_units:>8.1f} {bill.write_units:>8.1f} "
                f"{ratio:>6.2f} {milliseconds:>7.1f}"
            )
    await place.close()


def main() -> None:
    sizes = tuple(int(word) for word in sys.argv[1:]) or SIZES
    with pytest.MonkeyPatch.context() as patch:
        credentials(patch)
        with dynamodb_local() as endpoint:
            asyncio.run(compare(sizes, endpoint))


if __name__ == "__main__":
    main()
