"""What a real server on loopback does to the sending: one try, bounded in time and in what is read."""

import asyncio
import os
import threading
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serinus.api.parsing import decode
from serinus.clock import SystemClock
from serinus.errors import RefusedError, TransientError
from serinus.notification_settings import ReceiverSettings
from serinus.notifications.cloudevents import as_cloudevent
from serinus.notifications.message import Message
from serinus.notifications.signature import read_keys, signature_headers
from serinus.notifications.transport import BusyError, HttpTransport
from support.notifications import notification
from support.servers.artifact_server import ArtifactServer
from support.servers.faultproxy import Fault, FaultProxy, Hang, Reset, Status

KEY = f"whsec_{b64encode(bytes(range(32))).decode()}"
MESSAGE = as_cloudevent(notification(), "/serinus")
SECRET_PATH = "/hooks/T0/secret?sig=a%2Bb"
HUGE = Status(200, b"x" * 20_000_000)


@pytest.fixture
async def server() -> AsyncIterator[FaultProxy]:
    async with FaultProxy("127.0.0.1", 1) as running:
        running.always(Status(204, b""))
        yield running


@pytest.fixture
def folder(tmp_path: Path, server: FaultProxy) -> Path:
    """The files that the chart mounts."""
    (tmp_path / "url").write_text(f"{server.url}{SECRET_PATH}\n")
    (tmp_path / "key").write_text(f"{KEY}\n")
    return tmp_path


def transport_of(folder: Path, **fields: object) -> HttpTransport:
    raw = {
        "name": "oncall",
        "type": "cloudevents",
        "urlFrom": {"file": str(folder / "url")},
        "signingKeyFrom": {"file": str(folder / "key")},
        "timeout": "2s",
    }
    return HttpTransport(decode(ReceiverSettings, raw | fields, "receivers[0]"), SystemClock())


async def once(transport: HttpTransport, message: Message = MESSAGE) -> None:
    try:
        await transport.send(message)
    finally:
        await transport.close()


async def test_the_body_arrives_signed_at_the_address_as_it_is_written(server: FaultProxy, folder: Path) -> None:
    await once(transport_of(folder))
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", SECRET_PATH, MESSAGE.body)
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["user-agent"].startswith("serinus/")
    sent_at = SystemClock().now().fromtimestamp(int(request.headers["webhook-timestamp"]), SystemClock().now().tzinfo)
    expected = signature_headers(MESSAGE, read_keys(KEY), sent_at)
    assert {name: request.headers[name] for name in expected} == dict(expected)


@pytest.mark.parametrize(
    ("fault", "error", "problem"),
    [
        (Status(500), TransientError, "HTTP 500"),
        (Status(503), TransientError, "HTTP 503"),
        (Status(408), TransientError, "HTTP 408"),
        (Status(400, b"secret"), RefusedError, "HTTP 400"),
        (Status(401, b"secret"), RefusedError, "HTTP 401"),
        (Status(404, b"secret"), RefusedError, "HTTP 404"),
        (Status(302, b"", (("Location", "http://127.0.0.1:1/elsewhere"),)), RefusedError, "it redirects"),
        (Status(307, b"", (("Location", "http://127.0.0.1:1/elsewhere"),)), RefusedError, "it redirects"),
        (Reset(), TransientError, "broke off"),
    ],
    ids=lambda value: f"{type(value).__name__}{getattr(value, 'code', '')}" if isinstance(value, Fault) else "",
)
async def test_what_goes_wrong_is_said_without_the_address_or_the_answer(
    server: FaultProxy, folder: Path, fault: Fault, error: type[Exception], problem: str
) -> None:
    server.always(fault)
    with pytest.raises(error, match=problem) as raised:
        await once(transport_of(folder))
    assert not isinstance(raised.value, BusyError)
    assert len(server.requests) == 1
    assert not any(secret in str(raised.value) for secret in ("secret", "sig=", "127.0.0.1"))


@pytest.mark.parametrize(
    ("code", "header", "bounds"),
    [
        (429, "17", (17, 17)),
        (503, "5", (5, 5)),
        (429, "Fri, 31 Dec 2999 23:59:59 GMT", (1e9, 1e11)),
        (429, "Sun, 06 Nov 1994 08:49:37 GMT", (0, 0)),
    ],
)
async def test_a_busy_server_says_when_to_come_back(
    server: FaultProxy, folder: Path, code: int, header: str, bounds: tuple[float, float]
) -> None:
    server.always(Status(code, b"", (("Retry-After", header),)))
    with pytest.raises(BusyError) as raised:
        await once(transport_of(folder))
    assert bounds[0] <= raised.value.seconds <= bounds[1]


