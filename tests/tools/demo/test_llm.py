"""The demo of a language model without a cluster: its server, its load and its manifests."""

import asyncio
import re
import socket
import time
from pathlib import Path

import aiohttp
import pytest
import yaml

from demo.llm import manifests
from demo.llm.load import generate
from demo.llm.play import CONDITION
from demo.llm.server import PATH, Pace, TokenServer, listening
from demo.portable.server import SERVED_BY
from demo.traffic.load import LoadPlan
from demo.traffic.requestlog import RequestLog
from serinus.cli.lint.object_check import is_ours, object_problems
from serinus.metrics.presets import PRESETS

HOST = "127.0.0.1"


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


async def ask(session: aiohttp.ClientSession, port: int, body: bytes) -> tuple[int, str, str]:
    async with session.post(f"http://{HOST}:{port}{PATH}", data=body) as response:
        return response.status, response.headers[SERVED_BY], await response.text()


def value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    assert found is not None, series
    return float(found[1])


async def test_it_streams_tokens_and_counts_them_as_vllm_does(port: int) -> None:
    server = TokenServer("1.1.0", Pace(first=0.01, each=0.001, late=1.5, after=2))
    async with listening(server, HOST, port), aiohttp.ClientSession() as session:
        for _ in range(3):
            status, version, text = await ask(session, port, b'{"prompt": "Hello", "max_tokens": 4}')
            assert (status, version) == (200, "1.1.0")
            assert text.count("data: ") == 5
            assert text.endswith("data: [DONE]\n\n")
        refused, _, _ = await ask(session, port, b'{"prompt": 5}')
        assert refused == 400
        async with session.get(f"http://{HOST}:{port}/metrics") as response:
            exposed = await response.text()
    labels = '{engine="0",model_name="helpdesk"'
    assert value(exposed, f"vllm:time_to_first_token_seconds_count{labels}}}") == 3
    assert value(exposed, 'vllm:time_to_first_token_seconds_bucket{engine="0",le="1.0",model_name="helpdesk"}') == 2
    assert value(exposed, f"vllm:generation_tokens_total{labels}}}") == 12
    assert value(exposed, f"vllm:inter_token_latency_seconds_count{labels}}}") == 9
    assert value(exposed, f"vllm:num_requests_running{labels}}}") == 0
    assert value(exposed, f'http_requests_total{{handler="{PATH}",method="POST",status="2xx"}}') == 3


def test_it_has_every_series_that_the_preset_reads() -> None:
    exposed, preset = TokenServer("1.0.0", Pace()).metrics.text().decode(), PRESETS["vllm"]
    assert preset.speed is not None
    assert preset.preempted is not None
    assert preset.histogram is not None
    series = {
        *(one.series for one in (preset.histogram, *preset.timings.values())),
        *(preset.speed.tokens, preset.speed.firsts, preset.speed.seconds, preset.preempted.beside, preset.presence),
    }
    assert {one for one in series if one and f"\n{one}{{" not in exposed} == set()


async def test_a_client_that_goes_away_is_an_abort(port: int) -> None:
    server = TokenServer("1.0.0", Pace(first=0.01, each=0.05, late=0.01))
    async with listening(server, HOST, port):
        async with aiohttp.ClientSession() as session:
            response = await session.post(f"http://{HOST}:{port}{PATH}", data=b'{"prompt": "Hello", "max_tokens": 500}')
            await response.content.readany()
            response.close()
        deadline = time.monotonic() + 60
        while 'finished_reason="abort",model_name="helpdesk"} 1.0' not in server.metrics.text().decode():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


async def test_the_load_reads_each_stream_to_its_end_and_notes_the_first_token(port: int, tmp_path: Path) -> None:
    file = tmp_path / "requests.csv"
    plan = LoadPlan(url=f"http://{HOST}:{port}", hostname="helpdesk.demo.local", rate=20, seconds=1)
    async with listening(TokenServer("1.2.0", Pace(first=0.2, each=0.001, late=0.2)), HOST, port):
        with file.open("w", encoding="ascii") as output:
            await generate(plan, output, asyncio.Event())
    records = RequestLog(file).read()
    assert len(records) == 20
    assert {(record.version, record.status) for record in records} == {("1.2.0", 200)}
    assert min(record.seconds for record in records) >= 0.19


async def test_a_stream_that_breaks_off_is_no_answer(port: int, tmp_path: Path) -> None:
    file, stop = tmp_path / "requests.csv", asyncio.Event()
    plan = LoadPlan(url=f"http://{HOST}:{port}", hostname="helpdesk.demo.local", rate=5, seconds=0.2)
    with file.open("w", encoding="ascii") as output:
        await generate(plan, output, stop)
    assert [record.failed for record in RequestLog(file).read()] == [True]


def test_the_manifests_are_valid_and_the_plan_has_the_condition() -> None:
    documents = [
        one
        for text in (manifests.version(manifests.SLOW), manifests.rollout(manifests.GOOD))
        for one in yaml.safe_load_all(text)
    ]
    assert [problem for one in documents if is_ours(one) for problem in object_problems(one)] == []
    (plan,) = (one["spec"] for one in documents if one["kind"] == "Rollout")
    assert all(CONDITION in stage["abortOn"] for stage in plan["stages"][1:])
    route = yaml.safe_load(manifests.route(manifests.STABLE))
    assert route["spec"]["hostnames"] == [manifests.HOSTNAME]
