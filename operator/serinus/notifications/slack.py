"""Renders a notification for an incoming webhook of Slack.

Blocks carry ``plain_text``, in which Slack reads no markup. The fallback ``text``, which notifications of phones show,
may be read as mrkdwn: its three control characters are escaped as Slack asks for (docs.slack.dev, "Formatting message
text").
"""

from typing import Any, Final

import msgspec

from serinus.notifications.message import Message
from serinus.notifications.story import Story, story_of
from serinus.ports.notifications import Notification

CONTENT_TYPE: Final = "application/json; charset=utf-8"
_MOST_FIELDS: Final = 10
_LONGEST_HEADER: Final = 150


def escaped(text: str) -> str:
    """Return a text without control sequences of mrkdwn, such as <!channel> or <https://…|text>."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_slack(notification: Notification) -> Message:
    """Return the message of a notification."""
    story = story_of(notification)
    mark = "\N{WARNING SIGN} " if story.attention else ""
    body = {
        "text": escaped(f"{mark}{story.headline}. {story.sentence}".rstrip()),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": _blocks(story, mark),
    }
    return Message(notification.facts.id, CONTENT_TYPE, msgspec.json.encode(body))


def _blocks(story: Story, mark: str) -> list[dict[str, Any]]:
    blocks = [{"type": "header", "text": _plain(f"{mark}{story.headline}"[:_LONGEST_HEADER])}]
    if story.sentence:
        blocks.append({"type": "section", "text": _plain(story.sentence)})
    fields = [_plain(f"{name}: {value}") for name, value in story.facts]
    return [
        *blocks,
        *(
            {"type": "section", "fields": fields[start : start + _MOST_FIELDS]}
            for start in range(0, len(fields), _MOST_FIELDS)
        ),
        {"type": "context", "elements": [_plain(story.next_look)]},
    ]


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
