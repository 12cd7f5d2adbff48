"""Events of the watch to records, and kopf's settings."""

import logging

import pytest

from serinus.api.names import ObjectKey
from serinus.handlers.dispatch import dispatch
from serinus.handlers.kopf_settings import EndlessBackoff, watch_settings
from serinus.kube.kinds import SOURCES
from serinus.ports.cluster_state import EndpointsRecord, RolloutRecord
from support.kube.objects import endpoint_slice, metadata
from support.kube.sink import RememberingSink

SOURCE_OF = {source.record: source for source in SOURCES}


@pytest.mark.parametrize("event", [None, "ADDED", "MODIFIED"])
def test_an_object_that_exists_reaches_the_sink(event: str | None) -> None:
    sink = RememberingSink()
    dispatch(SOURCE_OF[EndpointsRecord], event, endpoint_slice(), sink)
    assert [record.meta.key.name for record in sink.records] == ["fraud-v1-abc"]


def test_a_deletion_reaches_the_sink_even_if_the_object_does_not_parse() -> None:
    sink = RememberingSink()
    dispatch(SOURCE_OF[EndpointsRecord], "DELETED", {"metadata": metadata("x"), "endpoints": "odd"}, sink)
    assert sink.deletions == [(EndpointsRecord, ObjectKey("ml", "x"), "uid-of-x")]


@pytest.mark.parametrize("event", ["MODIFIED", "DELETED"])
def test_an_object_that_does_not_parse_is_logged_and_raises_nothing(
    event: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = RememberingSink()
    with caplog.at_level(logging.WARNING):
        dispatch(SOURCE_OF[RolloutRecord], event, {"metadata": {"name": "odd", "namespace": "ml"}}, sink)
    assert (sink.records, sink.deletions) == ([], [])
    assert "Rollout ml/odd cannot be parsed and is skipped: metadata" in caplog.text


def test_the_waits_between_tries_grow_to_eight_seconds_and_never_end() -> None:
    waits = iter(EndlessBackoff())
    first = [next(waits) for _ in range(1000)]
    assert all(0.16 <= wait <= 9.6 for wait in first)
    assert first[0] < 0.25
    assert min(first[5:]) >= 6.4


def test_kopf_is_set_to_write_nothing_and_to_ask_for_our_jobs_only() -> None:
    settings = watch_settings(SOURCES)
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.queueing.worker_limit is None
    assert list(settings.watching.label_selectors.values()) == ["serinus.dev/rollout"]
