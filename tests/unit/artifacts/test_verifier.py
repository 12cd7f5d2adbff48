"""The verifier itself: threads, shutdown, and unsupported artifacts."""

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


def a_verifier(server: ArtifactServer, *, workers: int = 1) -> Verifier:
    return Verifier(ArtifactSettings(workers=workers), https=HttpsStore([server.host], timeout=30, tls=trusting()))


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith(THREADS)}


async def test_a_silent_server_blocks_a_worker_but_not_the_event_loop() -> None:
    others = threads()
    with ArtifactServer(tls=True).running() as server:
        server.replies = {"/a": Reply(silent=True), "/b": Reply(body=b"x")}
        verifier = a_verifier(server)
        first = asyncio.create_task(verifier.verify("ml", Artifact(uri=f"{server.url}/a"), Verification.FULL))
        assert await asyncio.to_thread(server.sending.wait, 5)
        second = asyncio.create_task(verifier.verify("ml", Artifact(uri=f"{server.url}/b"), Verification.FULL))
        await asyncio.sleep(0)
        assert server.asked == ["GET /a"]
        first.cancel()
        assert (await second).result is ArtifactResult.NO_DIGEST
        assert len(threads() - others) == 1
        verifier.close()


async def test_closing_ends_running_and_queued_verifications() -> None:
    others = threads()
    with ArtifactServer(tls=True).running() as server:
        server.replies = {"/a": Reply(length=-1, then=Then.HANG)}
        verifier = a_verifier(server)
        artifact = Artifact(uri=f"{server.url}/a", digest="sha256:" + "0" * 64)
        tasks = [asyncio.create_task(verifier.verify("ml", artifact, Verification.FULL)) for _ in range(3)]
        assert await asyncio.to_thread(server.sending.wait, 5)
        reading = threads() - others
        verifier.close()
        found = await asyncio.wait_for(asyncio.gather(*tasks), 5)
        assert {finding.result for finding in found} == {ArtifactResult.COULD_NOT_ASK}
        assert all("the operator is stopping" in finding.message for finding in found)
        late = await verifier.verify("ml", artifact, Verification.FULL)
        assert "the operator is stopping" in late.message
        for thread in reading:
            await asyncio.to_thread(thread.join, 5)
        assert not any(thread.is_alive() for thread in reading)


@pytest.mark.parametrize("uri", ["gs://bucket/x", "http://host/x", "mlflow-artifacts:/1/models", "oci://r/m@sha256:00"])
async def test_an_unknown_scheme_is_unsupported(uri: str) -> None:
    verifier = Verifier(ArtifactSettings())
    found = await verifier.verify("ml", Artifact(uri=uri), Verification.FULL)
    verifier.close()
    assert found.result is ArtifactResult.UNSUPPORTED
    assert uri.partition(":")[0] in found.message


async def test_with_verification_off_the_artifact_is_not_read(tmp_path: Path) -> None:
    verifier = Verifier(ArtifactSettings(local_root=str(tmp_path)))
    found = await verifier.verify("ml", Artifact(uri="none.onnx"), Verification.OFF)
    verifier.close()
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "Off" in found.message
