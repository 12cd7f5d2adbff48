"""What the demo's parts raise."""


class DemoError(Exception):
    """The demo cannot go on; the message says what happened, where, and what to do next."""


class CouldNotAskError(DemoError):
    """The cluster or Prometheus did not answer: look again, until a deadline."""
