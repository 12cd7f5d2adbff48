"""How the client handles every response and failure of an API server or the network."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from serinus.api.parsing import decode
from serinus.errors import (
    AmbiguousError,
    ConfigurationError,
    ConflictError,
    InvalidObjectError,
    NotFoundError,
    NotLeaderError,
    RefusedError,
    SerinusError,
    TransientError,
)
from serinus.kube.answers import AlreadyExistsError
from serinus.kube.client import JSON_PATCH, ORDINARY, RESERVED, KubernetesClient
from serinus.kube.connection import read_connection
from serinus.reconcile.modelversions.controller import WORKERS as REVIEW_WORKERS
from serinus.reconcile.modelversions.stage_writer import WORKERS as STAGE_WORKERS
from serinus.reconcile.rollouts.controller import URGENT_WORKERS
from serinus.reconcile.rollouts.outbox_relay import CONCURRENCY as RECORDS
from serinus.reconcile.rollouts.safety_lane import WORKERS as SAFETY_WORKERS
from serinus.settings import Settings
from support.kube.scripted import Answer, client_of, disconnect, hang, respond, respond_raw, scripted, status

PATCH_FAILED = "the server rejected our request due to an error in our request"


async def test_a_request_is_authenticated_and_returns_the_decoded_object() -> None:
    async with scripted(respond(200, {"kind": "Rollout"})) as server, client_of(server.url) as client:
        assert await client.request("GET", "/apis/x", query={"limit": "500", "a": "b c"}) == {"kind": "Rollout"}
    assert server.asked == ["GET /apis/x?limit=500&a=b+c"]
    assert server.headers[0]["user-agent"] == "serinus"
    assert server.headers[0]["authorization"] == "Bearer secret"


async def test_a_json_patch_is_sent_with_its_content_type() -> None:
    patch = [{"op": "test", "path": "/metadata/uid", "value": "u"}]
    async with scripted(respond(200, {})) as server, client_of(server.url) as client:
        await client.request("PATCH", "/x", body=patch, content_type=JSON_PATCH)
    assert server.bodies == [patch]
    assert server.headers[0]["content-type"] == "application/json-patch+json"


@pytest.mark.parametrize(
    ("method", "answer", "error", "sentence"),
    [
        ("GET", status(404, 'rollouts "x" not found', "NotFound"), NotFoundError, 'rollouts "x" not found'),
        ("PUT", status(409, "the object has been modified", "Conflict"), ConflictError, "has been modified"),
        ("POST", status(409, "already exists", "AlreadyExists"), AlreadyExistsError, "already exists"),
        ("PATCH", status(422, PATCH_FAILED, "Invalid"), ConflictError, "has changed since it was read"),
        ("PATCH", status(422, "spec.stages: Invalid value", "Invalid"), RefusedError, "spec.stages: Invalid value"),
        ("GET", status(403, "serinus cannot list rollouts", "Forbidden"), RefusedError, "cannot list rollouts"),
        ("GET", status(401, "Unauthorized", "Unauthorized"), RefusedError, "401 Unauthorized"),
        ("GET", status(410, "The provided continue parameter is too old"), TransientError, "too old"),
        ("GET", status(500, "etcdserver: leader changed"), TransientError, "leader changed"),
        ("PATCH", status(504, "timeout"), AmbiguousError, "it may have been written"),
        ("POST", status(500, "etcdserver: request timed out"), AmbiguousError, "request timed out"),
        ("GET", disconnect, TransientError, "connection broke"),
        ("PATCH", disconnect, AmbiguousError, "connection broke"),
        ("GET", hang, TransientError, "no answer within 0.2 s"),
        ("PATCH", hang, AmbiguousError, "no answer within 0.2 s; it may have been written"),
        ("GET", respond_raw(b"[1]"), TransientError, "not a JSON object"),
        ("PATCH", respond_raw(b"<html>"), AmbiguousError, "not a JSON object"),
        ("GET", respond_raw(b" " * (64 * 2**20 + 1)), RefusedError, "over 64 MB"),
    ],
)
async def test_every_failure_raises_the_error_that_implies_the_right_reaction(
    method: str, answer: Answer, error: type[SerinusError], sentence: str
) -> None:
    # The largest response needs time to arrive on a busy machine.
    timeout = 0.2 if answer is hang else 10.0
    async with scripted(answer) as server, client_of(server.url) as client:
        with pytest.raises(error, match=sentence) as raised:
            await client.request(method, "/x", body={} if method != "GET" else None, timeout=timeout)
    assert type(raised.value) is error


async def test_a_refused_connection_means_that_nothing_was_written() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        async with client_of(f"http://127.0.0.1:{silent.getsockname()[1]}") as client:
            with pytest.raises(TransientError, match="cannot be reached"):
                await client.request("PATCH", "/x", body={})


async def test_an_error_page_of_a_proxy_is_shortened() -> None:
    async with scripted(respond(403, "x" * 5000)) as server, client_of(server.url) as client:
        with pytest.raises(RefusedError) as raised:
            await client.request("GET", "/x")
    assert len(str(raised.value)) < 600


async def test_too_many_requests_are_retried_after_the_servers_delay() -> None:
    busy = respond(429, {}, **{"Retry-After": "0"})
    async with scripted(busy, busy, respond(200, {"ok": True})) as server, client_of(server.url) as client:
        assert await client.request("PATCH", "/x", body={}) == {"ok": True}
    assert len(server.asked) == 3


async def test_too_many_requests_on_every_attempt_is_transient() -> None:
    busy = respond(429, {"message": "slow down"}, **{"Retry-After": "0"})
    async with scripted(busy) as server, client_of(server.url) as client:
        with pytest.raises(TransientError, match="slow down"):
            await client.request("PATCH", "/x", body={})
    assert len(server.asked) == 3


async def test_an_abort_gets_through_while_other_requests_hang() -> None:
    answers = (*[hang] * ORDINARY, respond(200, {"ok": True}))
    async with scripted(*answers) as server, client_of(server.url) as client, stuck(client, 3 * ORDINARY):
        await server.wait_for_requests(ORDINARY)
        assert await client.request("PATCH", "/abort", body={}, urgent=True) == {"ok": True}
        assert server.asked == ["GET /stuck"] * ORDINARY + ["PATCH /abort"]


async def test_a_call_that_never_got_a_slot_was_not_sent() -> None:
    async with scripted(hang) as server, client_of(server.url) as client, stuck(client, ORDINARY):
        await server.wait_for_requests(ORDINARY)
        with pytest.raises(TransientError, match=r"no free slot within 0\.1 s; not sent"):
            await client.request("PATCH", "/x", body={}, timeout=0.1)


@asynccontextmanager
async def stuck(client: KubernetesClient, count: int) -> AsyncIterator[None]:
    """So many requests that the server never answers."""
    tasks = [asyncio.create_task(client.request("GET", "/stuck")) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_every_worker_of_the_safety_lane_and_the_lease_have_a_reserved_slot() -> None:
    assert RESERVED >= SAFETY_WORKERS + 2


def test_every_other_worker_has_a_slot_as_well_so_that_those_of_one_kind_that_hang_hold_up_no_other() -> None:
    with pytest.raises(InvalidObjectError, match="writers"):
        decode(Settings, {"writers": 65}, "settings")
    events, lists = 1, 1
    assert 64 + URGENT_WORKERS + STAGE_WORKERS + REVIEW_WORKERS + RECORDS + events + lists <= ORDINARY


# ---- the fence -----------------------------------------------------------------------------------


class Deposed:
    """A guard that lets so many requests pass, then none."""

    def __init__(self, after: int = 0) -> None:
        self.left = after

    def __call__(self) -> None:
        if self.left <= 0:
            raise NotLeaderError("another process leads")
        self.left -= 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_write_passes_the_fence_of_a_process_that_does_not_lead(method: str) -> None:
    async with scripted(respond(200, {})) as server, client_of(server.url) as client:
        client.fence(Deposed())
        with pytest.raises(NotLeaderError):
            await client.request(method, "/x", body={}, urgent=True)
    assert server.asked == []


async def test_reads_and_the_leases_own_writes_pass_the_fence() -> None:
    async with scripted(respond(200, {})) as server, client_of(server.url) as client:
        client.fence(Deposed())
        await client.request("GET", "/x")
        await client.request("PUT", "/lease", body={}, fenced=False)
    assert server.asked == ["GET /x", "PUT /lease"]


@pytest.mark.parametrize("by", ["fence", "guard"])
async def test_a_retry_is_not_sent_once_the_lead_is_lost(by: str) -> None:
    busy = respond(429, {}, **{"Retry-After": "0"})
    once = Deposed(after=1)
    async with scripted(busy) as server, client_of(server.url) as client:
        if by == "fence":
            client.fence(once)
        with pytest.raises(NotLeaderError):
            await client.request("PATCH", "/x", body={}, guard=once if by == "guard" else None)
    assert len(server.asked) == 1


async def test_a_write_that_waits_for_a_slot_when_the_lead_is_lost_is_not_sent() -> None:
    async with scripted(hang) as server, client_of(server.url) as client:
        leading = Deposed(after=1)
        client.fence(leading)
        async with stuck(client, ORDINARY) as _:
            await server.wait_for_requests(ORDINARY)
            waiting = asyncio.create_task(client.request("PATCH", "/x", body={}))
            await asyncio.sleep(0)
            leading.left = 0
        with pytest.raises(NotLeaderError):
            await waiting
    assert "PATCH /x" not in server.asked


async def test_a_guard_is_asked_before_a_read_too_so_that_a_loop_of_reads_and_writes_ends_at_once() -> None:
    async with scripted(respond(200, {})) as server, client_of(server.url) as client:
        with pytest.raises(NotLeaderError):
            await client.request("GET", "/x", guard=Deposed())
    assert server.asked == []


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://198.18.0.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: me, user: {token: abc}}]
"""


async def test_a_kubeconfig_gives_address_and_credentials(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    connection = await read_connection(file)
    assert (connection.server, connection.insecure, connection.scheme, connection.token) == (
        "https://198.18.0.1:6443",
        True,
        "Bearer",
        "abc",
    )


async def test_a_missing_kubeconfig_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no usable Kubernetes configuration"):
        await KubernetesClient.open(tmp_path / "missing")
