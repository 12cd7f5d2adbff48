"""What the commands that fetch or build programs of the tests have in common."""

from collections.abc import Callable, Mapping

from localcluster.console import say
from localcluster.errors import LocalClusterError


def status_of(fetch: Callable[[], Mapping[str, object]]) -> int:
    """Fetch or build, and say where each program is; return 1 where one cannot be had, with the reason."""
    try:
        for name, place in fetch().items():
            say(f"{name}: {place}")
    except LocalClusterError as error:
        say(str(error))
        return 1
    return 0
