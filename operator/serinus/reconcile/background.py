"""Tasks that run beside the workers."""

import asyncio
from collections.abc import Coroutine


class BackgroundTasks:
    """Starts tasks and keeps them until they end: the event loop itself holds weak references only."""

    def __init__(self) -> None:
        """Begin empty."""
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        """How many tasks are under way."""
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, object]) -> None:
        """Run this in a task of its own, in the event loop that runs now."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Cancel every task under way."""
        for task in self._tasks:
            task.cancel()
