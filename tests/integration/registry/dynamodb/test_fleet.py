"""Two named clusters move the same models on one pair of tables a thousand times, and never meet."""

import asyncio
from typing import Final

import pytest

from support.dynamodb.place import DynamoDbPlace
from support.registry.fleet import Cluster
from support.registry.place import registry_on

MOVES: Final = 1000
_LEAST: Final = 20
"""So many crashes, repetitions and refusals at least, or the walk would show nothing of them."""


@pytest.mark.parametrize("seed", [11])
async def test_a_thousand_moves_of_two_clusters_leave_each_its_own_production_and_chain(
    place: DynamoDbPlace, seed: int
) -> None:
    models = [place.fresh_model() for _ in range(3)]
    clusters = [Cluster(place, name, seed + number, models) for number, name in enumerate(("prod-eu", "prod-us"))]
    for cluster in clusters:
        await cluster.begin()
    await asyncio.gather(*(_walk(cluster, MOVES // len(clusters)) for cluster in clusters))
    for cluster in clusters:
        assert cluster.moves == MOVES // len(clusters)
        assert min(cluster.crashes, cluster.repeats, cluster.refused) >= _LEAST
        await cluster.check()
    assert await place.open().clusters() == ("prod-eu", "prod-us")
    await _compare_across(place, clusters)


async def _walk(cluster: Cluster, moves: int) -> None:
    for _ in range(moves):
        await cluster.move()


async def _compare_across(place: DynamoDbPlace, clusters: list[Cluster]) -> None:
    """Each cluster of the fleet shows its own production version to a client that runs in neither."""
    for cluster in clusters:
        client = registry_on(place.open(cluster=cluster.name))
        for model, standing in cluster.standings.items():
            production = await client.production(model)
            assert (production.version if production is not None else "") == standing.production
    first, second = (cluster.standings for cluster in clusters)
    assert any(first[model].production != second[model].production for model in first), "the clusters never differed"
