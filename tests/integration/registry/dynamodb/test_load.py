"""The concurrency proof: two operators and ten clients move one model's production version a thousand times."""

import asyncio
from typing import Final

from support.dynamodb.place import DynamoDbPlace
from support.registry.concurrency import crowd

MOVES: Final = 1000
_LONGEST_SECONDS: Final = 900


async def test_two_operators_and_ten_clients_move_a_model_a_thousand_times_and_lose_nothing(
    place: DynamoDbPlace,
) -> None:
    stores = [place.open() for _ in range(12)]
    async with asyncio.timeout(_LONGEST_SECONDS):
        ledger = await crowd(place, place.fresh_model(), stores, clients=12, moves=MOVES)
    assert ledger.moves >= MOVES
    assert len(ledger.recorded) >= MOVES
    assert ledger.reads > MOVES, "the reader has read too seldom"
