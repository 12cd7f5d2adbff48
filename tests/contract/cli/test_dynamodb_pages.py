"""The fenced commands of the pages that are about DynamoDB are run as a reader would paste them, in their order.

The tables are those that the first page makes; AWS's own environment variables lead the commands to the emulator.
"""

import asyncio
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from serinus.api.names import ObjectKey
from serinus.registry.service import Registry
from support.audit.trails import TrailClock
from support.dynamodb.moto import moto
from support.dynamodb.place import DynamoDbPlace, settings_at
from support.fenced.folders import page_folder, problem_of, run
from support.fenced.pages import lines_that_need
from support.fenced.runs import Line, Where, expected
from support.registry.place import BY, audit_entry, register

__all__ = ["moto"]

LINES: Final = lines_that_need(Where.FLEET)
_FIRST: Final = "docs/how-to/registry-on-dynamodb.md"
_BUCKET: Final = "s3://…"
_EMULATOR: Final = "http://127.0.0.1:8000"
_LAST: Final = re.compile("release-cluster")
_OLD: Final = datetime(2015, 3, 1, tzinfo=UTC)
"""So long ago that a retention of seven years is over."""


def _fill(endpoint: str) -> None:
    """Have two clusters with the models of the pages; the records of one model are old enough to go."""

    async def fill() -> None:
        place = DynamoDbPlace(settings_at(endpoint, table_prefix="serinus"))
        for cluster, version in (("prod-eu", "2.3.0"), ("prod-us", "2.2.4")):
            for model in (ObjectKey("payments", "fraud-detector"), ObjectKey("default", "fraud-detector")):
                store = place.open(cluster=cluster, identity=f"uid-{cluster}")
                registry = Registry(store, TrailClock(_OLD), BY)
                await register(registry, model, "2.2.4", "2.3.0")
                await registry.promote(model, version, audit_entry())
        await place.close()

    asyncio.run(fill())


def _problem(line: Line, folder: Path, environment: dict[str, str], endpoint: str) -> str:
    text = line.text.replace(_EMULATOR, endpoint).replace(_BUCKET, "archive")
    done = run(line, text, page_folder(folder, line.page), environment)
    return problem_of(line, text, done, expected(line))


def test_the_pages_are_about_every_command_of_the_tables() -> None:
    told = " ".join(line.text for line in LINES)
    for verb in ("create-tables", "clusters", "release-cluster", "production", "register", "report", "prune"):
        assert verb in told


def test_every_command_on_tables_in_dynamodb_works(moto: str, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL_DYNAMODB": moto,
    }
    ordered = sorted(LINES, key=lambda line: (bool(_LAST.search(line.text)), line.page != _FIRST))
    making, *others = ordered
    assert "create-tables" in making.text
    assert _problem(making, tmp_path, environment, moto) == ""
    _fill(moto)
    # All of them, so that one run says what else is wrong.
    problems = [problem for line in others if (problem := _problem(line, tmp_path, environment, moto))]
    assert problems == []
