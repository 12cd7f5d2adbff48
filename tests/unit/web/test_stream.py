"""Live updates: a fragment is sent when it changes, failures are said, and streams are bounded in number and time."""

import asyncio
import json

import pytest
from markupsafe import Markup

from serinus.errors import TransientError
from serinus.web.app import build_app
from serinus.web.reader import ClusterReader
from serinus.web.stream import INTERVAL, LONGEST, MOST_STREAMS, Fragment, Streams
from support.kube.clock import VirtualTime
from support.kube.listing import ListingApi
from support.web.asgi import HOST, get
from support.web.objects import API, a_cluster, rollout


async def collected(fragments: list[Fragment | TransientError]) -> list[str]:
    """The events of a stream that shows these one after the other, and the last one until the end."""
    clock = VirtualTime()
    left = list(fragments)

    async def render() -> Fragment:
        shown = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(shown, TransientError):
            raise shown
        return shown

    async def sleep(seconds: float) -> None:
        clock.freeze(seconds)

    return [event async for event in Streams(clock, sleep).events(render)]


def a_fragment(html: str) -> Fragment:
    return Fragment(Markup(html), "headline")  # noqa: S704 - what a test sends


async def test_a_fragment_is_sent_only_when_it_has_changed() -> None:
    events = await collected([a_fragment("a"), a_fragment("a"), a_fragment("b")])
    sent = [event for event in events if event.startswith("event: fragment")]
    assert [json.loads(event.partition("data: ")[2])["html"] for event in sent] == ["a", "b"]


async def test_a_stream_that_shows_nothing_new_sends_comments_and_ends() -> None:
    events = await collected([a_fragment("a")])
    assert events[0] == "retry: 3000\n\n"
    assert 0 < events.count(": unchanged\n\n") < LONGEST / INTERVAL


async def test_a_failed_read_is_said_and_the_next_one_is_shown_again() -> None:
    events = await collected([a_fragment("a"), TransientError("the API server\nis down"), a_fragment("a")])
    names = [event.partition("\n")[0] for event in events if event.startswith("event")]
    assert names == ["event: fragment", "event: problem", "event: fragment"]


async def test_an_event_is_one_line_whatever_it_contains() -> None:
    events = await collected([a_fragment("a\n\nevent: forged\r\rdata: \u2028")])
    (sent,) = [event for event in events if event.startswith("event: fragment")]
    assert sent.count("\n") == 3
    assert "\r" not in sent


@pytest.mark.parametrize("target", ["/live", "/live?text=fraud", "/live/rollouts/ml/fraud"])
async def test_a_stream_sends_what_the_page_shows(target: str) -> None:
    clock, api = VirtualTime(), a_cluster()
    streams = Streams(clock, clock.sleep)
    app = build_app(ClusterReader(api, clock), clock, (HOST,), streams)
    answer = await asyncio.wait_for(get(app, target, until="event: fragment"), 10)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "2.3.1 was rolled back" in answer.body
    assert streams.running == 0


async def test_a_change_in_the_cluster_reaches_the_page() -> None:
    clock, api = VirtualTime(), a_cluster()
    app = build_app(ClusterReader(api, clock), clock, (HOST,), Streams(clock, clock.sleep))
    asked = asyncio.create_task(get(app, "/live/rollouts/ml/fraud", until="serving again"))
    await clock.pass_time(INTERVAL)
    _change(api)
    await clock.pass_time(INTERVAL)
    assert "serving again" in (await asyncio.wait_for(asked, 10)).body


def _change(api: ListingApi) -> None:
    api.put(f"{API}/namespaces/ml/rollouts/fraud", rollout(summary="serving again"))


async def test_more_streams_than_the_limit_are_refused() -> None:
    clock = VirtualTime()
    streams = Streams(clock, clock.sleep)
    streams.running = MOST_STREAMS
    app = build_app(ClusterReader(a_cluster(), clock), clock, (HOST,), streams)
    assert (await get(app, "/live")).status == 503
    assert (await get(app, "/")).status == 200


async def test_a_server_that_stops_ends_its_streams_at_once() -> None:
    clock = VirtualTime()
    streams = Streams(clock, clock.sleep)
    app = build_app(ClusterReader(a_cluster(), clock), clock, (HOST,), streams)
    asked = asyncio.create_task(get(app, "/live"))
    await clock.pass_time(0)
    streams.close()
    assert "event: fragment" in (await asyncio.wait_for(asked, 10)).body
