"""The page of notifications: its example verifies what is sent, its event is what is sent, its lists are complete."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.notifications.cloudevents import as_cloudevent
from serinus.notifications.receiver import GIVE_UP_AFTER, LONGEST_ASKED, QUEUE, TRIES
from serinus.notifications.signature import read_keys, signature_headers
from serinus.ports.notifications import EVENTS
from support.helm import find_helm
from support.notifications import new_telemetry, notification
from support.release import CHART, SOURCE

PAGE: Final = (Path(__file__).parents[2] / "docs/how-to/notifications.md").read_text(encoding="utf-8")
AT: Final = datetime(2026, 11, 23, 14, 7, 32, tzinfo=UTC)
KEYS: Final = tuple(f"whsec_{b64encode(bytes([number] * 32)).decode()}" for number in (1, 2, 3))
MESSAGE: Final = as_cloudevent(notification(), "https://clusters.example/prod-eu")


def fenced(language: str) -> list[str]:
    """The blocks of a language, with the indentation of a list taken off."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


@pytest.fixture(scope="module")
def verify() -> Callable[..., None]:
    """The function of the page."""
    (example,) = fenced("python")
    names: dict[str, Any] = {}
    exec(compile(example, "notifications.md", "exec"), names)  # noqa: S102 - it is our own page
    found: Callable[..., None] = names["verify"]
    return found


def test_the_example_accepts_what_is_sent_while_a_key_is_replaced_too(verify: Callable[..., None]) -> None:
    headers = dict(signature_headers(MESSAGE, read_keys("\n".join(KEYS[:2])), AT))
    for key in KEYS[:2]:
        verify(headers, MESSAGE.body, key, now=AT.timestamp() + 299)


@pytest.mark.parametrize(
    ("change", "body", "key", "now"),
    [
        ({}, MESSAGE.body.replace(b"2.3.1", b"2.3.2"), KEYS[0], 0),
        ({}, MESSAGE.body, KEYS[2], 0),
        ({}, MESSAGE.body, KEYS[0], 301),
        ({}, MESSAGE.body, KEYS[0], -301),
        ({"webhook-id": "another"}, MESSAGE.body, KEYS[0], 0),
        ({"webhook-timestamp": str(int(AT.timestamp()) + 1)}, MESSAGE.body, KEYS[0], 0),
    ],
)
def test_the_example_refuses_everything_else(
    verify: Callable[..., None], change: dict[str, str], body: bytes, key: str, now: float
) -> None:
    headers = dict(signature_headers(MESSAGE, read_keys(KEYS[0]), AT)) | change
    with pytest.raises(ValueError, match=r"the signature is wrong|too old"):
        verify(headers, body, key, now=AT.timestamp() + now)


def test_the_event_on_the_page_is_the_one_that_is_sent() -> None:
    (event,) = fenced("json")
    assert json.loads(event) == json.loads(MESSAGE.body)


def test_the_page_lists_every_event_and_no_other() -> None:
    section = PAGE.split("## The events\n")[1].split("For a pager")[0]
    assert sorted(re.findall(r"`([A-Z]\w+)`", section)) == list(EVENTS)


def test_the_metrics_on_the_page_are_exported() -> None:
    exported = new_telemetry().render().decode()
    named = set(re.findall(r"serinus_\w+", PAGE))
    assert len(named) == 3
    assert {name for name in named if f"# TYPE {name} " not in exported} == set()


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    assert f"up to {TRIES} times within {GIVE_UP_AFTER / 60:g} minutes" in PAGE
    assert f"`Retry-After` is followed up to {LONGEST_ASKED / 60:g} min" in PAGE
    assert f"room for {QUEUE:,} events" in PAGE


def test_the_chart_takes_the_values_of_the_page(tmp_path: Path) -> None:
    values, _ = fenced("yaml")
    assert set(yaml.safe_load(values)) == {"config"}
    file = tmp_path / "values.yaml"
    file.write_text(values, encoding="utf-8")
    documents = find_helm().template(CHART, SOURCE, f"--values={file}")
    (pod,) = (one["spec"]["template"]["spec"] for one in documents if one["kind"] == "Deployment")
    assert "notifications" in {volume["name"] for volume in pod["volumes"]}
