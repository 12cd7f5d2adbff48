"""What came of each query of a source, as the operator's metrics count it."""

import time
from collections.abc import Callable
from typing import Final

import pytest

from serinus.errors import RefusedError, TransientError
from serinus.metrics.transport import Matrix, Vector
from serinus.metrics.workers import Workers
from serinus.telemetry import QUERY_OUTCOMES

TIMEOUT: Final = 0.05


def refuse() -> Vector:
    raise RefusedError("parse error")


def fail() -> Vector:
    raise TransientError("connection refused")


def hang() -> Vector:
    time.sleep(4 * TIMEOUT)
    return Vector([], partial=False)


class Script:
    """A transport that does what a test says."""

    place = "http://prometheus.example"

    def __init__(self, does: Callable[[], Vector]) -> None:
        self._does = does

    def instant(self, _query: str, _at: str) -> Vector:
        return self._does()

    def range(self, _query: str, _start: str, _end: str, _step: str) -> Matrix:
        return Matrix([], partial=self._does().partial)

    def close(self) -> None:
        """Nothing is open."""


CASES: Final[dict[str, Callable[[], Vector]]] = {
    "ok": lambda: Vector([], partial=False),
    "partial": lambda: Vector([], partial=True),
    "refused": refuse,
    "unavailable": fail,
    "timeout": hang,
}


@pytest.mark.parametrize("outcome", CASES)
async def test_each_query_is_counted_with_what_came_of_it_and_how_long_it_took(outcome: str) -> None:
    told: list[tuple[str, float]] = []
    workers = Workers(Script(CASES[outcome]), TIMEOUT, "default", lambda *what: told.append(what))  # type: ignore[arg-type]
    try:
        await workers.instant("up", 0)
    finally:
        workers.close()

    ((word, seconds),) = told
    assert word == outcome
    assert seconds >= (TIMEOUT if outcome == "timeout" else 0)


def test_every_outcome_is_one_of_the_metrics() -> None:
    assert set(QUERY_OUTCOMES) == set(CASES)
