"""Inside a cluster each request is answered with the rights of its own token, and with no others."""

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.types import ASGIApp

from serinus.errors import RefusedError
from serinus.web.app import build_app
from serinus.web.stream import Streams
from serinus.web.users import MOST_USERS, UserReaders
from support.kube.clock import VirtualTime
from support.kube.listing import ListingApi
from support.web.asgi import HOST, Answered, get
from support.web.objects import API, a_cluster, other

FRAUD = "/rollouts/ml/fraud"


class Client:
    """What one token may read of a cluster: all of it, one namespace, or nothing."""

    def __init__(self, cluster: ListingApi, namespace: str | None) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.closed = False

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        assert not self.closed
        if self.namespace is None or (self.namespace and f"/namespaces/{self.namespace}/" not in f"{path}/"):
            raise RefusedError(f"{method} {path}: forbidden")
        return await self.cluster.request(method, path, **options)

    async def close(self) -> None:
        self.closed = True


class Cluster:
    """Clients by token, and the page over them."""

    def __init__(self, rights: Mapping[str, str | None]) -> None:
        self.objects = a_cluster()
        self.objects.put(
            f"{API}/namespaces/risk/rollouts/model-00001", other(1) | {"metadata": _named("model", "risk")}
        )
        self.rights = rights
        self.clients: list[tuple[str, Client]] = []
        self.clock = VirtualTime()
        self.readers = UserReaders(self.connect, self.clock)

    def connect(self, token: str) -> Client:
        client = Client(self.objects, self.rights.get(token))
        self.clients.append((token, client))
        return client

    @property
    def app(self) -> ASGIApp:
        return build_app(self.readers.of, self.clock, (HOST,), Streams(self.clock))

    async def asked(self, target: str, authorization: str) -> Answered:
        return await get(self.app, target, headers={"authorization": authorization})


def _named(name: str, namespace: str) -> dict[str, Any]:
    return {**other(1)["metadata"], "name": name, "namespace": namespace}


@pytest.mark.parametrize("target", ["/", FRAUD, f"{FRAUD}/diff?old=2.2.4&new=2.3.1", "/live", f"/live{FRAUD}"])
@pytest.mark.parametrize(
    "authorization",
    ["", "Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer a\r\nX: y", f"Bearer {'a' * 9000}", "Bearer \u00fc"],
)
async def test_without_a_token_nothing_is_read(target: str, authorization: str) -> None:
    cluster = Cluster({})
    answer = await cluster.asked(target, authorization)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert cluster.clients == []


async def test_each_sees_what_its_own_token_may_read() -> None:
    cluster = Cluster({"all": "", "ml-only": "ml", "none": None})
    everything = await cluster.asked("/", "Bearer all")
    assert "fraud" in everything.body
    assert "risk" in everything.body
    assert (await cluster.asked("/", "Bearer none")).status == 403
    assert (await cluster.asked(FRAUD, "Bearer none")).status == 403
    assert (await cluster.asked(FRAUD, "Bearer ml-only")).status == 200
    assert (await cluster.asked("/rollouts/risk/model", "Bearer ml-only")).status == 403


async def test_a_list_of_one_namespace_needs_no_right_on_the_others() -> None:
    cluster = Cluster({"ml-only": "ml"})
    assert (await cluster.asked("/", "Bearer ml-only")).status == 403
    mine = await cluster.asked("/?namespace=ml", "Bearer ml-only")
    assert mine.status == 200
    assert "risk" not in mine.body
    assert (await cluster.asked("/?namespace=risk", "Bearer ml-only")).status == 403


@pytest.mark.parametrize("namespace", ["ml/rollouts", "..", "ML", "%2e%2e", "a?b"])
async def test_what_is_no_name_never_becomes_part_of_a_path(namespace: str) -> None:
    cluster = Cluster({"ml-only": "ml"})
    assert (await cluster.asked(f"/?namespace={namespace}", "Bearer ml-only")).status in {400, 403}


async def test_only_the_latest_users_are_remembered_and_the_others_connections_closed() -> None:
    cluster = Cluster({f"t{number}": "" for number in range(MOST_USERS + 1)})
    for number in range(MOST_USERS + 1):
        assert (await cluster.asked("/", f"Bearer t{number}")).status == 200
    assert (await cluster.asked("/", f"Bearer t{MOST_USERS}")).status == 200
    assert len(cluster.clients) == MOST_USERS + 1
    assert (await cluster.asked("/", "Bearer t0")).status == 200
    await cluster.readers.close()
    assert [token for token, client in cluster.clients if token == "t0"] == ["t0", "t0"]
    assert all(client.closed for _, client in cluster.clients)
