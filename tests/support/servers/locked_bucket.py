"""A real S3 server process on loopback, with buckets that have Object Lock."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3
from botocore.config import Config

from serinus.api.quantities import Duration
from serinus.audit.bucket import Place
from serinus.settings import S3Settings

REGION: Final = "eu-central-1"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
_START_SECONDS: Final = 90.0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def cloud_server() -> Iterator[str]:
    """Run the server until the block ends and yield its URL; it implements S3, STS and DynamoDB."""
    port = _free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, url)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=1):  # noqa: S310 - loopback, by http
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def client(endpoint: str, service: str = "s3") -> Any:
    """Return a boto3 client, such as an administrator or an intruder would use."""
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(s3={"addressing_style": "path"}),
    )


def a_bucket(
    endpoint: str, name: str = "", *, locked: bool = True, prefix: str = "audit/", timeout: str = "5s"
) -> Place:
    """Create a bucket, with Object Lock if ``locked``, and return a place in it; without a name it gets one."""
    name = name or f"bucket-{uuid.uuid4().hex[:12]}"
    client(endpoint).create_bucket(
        Bucket=name,
        ObjectLockEnabledForBucket=locked,
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    return Place(name, prefix, S3Settings(region=REGION, endpoint=endpoint, timeout=Duration(timeout)))


def address(place: Place) -> str:
    """Return the place in the notation of the command line."""
    return f"s3://{place.bucket}/{place.prefix.rstrip('/')}?region={REGION}&endpoint={place.s3.endpoint}"
