"""kopf's sessions: which credentials are the same, and that none is left open."""

from dataclasses import replace

from serinus.handlers.kopf_session import Sessions
from serinus.kube.connection import Connection
from support.kube.sink import RememberingSink

CONNECTION = Connection(
    server="http://127.0.0.1:9",
    ca_path=None,
    insecure=False,
    certificate_path=None,
    private_key_path=None,
    scheme="Bearer",
    token="old",
)


async def test_credentials_that_were_refused_equal_the_same_ones_and_differ_from_new_ones() -> None:
    """By that kopf tells a login that brings nothing new, and does not ask with it for ever."""
    sessions = Sessions((), (), RememberingSink())
    refused = sessions.open(CONNECTION)
    assert sessions.open(CONNECTION) == refused
    assert sessions.open(replace(CONNECTION, token="new")) != refused
    assert "old" not in repr(refused)
    await sessions.close()


async def test_every_session_is_closed_also_one_that_kopf_has_never_used() -> None:
    sessions = Sessions((), (), RememberingSink())
    opened = [sessions.open(CONNECTION).aiohttp_session for _ in range(2)]
    assert [session.headers["Authorization"] for session in opened] == ["Bearer old"] * 2
    await sessions.close()
    assert [session.closed for session in opened] == [True, True]
