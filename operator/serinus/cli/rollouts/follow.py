"""Follows one Rollout through `kubectl get --watch`: one login, and each change as soon as it is stored."""

import codecs
import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, Final, Self

from serinus.cli.kubectl import KubectlError, Place, find_kubectl, problem_of
from serinus.cli.rollouts.options import RESOURCE
from serinus.cli.rollouts.read import Raw
from serinus.errors import NotFoundError

_CHUNK: Final = 65_536
_LONGEST: Final = 16 * 1024 * 1024
"""Characters of one object: etcd takes 1.5 MiB."""

_PAUSE: Final = 2.0
_AGAIN: Final = 3
"""So often in a row is a watch begun anew that ended without an object: the API server ends each after some minutes."""

_ENDED: Final = object()


def follow(
    name: str, place: Place, *, seconds: float | None, tick: float, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Raw | None]:
    """Yield the Rollout as it is and after each change, and None whenever ``tick`` seconds have passed without one.

    It ends when ``seconds`` have passed; never with None.

    Raises:
        NotFoundError: the Rollout was deleted.
        KubectlError: kubectl is missing, or failed several times in a row.
    """
    deadline = monotonic() + seconds if seconds is not None else None
    failures = 0
    while True:
        with _Watch(name, place) as watch:
            for one in watch.objects(deadline, tick, monotonic):
                failures = 0 if one is not None else failures
                yield one
            problem = watch.problem
        failures += 1
        left = None if deadline is None else deadline - monotonic()
        if left is not None and left <= 0:
            return
        if failures > _AGAIN or (failures == 1 and watch.refused):
            raise KubectlError(problem or "kubectl get --watch ended without an answer")
        threading.Event().wait(min(_PAUSE, left) if left is not None else _PAUSE)


class _Watch:
    """One run of kubectl, whose output a thread reads into a queue."""

    def __init__(self, name: str, place: Place) -> None:
        self._words = ["get", RESOURCE, name, *place.words, "--output=json", "--watch", "--output-watch-events"]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - no shell
                [find_kubectl(), *self._words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as problem:
            raise KubectlError(f"kubectl could not be started: {problem}") from problem
        self._events: queue.Queue[object] = queue.Queue(maxsize=16)
        self._errors: list[str] = []
        self._stopped = threading.Event()
        self._seen = False
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def refused(self) -> bool:
        """Whether kubectl failed before it showed the object at all."""
        return not self._seen and bool(self._process.returncode)

    @property
    def problem(self) -> str:
        """What kubectl said."""
        return " ".join(problem_of("".join(self._errors), self._words).split())

    def objects(self, deadline: float | None, tick: float, monotonic: Callable[[], float]) -> Iterator[Raw | None]:
        """Yield objects, and None for each tick without one, until kubectl ends or the deadline is there."""
        while True:
            left = tick if deadline is None else min(tick, deadline - monotonic())
            try:
                event = self._events.get(timeout=max(0.0, left))
            except queue.Empty:
                if deadline is not None and monotonic() >= deadline:
                    return
                yield None
                continue
            if event is _ENDED:
                # The exit status tells a refusal from a watch that the API server has ended.
                self._process.wait()
                return
            found = _object_of(event)
            self._seen = True
            yield found

    def _put(self, event: object) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._events.put(event, timeout=0.2)
                return

    def _read(self, pipe: IO[bytes]) -> None:
        text, decoder, scan = "", codecs.getincrementaldecoder("utf-8")("replace"), json.JSONDecoder()
        while chunk := pipe.read1(_CHUNK) if hasattr(pipe, "read1") else pipe.read(_CHUNK):
            text += decoder.decode(chunk)
            while text := text.lstrip():
                try:
                    event, end = scan.raw_decode(text)
                except ValueError:
                    break
                text = text[end:]
                self._put(event)
            if len(text) > _LONGEST:
                break
        self._put(_ENDED)

    def _read_errors(self, pipe: IO[bytes]) -> None:
        while line := pipe.readline(_CHUNK):
            if len(self._errors) < 100:  # noqa: PLR2004 - enough of what goes wrong
                self._errors.append(line.decode("utf-8", "replace"))


def _object_of(event: Any) -> Raw:  # noqa: ANN401 - as kubectl prints it
    """Return the object of a watch event; raises as :func:`follow`."""
    found = event.get("object") if isinstance(event, dict) else None
    if not isinstance(found, dict):
        raise KubectlError("kubectl get --watch did not print a watch event")
    if event.get("type") == "DELETED":
        raise NotFoundError("the Rollout was deleted")
    if event.get("type") == "ERROR":
        raise KubectlError(f"the API server ended the watch: {found.get('message', '')}")
    return found
