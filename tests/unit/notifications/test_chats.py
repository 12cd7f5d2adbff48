"""Messages for Slack and Microsoft Teams: what people read, and what tenants cannot put into it."""

import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.audit_record import RolloutReference
from serinus.notifications.slack import as_slack
from serinus.notifications.story import inert
from serinus.notifications.teams import as_teams
from support.notifications import ALICE, notification

FACTS = [
    "Rollout: payments/fraud-detector",
    "At: 2026-11-23 14:07:31Z",
    "Stage: canary",
    "Traffic of the candidate: 0%",
    "Traffic goes to: 2.2.4",
    "latency_p95: Breach: 412ms, limit > 200ms, 1,843 requests",
]
SENTENCE = "Run 12, 2.3.1: latency_p95 412ms > 200ms at 5% traffic (1,843 requests)."
HEADLINE = "RollbackStarted: payments/fraud-detector 2.3.1"
LOOK = "kubectl describe mro -n payments fraud-detector"

HOSTILE: Final = [
    "<!channel> <@U123> <https://evil.example|click>",
    "@here @channel @everyone (@alice)",
    "https://evil.example/x?a=b",
    "HTTP://EVIL.EXAMPLE javascript://x mailto:a@b.example",
    "www.evil.example evil.example evil.\u0440\u0444",
    "[click](https://evil.example) <at>alice</at> **bold** ![x](http://evil.example/p.png)",
    "first\nRollout: payments/other\r\n\u2028At: never",
    "\u202egnp.exe \u200b\u2066x\x1b[31mred\x00",
    "{{DATE(2026-11-23T14:07:31Z)}} ${expression}",
    "https\u200b://evil.example @\u200bhere",
]
LINK: Final = re.compile(r"://|(?<!\w)@\w|www\.|mailto:|\w\.[^\W\d_]{2}", re.IGNORECASE)


def slack(**fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(as_slack(notification(**fields)).body)
    return body


def card(**fields: Any) -> dict[str, Any]:
    (attachment,) = json.loads(as_teams(notification(**fields)).body)["attachments"]
    content: dict[str, Any] = attachment["content"]
    return content


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def texts(value: object) -> list[str]:
    """Every text of a message that a person reads."""
    match value:
        case {"text": str(text), **others}:
            return [text, *texts(others)]
        case dict():
            return [text for member in value.values() for text in texts(member)]
        case list():
            return [text for member in value for text in texts(member)]
        case _:
            return []


def test_slack_reads_a_headline_a_sentence_and_the_facts() -> None:
    assert slack() == {
        "text": f"\N{WARNING SIGN} {HEADLINE}. {SENTENCE}".replace(">", "&gt;"),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "header", "text": plain(f"\N{WARNING SIGN} {HEADLINE}")},
            {"type": "section", "text": plain(SENTENCE)},
            {"type": "section", "fields": [plain(fact) for fact in FACTS]},
            {"type": "context", "elements": [plain(LOOK)]},
        ],
    }


def test_teams_reads_the_same_in_text_runs() -> None:
    body = card()
    assert (body["type"], body["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in body["body"]} == {"RichTextBlock"}
    assert {run["type"] for block in body["body"] for run in block["inlines"]} == {"TextRun"}
    lines = ["".join(run["text"] for run in block["inlines"]) for block in body["body"]]
    assert lines == [HEADLINE, SENTENCE, *FACTS, LOOK]
    assert body["body"][0]["inlines"][0]["color"] == "attention"


def test_who_acted_and_why_is_said() -> None:
    told = " ".join(texts(slack(actor=ALICE, reason="for the holidays")))
    assert "Reason: for the holidays" in told
    assert "By: alice@example." in told


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("render", [slack, card])
def test_what_tenants_write_becomes_neither_a_link_nor_a_mention_nor_another_line(render: Any, hostile: str) -> None:
    rollout = RolloutReference(name="r", stage=hostile[:40])
    fields = {"message": hostile, "reason": hostile, "rollout": rollout, "actor": ALICE.__class__(**_actor(hostile))}
    message = render(name="evil.example", model="www.evil", **fields)
    for text in texts(message):
        assert not LINK.search(text), text
        assert not re.search(r"[\x00-\x1f\x7f\u2028\u202a-\u202e\u2066-\u2069]", text), text
    assert "msteams" not in message
    assert not re.search("[<>]", str(message.get("text", "")))


def _actor(name: str) -> dict[str, Any]:
    return {"name": name, "kind": ALICE.kind, "authentication": ALICE.authentication}


@given(st.text("htps:/.@w-aA\u200b\u2060\n \u202e\u00e9", max_size=40))
def test_no_text_is_a_link_or_a_mention(text: str) -> None:
    shown = inert(text)
    assert not re.search(r"://|(?<![\w.+-])@\w", shown)
    assert "\n" not in shown
    assert len(shown.replace("\N{ZERO WIDTH SPACE}", "")) <= 300


def test_a_long_story_stays_within_the_limits_of_the_chats() -> None:
    message = slack(message="m" * 4096, reason="r" * 4096, version="9" * 64, model="m" * 63, namespace="n" * 63)
    header, section, fields, _ = message["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(section["text"]["text"]) <= 3000
    assert len(fields["fields"]) <= 10
    assert all(len(field["text"]) <= 2000 for field in fields["fields"])
    assert len(json.dumps(card(message="m" * 4096, reason="r" * 4096))) < 28_000
