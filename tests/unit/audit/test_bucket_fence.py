"""The fence around a bucket: a process that does not lead any more sends nothing, not even a retry of boto3."""

from collections.abc import AsyncIterator

import pytest

from serinus.audit.bucket import Bucket, Place
from serinus.errors import NotLeaderError
from serinus.settings import S3Settings
from support.servers.faultproxy import FaultProxy, Request, Status
from support.servers.s3server import REGION, give_credentials


class Leader:
    """Leads until ``deposed``; counts how often it was asked."""

    def __init__(self) -> None:
        self.deposed = False
        self.asked = 0

    def may_write(self) -> None:
        self.asked += 1
        if self.deposed:
            raise NotLeaderError("this process does not lead any more: the write was not sent")


@pytest.fixture
async def s3(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultProxy]:
    """A service that answers every request by itself."""
    give_credentials(monkeypatch)
    async with FaultProxy("127.0.0.1", 9) as proxy:
        yield proxy


def bucket_at(s3: FaultProxy, leader: Leader) -> Bucket:
    return Bucket(Place("audit", s3=S3Settings(region=REGION, endpoint=s3.url)), may_write=leader.may_write)


def puts(s3: FaultProxy) -> list[str]:
    return [request.path for request in s3.requests if request.method == "PUT"]


async def test_a_leader_that_is_deposed_while_a_write_is_retried_ends_the_retries(s3: FaultProxy) -> None:
    leader = Leader()
    bucket = bucket_at(s3, leader)

    def depose(_: Request) -> Status:
        leader.deposed = True
        return Status(503)

    s3.plan = depose
    with pytest.raises(NotLeaderError):
        await bucket.put_new("checkpoint", b"{}")
    await bucket.close()
    assert puts(s3) == ["/audit/checkpoint"]
    assert leader.asked == 2


async def test_who_does_not_lead_writes_nothing_and_may_read(s3: FaultProxy) -> None:
    leader = Leader()
    leader.deposed = True
    bucket = bucket_at(s3, leader)
    with pytest.raises(NotLeaderError):
        await bucket.put_new("checkpoint", b"{}")
    assert s3.requests == []
    s3.always(Status(200, b"<ListBucketResult></ListBucketResult>"))
    assert [name async for name in bucket.names()] == []
    await bucket.close()


async def test_a_leader_writes(s3: FaultProxy) -> None:
    leader = Leader()
    bucket = bucket_at(s3, leader)
    s3.always(Status(200, b""))
    await bucket.put_new("checkpoint", b"{}")
    await bucket.close()
    assert (puts(s3), leader.asked) == (["/audit/checkpoint"], 1)
