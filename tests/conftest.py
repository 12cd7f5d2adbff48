"""Every test: how many examples Hypothesis draws. ``--hypothesis-profile=ci`` asks for as many as CI does."""

import os

from hypothesis import settings

from support.examples import register_profiles

register_profiles()
settings.load_profile("ci" if os.environ.get("CI") else "dev")
