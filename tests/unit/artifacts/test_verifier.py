"""The verifier itself: its threads, its end, and what never gets into a message."""

import asyncio
import threading
from pathlib import Path

import pytest

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.artifacts.https import HttpsStore
from serinus.artifacts.verifier import Verifier
from serinus.engine.versions.artifact import ArtifactResult
from serinus.settings import ArtifactSettings
from support.servers.artifact_server import ArtifactServer, Reply, Then, trusting

THREADS = "serinus-artifacts"


def verifier(server: ArtifactServer, *, workers: int = 1) -> Verifier:
    return Verifier(ArtifactSettings(workers=workers), https=HttpsStore([server.host], timeout=30, tls=trusting()))


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(THREADS)}


async def test_the_event_loop_goes_on_while_a_server_is_silent_and_others_wait_their_turn() -> None:
    others = threads()
    with ArtifactServer(tls=True).running() as server:
        server.replies = {"/a": Reply(silent=True), "/b": Reply(body=b"x")}
        looking = verifier(server)
        first = asyncio.create_task(looking.verify(Artifact(uri=f"{server.url}/a"), Verification.FULL))
        assert await asyncio.to_thread(server.sending.wait, 5)
        second = asyncio.create_task(looking.verify(Artifact(uri=f"{server.url}/b"), Verification.FULL))
        await asyncio.sleep(0)
        assert server.asked == ["GET /a"]
        first.cancel()
        assert (await second).result is ArtifactResult.NO_DIGEST
        assert len(threads() - others) == 1
        looking.close()


async def test_closing_ends_what_is_read_and_what_waits() -> None:
    others = threads()
    with ArtifactServer(tls=True).running() as server:
        server.replies = {"/a": Reply(length=-1, then=Then.HANG)}
        looking = verifier(server)
        artifact = Artifact(uri=f"{server.url}/a", digest="sha256:" + "0" * 64)
        tasks = [asyncio.create_task(looking.verify(artifact, Verification.FULL)) for _ in range(3)]
        assert await asyncio.to_thread(server.sending.wait, 5)
        reading = threads() - others
        looking.close()
        found = await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert {one.result for one in found} == {ArtifactResult.COULD_NOT_ASK}
        assert all("the operator is stopping" in one.message for one in found)
        late = await looking.verify(artifact, Verification.FULL)
        assert "the operator is stopping" in late.message
        for thread in reading:
            await asyncio.to_thread(thread.join, 5)
        assert not any(thread.is_alive() for thread in reading)


@pytest.mark.parametrize("uri", ["gs://bucket/x", "http://host/x", "mlflow-artifacts:/1/models", "oci://r/m@sha256:00"])
async def test_a_scheme_that_nobody_knows_is_unsupported(uri: str) -> None:
    looking = Verifier(ArtifactSettings())
    found = await looking.verify(Artifact(uri=uri), Verification.FULL)
    looking.close()
    assert found.result is ArtifactResult.UNSUPPORTED
    assert uri.partition(":")[0] in found.message


async def test_an_artifact_that_nobody_wants_checked_is_not_looked_at(tmp_path: Path) -> None:
    looking = Verifier(ArtifactSettings(local_root=str(tmp_path)))
    found = await looking.verify(Artifact(uri="none.onnx"), Verification.OFF)
    looking.close()
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "Off" in found.message
