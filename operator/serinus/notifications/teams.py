"""Renders a notification for a Teams workflow ("When a Teams webhook request is received"): an adaptive card.

All text is in text runs, in which no markdown is read; a mention would need an entity, and the card has none.
"""

from typing import Any, Final

import msgspec

from serinus.notifications.message import Message
from serinus.notifications.story import Story, story_of
from serinus.ports.notifications import Notification

CONTENT_TYPE: Final = "application/json; charset=utf-8"


def as_teams(notification: Notification) -> Message:
    """Return the message of a notification."""
    story = story_of(notification)
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": _body(story),
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    body = {"type": "message", "attachments": [attachment]}
    return Message(notification.facts.id, CONTENT_TYPE, msgspec.json.encode(body))


def _body(story: Story) -> list[dict[str, Any]]:
    colour = "attention" if story.attention else "default"
    lines = [_line(_run(story.headline, weight="bolder", size="medium", color=colour))]
    if story.sentence:
        lines.append(_line(_run(story.sentence)))
    lines.extend(_line(_run(f"{name}: ", weight="bolder"), _run(value)) for name, value in story.facts)
    return [*lines, _line(_run(story.next_look, fontType="monospace", isSubtle=True))]


def _line(*runs: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **look: str | bool) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **look}
