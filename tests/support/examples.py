"""How many examples a property is checked against: all of them in CI, a share of them in the developer's loop."""

from typing import Final

from hypothesis import HealthCheck, settings

_CI: Final = 100
_DEV: Final = 20


def register_profiles() -> None:
    """Define the Hypothesis profiles ``ci`` and ``dev``; neither has a deadline, which a busy machine would miss.

    ``ci`` draws the same examples at every run, ``dev`` new ones, and keeps those that failed.
    """
    unhurried = settings(settings.get_profile("default"), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("ci", unhurried, max_examples=_CI, derandomize=True, database=None, print_blob=True)
    settings.register_profile("dev", unhurried, max_examples=_DEV)


def examples(number: int, developer: int | None = None) -> int:
    """Scale ``number``, the examples of a property in CI, to the profile that is loaded.

    ``developer`` is their number in the developer's loop, for a property whose examples are slow.
    """
    share = settings().max_examples
    if developer is not None and share < _CI:
        return developer
    return max(1, number * share // _CI)