async def test_a_time_to_come_back_that_is_none_is_ignored(server: FaultProxy, folder: Path) -> None:
    server.always(Status(429, b"", (("Retry-After", "soon"),)))
    with pytest.raises(TransientError) as raised:
        await once(transport_of(folder))
    assert not isinstance(raised.value, BusyError)


async def test_a_server_that_never_answers_is_left_after_the_time_out(server: FaultProxy, folder: Path) -> None:
    server.always(Hang())
    with pytest.raises(TransientError, match="no answer within 200ms"):
        await once(transport_of(folder, timeout="200ms"))


async def test_a_huge_answer_counts_by_its_status_and_is_not_read(server: FaultProxy, folder: Path) -> None:
    server.always(HUGE)
    transport = transport_of(folder)
    await transport.send(MESSAGE)
    # The connection of the first answer is not used again: most of that answer was never read.
    server.always(Status(204, b""))
    await transport.send(MESSAGE)
    await transport.close()
    assert len(server.requests) == 2


async def test_a_certificate_that_is_not_trusted_is_refused(folder: Path) -> None:
    with ArtifactServer(tls=True).running() as strange:
        (folder / "url").write_text(f"{strange.url}/hook")
        with pytest.raises(TransientError, match="its certificate is not trusted"):
            await once(transport_of(folder))


async def test_a_dead_address_cannot_be_reached(folder: Path) -> None:
    async with FaultProxy("127.0.0.1", 1) as gone:
        (folder / "url").write_text(gone.url)
    with pytest.raises(TransientError, match="it cannot be reached"):
        await once(transport_of(folder))


async def test_a_name_that_does_not_exist_cannot_be_reached(folder: Path) -> None:
    (folder / "url").write_text("https://receiver.invalid/x")
    with pytest.raises(TransientError, match=r"it cannot be reached|no answer within"):
        await once(transport_of(folder))


async def test_a_secret_that_is_replaced_is_used_from_the_next_try_on(server: FaultProxy, folder: Path) -> None:
    transport = transport_of(folder)
    await transport.send(MESSAGE)
    (folder / "url").write_text(f"{server.url}/other")
    await transport.send(MESSAGE)
    await transport.close()
    assert [request.target for request in server.requests] == [SECRET_PATH, "/other"]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("url", None, "the file of urlFrom cannot be read"),
        ("key", None, "the file of signingKeyFrom cannot be read"),
        ("url", "", "is empty"),
        ("url", "ftp://receiver.example", "no valid address"),
        ("url", "receiver.example/x", "no valid address"),
        ("url", "http://[receiver", "no valid address"),
        ("url", "https://a.example\nhttps://b.example", "no valid address"),
        ("url", "x" * 20_000, "over"),
        ("key", "top-secret", "another form"),
    ],
)
async def test_a_bad_file_is_named_and_nothing_is_sent(
    server: FaultProxy, folder: Path, file: str, content: str | None, problem: str
) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises((TransientError, RefusedError), match=problem) as raised:
        await once(transport_of(folder))
    assert "secret" not in str(raised.value).replace("Secret", "")
    assert server.requests == []


async def test_a_process_without_threads_tries_again_later(
    server: FaultProxy, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    transport = transport_of(folder)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", start)
        with pytest.raises(TransientError, match="no thread can be started"):
            await transport.send(MESSAGE)
    await once(transport)
    assert len(server.requests) == 1


async def test_a_file_that_hangs_costs_one_thread_and_holds_nothing_up(folder: Path) -> None:
    (folder / "url").unlink()
    pipe = folder / "url"
    os.mkfifo(pipe)
    transport = transport_of(folder, timeout="100ms")
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.001)
            beats += 1

    heart = asyncio.create_task(beat())
    with pytest.raises(TransientError, match="no answer within"):
        await transport.send(MESSAGE)
    with pytest.raises(TransientError, match="has not ended yet"):
        await transport.send(MESSAGE)
    heart.cancel()
    await transport.close()
    assert beats > 0
    # Lets the thread end.
    with pipe.open("wb"):
        pass
