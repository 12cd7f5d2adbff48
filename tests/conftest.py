"""Every test: how many examples Hypothesis draws. ``--hypothesis-profile=ci`` asks for as many as CI does."""

import os
import signal

from hypothesis import settings

from support.examples import register_profiles

register_profiles()
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# Background jobs of a shell ignore SIGINT, and so would every program that a test starts to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)
