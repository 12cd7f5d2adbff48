"""Notifications: CloudEvents over HTTP, Slack and Microsoft Teams. Best effort, in memory, beside every decision."""

from serinus.notifications.dispatcher import Notifications

__all__ = ["Notifications"]
