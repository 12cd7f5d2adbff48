"""What a notification says to people, as plain text: a headline, facts and a sentence.

Tenants choose names and write reasons, which must neither mention anybody nor become a link. The chats' own markup is
avoided or escaped where a message is rendered; here it is made sure that a chat finds nothing in plain text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from serinus.api.audit_record import ActorKind, AuditEvent, Evidence
from serinus.api.texts import sentence
from serinus.api.verdict import Verdict
from serinus.engine.rollout.decision import EventReason
from serinus.ports.notifications import Notification

ATTENTION: Final = frozenset(
    {
        AuditEvent.ROLLBACK_STARTED.value,
        AuditEvent.ROLLED_BACK.value,
        AuditEvent.ROLLBACK_IMPOSSIBLE.value,
        AuditEvent.TEST_FAILED.value,
        AuditEvent.STAGE_TIMED_OUT.value,
        AuditEvent.APPROVAL_REFUSED.value,
        AuditEvent.APPROVAL_EXPIRED.value,
        AuditEvent.TRAFFIC_DRIFT_CORRECTED.value,
        EventReason.AWAITING_APPROVAL.value,
        EventReason.TEST_NOT_RUN.value,
        EventReason.METRICS_UNAVAILABLE.value,
        EventReason.SPEC_INVALID.value,
        EventReason.ROUTE_CONTESTED.value,
        EventReason.BACKEND_NOT_READY.value,
        EventReason.STATUS_UNREADABLE.value,
    }
)
"""Events that a person should see among many: they are marked."""

_LONGEST_MESSAGE, _LONGEST_FACT = 1000, 300
_MOST_EVIDENCE: Final = 5
_BREAK: Final = "\N{ZERO WIDTH SPACE}"
# Bidirectional marks and joiners that UNPRINTABLE leaves alone; line breaks would make a fact look like another one.
_INVISIBLE: Final = re.compile("[\u200b-\u200f\u2028\u2029\u2060-\u2064\ufeff\t\n\r]+")
_MENTION: Final = re.compile(r"(?<![\w.+-])@")
_LINK: Final = re.compile(r"(?i)(:)(?=//)|\b(mailto|tel|www|javascript)(?=[.:])|(\w\.)(?=[^\W\d_]{2})")


@dataclass(frozen=True, slots=True)
class Story:
    """A notification in words.

    Attributes:
        headline: what happened to what.
        attention: whether a person should look at it.
        sentence: the event's own sentence; may be empty.
        facts: names and values.
        next_look: the command that shows the rest.
    """

    headline: str
    attention: bool
    sentence: str
    facts: tuple[tuple[str, str], ...]
    next_look: str


def inert(text: str, most: int = _LONGEST_FACT) -> str:
    """Return a text in which no chat finds a link or a mention, on one line, at most ``most`` characters long.

    A zero-width space breaks an address after ``:`` and before a top-level domain, and a mention after ``@``. The
    addresses of people (``alice@example.com``) lose their link and stay readable.
    """
    shown = sentence(_INVISIBLE.sub(" ", text).strip(), most)
    return _LINK.sub(rf"\g<0>{_BREAK}", _MENTION.sub(f"@{_BREAK}", shown))


def story_of(notification: Notification) -> Story:
    """Return what a notification says to people."""
    facts, owner, model = notification.facts, notification.owner.key, notification.model
    subject = f"{model.namespace}/{model.name} {facts.version}".rstrip()
    return Story(
        headline=inert(f"{notification.event}: {subject}"),
        attention=notification.event in ATTENTION,
        sentence=inert(facts.message, _LONGEST_MESSAGE),
        facts=tuple((name, inert(value)) for name, value in _facts(notification) if value),
        next_look=f"kubectl describe mro -n {owner.namespace}{_named(owner.name)}",
    )


def _named(rollout: str) -> str:
    """Return the Rollout's name for the command, unless it has a dot: a chat could take it for a host."""
    return "" if "." in rollout else f" {rollout}"


def _facts(notification: Notification) -> Iterable[tuple[str, str]]:
    facts = notification.facts
    yield "Rollout", f"{notification.owner.key.namespace}/{notification.owner.key.name}"
    yield "At", f"{facts.at:%Y-%m-%d %H:%M:%SZ}"
    if facts.rollout is not None:
        yield "Stage", facts.rollout.stage
    yield "Traffic of the candidate", facts.traffic
    yield "Traffic goes to", facts.to
    if facts.actor.kind is not ActorKind.OPERATOR:
        yield "By", facts.actor.name
    yield "Reason", facts.reason
    for measured in sorted(facts.evidence, key=lambda one: one.verdict is not Verdict.BREACH)[:_MOST_EVIDENCE]:
        yield f"{measured.metric}", _measured(measured)


def _measured(one: Evidence) -> str:
    value = f"{one.value}, " if one.value else ""
    cause = f" ({one.cause})" if one.cause else ""
    return f"{one.verdict.value}{cause}: {value}limit {one.threshold}, {one.requests:,} requests"
