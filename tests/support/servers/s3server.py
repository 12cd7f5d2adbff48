"""A real S3 server (moto) on loopback in its own process, with a client to fill it."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from botocore.config import Config

from support.servers.ready import free_port

REGION = "eu-central-1"
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "never-in-a-message"}
_READY_SECONDS = 90.0


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def give_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set test credentials for boto3 and hide every other configuration."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in _KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


class S3Server:
    """``with S3Server(folder) as s3``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = 0
        self.client: Any = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.port = free_port()
        log_file = self._folder / "s3.log"
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)], stdout=log, stderr=log
            )
        try:
            self._wait_until_ready(log_file)
        except BaseException:
            self.__exit__()
            raise
        session = boto3.session.Session(
            aws_access_key_id=_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        self.client = session.client("s3", endpoint_url=self.url, config=Config(s3={"addressing_style": "path"}))
        return self

    def __exit__(self, *_: object) -> None:
        if self.client is not None:
            self.client.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    def bucket(self, name: str) -> str:
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def put(self, bucket: str, key: str, content: bytes, **more: Any) -> str:
        """Store an object and return its URI."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content, **more)
        return f"s3://{bucket}/{key}"

    def put_in_parts(self, bucket: str, key: str, *parts: bytes) -> str:
        """Store an object as a multipart upload; its checksum is computed from the checksums of its parts."""
        created = self.client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")
        upload = {"Bucket": bucket, "Key": key, "UploadId": created["UploadId"]}
        uploaded = []
        for number, part in enumerate(parts, 1):
            reply = self.client.upload_part(**upload, PartNumber=number, Body=part, ChecksumAlgorithm="SHA256")
            uploaded.append({"PartNumber": number, "ETag": reply["ETag"], "ChecksumSHA256": reply["ChecksumSHA256"]})
        self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": uploaded})
        return f"s3://{bucket}/{key}"

    @contextlib.contextmanager
    def checking_credentials(self) -> Iterator[None]:
        """Make the server deny every request until the block ends."""
        self._allow(b"0")
        try:
            yield
        finally:
            self._allow(b"inf")

    def _allow(self, actions: bytes) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", "/moto-api/reset-auth", actions)
            assert connection.getresponse().status == 200

    def _wait_until_ready(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with (
                contextlib.suppress(OSError),
                contextlib.closing(socket.create_connection(("127.0.0.1", self.port), 1)),
            ):
                return
            time.sleep(0.05)
        raise AssertionError(f"the S3 server did not start:\n{log.read_text(errors='replace')}")
