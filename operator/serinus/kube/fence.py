"""The fence around all writes of a process: only the leader writes."""

from serinus.errors import NotLeaderError
from serinus.ports.acting import acted_for
from serinus.ports.services import Guard, Leadership


def fence_of(leadership: Leadership) -> Guard:
    """Return what a client calls before it sends a write, and what raises NotLeaderError where this process must not.

    A process leads once at most (see kube.lease), so one that leads now has led since its first write. With several
    shards it may lead again for a shard that it has handed back, after the last write of its former term (see
    kube.shards).
    """

    def may_write() -> None:
        if leadership.epoch_of(acted_for()) is None:
            raise NotLeaderError("this process does not lead any more: the write was not sent")

    return may_write
