"""kopf's settings for a process that only watches. Each value was measured (docs/architecture.md)."""

import logging
import random
from collections.abc import Iterable, Iterator
from typing import Final

import kopf

from serinus.api.names import GROUP
from serinus.kube.kinds import Source

_WAITS: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


class EndlessBackoff(Iterable[float]):
    """Waits that grow to 8 s and never end: after a last one kopf would give up, and the whole watch with it."""

    def __iter__(self) -> Iterator[float]:
        """Yield the waits from the first on, with a jitter of a fifth."""
        yield from (_jittered(wait) for wait in _WAITS)
        while True:
            yield _jittered(_WAITS[-1])


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no last-handled state: there are only event handlers, and building it costs half of kopf's time."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """Return an empty essence: there is nothing to compare."""
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> None:
        """Find nothing."""

    def store(self, **_: object) -> None:
        """Write nothing on users' objects."""


class NoProgress(kopf.ProgressStorage):
    """Stores no progress: event handlers have none."""

    def fetch(self, **_: object) -> None:
        """Find nothing."""

    def store(self, **_: object) -> None:
        """Write nothing."""

    def purge(self, **_: object) -> None:
        """Remove nothing."""

    def touch(self, **_: object) -> None:
        """Touch nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Return it unchanged."""
        return essence


def watch_settings(sources: Iterable[Source]) -> kopf.OperatorSettings:
    """Return the settings under which kopf watches these kinds and writes nothing."""
    settings = kopf.OperatorSettings()
    # No watch of all namespaces and CRDs: fewer rights and less load. Kinds must be served before kopf starts.
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    # A worker keeps its slot for idle_timeout after its last event: with a limit, 5,000 objects took over 150 s.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.1
    settings.queueing.exit_timeout = 2.0
    settings.queueing.error_delays = (0.5, 1, 2, 5, 10)
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 240  # an int: kopf writes it into the URL as it is
    settings.watching.client_timeout = 250
    settings.watching.connect_timeout = 5
    # Missing bookmarks reveal a connection that died silently.
    settings.watching.inactivity_timeout = 35
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = EndlessBackoff()
    settings.networking.trust_env = True
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.persistence.finalizer = f"{GROUP}/kopf-unused"
    # kopf kills the process if it hangs on exit: better a restart than a watch that never comes back.
    settings.process.ultimate_exiting_timeout = 25
    for source in sources:
        if source.label:
            kind = source.kind
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = source.label
    return settings


def limit_logging() -> None:
    """Let kopf log warnings and errors only: by default it logs every object."""
    for name in ("kopf", "kopf.objects"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # At each start it warns that it cannot catch signals outside the main thread, where this process handles them.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)


def _jittered(wait: float) -> float:
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards no secret
