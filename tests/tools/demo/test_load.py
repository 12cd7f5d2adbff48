"""The load generator keeps its rate, records every request, and sends to local addresses only."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.errors import DemoError
from demo.traffic.load import LoadPlan, generate, refuse_foreign
from demo.traffic.requestlog import NO_ANSWER, RequestLog, RequestRecord, between, line_of, quantile, record_of
from demo.traffic.wire import Answer, Connections, NoAnswerError, Target, answer_in, header_pattern, request_of

Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]
GOOD = b"HTTP/1.1 200 OK\r\nX-Served-By: 2.3.0\r\nContent-Length: 2\r\n\r\n{}"


@asynccontextmanager
async def gateway(respond: Respond) -> AsyncIterator[str]:
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"}"):
                await respond(writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    # The clients have disconnected, so every connection ends by itself.
    async with asyncio.timeout(10):
        await asyncio.gather(*served)


async def requests_of(respond: Respond, *, rate: float = 200.0, seconds: float = 0.5) -> list[RequestRecord]:
    output = io.StringIO()
    async with gateway(respond) as url:
        plan = LoadPlan(url=url, hostname="fraud.demo.local", rate=rate, seconds=seconds)
        await generate(plan, output, asyncio.Event())
    return [record_of(line) for line in output.getvalue().splitlines()]


async def respond_ok(writer: asyncio.StreamWriter) -> None:
    writer.write(GOOD)


async def test_each_planned_request_is_sent_and_recorded_with_the_version_that_answered() -> None:
    records = await requests_of(respond_ok)

    assert len(records) == 100
    assert {(record.version, record.status) for record in records} == {("2.3.0", 200)}


async def test_a_slow_server_does_not_slow_the_load_down() -> None:
    async def respond_late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        writer.write(GOOD)

    start = time.monotonic()
    records = await requests_of(respond_late)

    assert len(records) == 100
    assert quantile(records, 0.5) >= 0.3
    # A client that waits for each response would need 100 times 0.3 s.
    assert time.monotonic() - start < 15


async def test_a_gateway_that_closes_the_connection_is_recorded_as_no_answer() -> None:
    async def disconnect(writer: asyncio.StreamWriter) -> None:
        writer.close()

    records = await requests_of(disconnect, seconds=0.1)

    assert [record.status for record in records] == [NO_ANSWER] * 20
    assert all(record.failed for record in records)


async def test_a_refused_connection_is_recorded_as_no_answer() -> None:
    output = io.StringIO()
    async with gateway(respond_ok) as url:
        closed = url
    await generate(LoadPlan(url=closed, hostname="x", rate=50, seconds=0.1), output, asyncio.Event())

    assert {record_of(line).status for line in output.getvalue().splitlines()} == {NO_ANSWER}


async def test_the_load_stops_at_once_on_request() -> None:
    stop = asyncio.Event()
    stop.set()
    output = io.StringIO()
    async with gateway(respond_ok) as url:
        await generate(LoadPlan(url=url, hostname="x", rate=50, seconds=60), output, stop)

    assert output.getvalue() == ""


async def test_a_load_that_is_cancelled_leaves_no_connection_open() -> None:
    asked = asyncio.Event()

    async def never(_: asyncio.StreamWriter) -> None:
        asked.set()

    async with gateway(never) as url:  # leaves only when each connection has ended
        load = asyncio.create_task(
            generate(LoadPlan(url=url, hostname="x", rate=50, seconds=60), io.StringIO(), asyncio.Event())
        )
        async with asyncio.timeout(10):
            await asked.wait()
        load.cancel()
        await asyncio.wait([load])


async def test_a_request_that_ends_after_the_pool_was_closed_leaves_no_connection_open() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answer.wait()
        writer.write(GOOD)

    async with gateway(late) as url:
        target = urlsplit(url)
        connections = Connections(Target(target.hostname or "", target.port or 80, "X-Served-By"))
        request = asyncio.create_task(connections.ask(request_of("/", {}, b"{}"), 10.0))
        async with asyncio.timeout(10):
            await asked.wait()
            connections.close()
            answer.set()
            assert (await request).status == 200


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "http://198.18.0.2:8080", "http://198.19.255.1"])
def test_this_machine_and_the_local_cluster_are_allowed(url: str) -> None:
    refuse_foreign(url)


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1", "http://198.20.0.1", "http://localhost:8080", "http://example.org", "http://[::1]:80", "x"],
)
def test_any_other_address_and_any_name_is_refused(url: str) -> None:
    with pytest.raises(DemoError):
        LoadPlan(url=url, hostname="x", rate=1, seconds=1)


@pytest.mark.parametrize("url", ["http://192.0.2.1", "http://gateway.example.org:8080/", "http://[2001:db8::1]:80"])
def test_a_gateway_elsewhere_is_sent_to_where_a_person_has_named_it(url: str) -> None:
    assert LoadPlan(url=url, hostname="x", rate=500, seconds=1, elsewhere=True).url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://x",
        "x:80",
        "http://",
        "http://x:0",
        "http://x:y",
        "http://x/v2",
        "http://u@x",
        "http://x?q",
        "http://x#f",
    ],
)
def test_what_the_load_cannot_send_to_is_refused(url: str) -> None:
    with pytest.raises(DemoError, match="http://HOST:PORT"):
        LoadPlan(url=url, hostname="x", rate=1, seconds=1, elsewhere=True)


def test_a_gateway_elsewhere_gets_fewer_requests() -> None:
    with pytest.raises(DemoError, match="a rate up to 500"):
        LoadPlan(url="http://gateway.example.org", hostname="x", rate=501, seconds=1, elsewhere=True)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (2001, 1), (1, 0), (1, 3601)])
def test_a_load_without_bounds_is_refused(rate: float, seconds: float) -> None:
    with pytest.raises(DemoError, match="requests/s"):
        LoadPlan(url="http://127.0.0.1", hostname="x", rate=rate, seconds=seconds)


@given(cut=st.integers(0, len(GOOD) - 1))
def test_a_response_is_parsed_only_when_complete(cut: int) -> None:
    header = header_pattern("x-served-by")

    assert answer_in(GOOD[:cut], header) is None
    assert answer_in(GOOD, header) == Answer(200, "2.3.0")


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"SSH-2.0-x\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"x" * 70_000,
    ],
)
def test_a_malformed_response_counts_as_none(received: bytes) -> None:
    with pytest.raises(NoAnswerError):
        answer_in(received, header_pattern("x-served-by"))


def test_a_response_without_the_header_has_no_version() -> None:
    answer = answer_in(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", header_pattern("x-served-by"))

    assert answer == Answer(503, "")


def test_a_growing_log_is_read_by_complete_lines(tmp_path: Path) -> None:
    file = tmp_path / "requests.csv"
    first, second = RequestRecord(1.0, "2.3.0", 200, 0.01), RequestRecord(2.0, "", NO_ANSWER, 5.0)
    log = RequestLog(file)
    assert list(log.read()) == []

    file.write_text(line_of(first) + line_of(second)[:5], encoding="ascii")
    assert list(log.read()) == [first]
    file.write_text(line_of(first) + line_of(second), encoding="ascii")
    assert list(log.read()) == [first, second]
    assert list(log.read()) == [first, second]


def test_requests_are_selected_by_their_start() -> None:
    records = [RequestRecord(at, "2.3.0", 200, 0.01) for at in (1.0, 2.0, 3.0)]

    assert [record.started for record in between(records, 2.0)] == [2.0, 3.0]
    assert [record.started for record in between(records, 1.0, 3.0)] == [1.0, 2.0]


def test_a_malformed_line_is_an_error_that_shows_it() -> None:
    with pytest.raises(DemoError, match="is not a line of the load generator"):
        record_of("yesterday,2.3.0,200")
