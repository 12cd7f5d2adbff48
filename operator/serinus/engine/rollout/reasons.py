"""Reasons and overrides: each text belongs to one act of the person who wrote it.

Annotations stay on the object: ``kubectl annotate`` and GitOps tools leave yesterday's reason beside today's command.
A text that a record bears already is therefore not taken again, and never one that somebody else wrote.
"""

import hashlib
from functools import lru_cache
from typing import Final

from serinus.api.names import UNVERIFIED, Command
from serinus.api.rollout_status import MAX_USED_REASONS, RolloutStatus
from serinus.engine.rollout.commands import MAX_TOKEN
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.observation import Actors, Observation

_OVERRIDABLE: Final = (Command.PROMOTE, Command.ROLLBACK)


@lru_cache(maxsize=512)
def digest_of_reason(kind: str, text: str) -> str:
    """Return what the status remembers of a text that has been used; a reason and an override are kept apart."""
    return hashlib.sha256(f"{kind}:{text}".encode()).hexdigest()[:32]


def new_reason(status: RolloutStatus, observed: Observation) -> str:
    """Return the reason that stands on the Rollout; empty where it has been recorded for an earlier act."""
    text = observed.actors.reason
    return text if text and digest_of_reason("reason", text) not in status.used_reasons else ""


def new_override(status: RolloutStatus, observed: Observation) -> str:
    """Return why the approval is done without; empty where that was used already, or nobody vouches for who says so."""
    text, by = observed.override, observed.actors.override_by
    if not text or by == UNVERIFIED or digest_of_reason("override", text) in status.used_reasons:
        return ""
    return text


def remember(draft: Draft, before: RolloutStatus, situation: Situation) -> Draft:
    """Remember the reason that a record bears now, and an override whose command has been answered.

    A reason is kept for the other commands that were given with it and could not be answered yet.
    """
    used: list[str] = []
    if situation.new_reason and _bears(draft, situation.observed.actors) and not _is_awaited(draft, situation):
        used.append(digest_of_reason("reason", situation.new_reason))
    handled, earlier = draft.status.last_handled, before.last_handled
    answered = any(handled.get(verb) not in {None, earlier.get(verb)} for verb in _OVERRIDABLE)
    if situation.new_override and answered:
        used.append(digest_of_reason("override", situation.new_override))
    if not used:
        return draft
    return draft.with_status(used_reasons=(*used, *draft.status.used_reasons)[:MAX_USED_REASONS])


def _bears(draft: Draft, actors: Actors) -> bool:
    return any(event.why == actors.reason for event in draft.events)


def _is_awaited(draft: Draft, situation: Situation) -> bool:
    handled = draft.status.last_handled
    return any(handled.get(verb) != token[:MAX_TOKEN] for verb, token in situation.observed.commands.items())
