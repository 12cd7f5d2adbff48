"""The AWS identity of the current credentials."""

from typing import Any, Final

import boto3
from botocore.config import Config

_SECONDS: Final = 5


def caller_arn(region: str | None) -> str:
    """Return the ARN that AWS STS reports for the current credentials.

    Raises:
        botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError: STS is unavailable or refuses the request.
    """
    options = Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries={"total_max_attempts": 2})
    client: Any = boto3.session.Session().client("sts", region_name=region, config=options)
    try:
        return str(client.get_caller_identity()["Arn"])
    finally:
        client.close()
