"""One S3 server process for all, and credentials for whoever asks it."""

from collections.abc import Iterator

import pytest

from support.servers.locked_bucket import CREDENTIALS, cloud_server


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with cloud_server() as url:
        yield url


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
