"""Errors of the demo."""


class DemoError(Exception):
    """The demo cannot continue; the message says what happened, where, and what to do next."""


class CouldNotAskError(DemoError):
    """The cluster or Prometheus did not answer; retry until a deadline."""
