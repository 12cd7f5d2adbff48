"""The connection to DynamoDB: two bounded clients of boto3, and the translation of their errors.

botocore retries reads (adaptive mode) but not commits: after a time-out the step may be stored, and only the caller can
re-read before a retry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

from serinus.errors import (
    AmbiguousError,
    ConfigurationError,
    ConflictError,
    RefusedError,
    SerinusError,
    TransientError,
)
from serinus.registry.dynamodb.api import Answer, DynamoDbApi
from serinus.settings import DynamoDbSettings

CONNECTIONS: Final = 8
READ_ATTEMPTS: Final = 3
_CONNECT_SECONDS: Final = 2.0
_FIRST_SERVER_ERROR: Final = 500

_BUSY: Final = frozenset(
    {
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "ReplicatedWriteConflictException",
    }
)
# The credentials are renewed in the background, after which a retry succeeds.
_EXPIRED: Final = frozenset({"ExpiredTokenException", "ExpiredToken", "RequestExpired"})
_DENIED: Final = frozenset(
    {
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "IncompleteSignatureException",
        "KMSAccessDeniedException",
    }
)
_NOT_SENT: Final = (ConnectTimeoutError, EndpointConnectionError)
_NO_IDENTITY: Final = (NoCredentialsError, PartialCredentialsError)


class ContendedError(TransientError):
    """DynamoDB stored nothing because of throttling or concurrent writes: the same request may be repeated."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of boto3: one for reads, which retries, and one for writes, which sends each request once."""

    reads: DynamoDbApi
    commits: DynamoDbApi

    def close(self) -> None:
        """Close their connections."""
        self.reads.close()
        self.commits.close()


def connect(settings: DynamoDbSettings, session: boto3.session.Session | None = None) -> Clients:
    """Create the clients without sending a request.

    Args:
        settings: the region, endpoint and time-out.
        session: a session, such as one with another role; by default a new one, because boto3's default session is not
            thread-safe.

    Raises:
        ConfigurationError: no region is set, or the endpoint is not an address.
    """
    session = session or boto3.session.Session()
    timeout = settings.timeout.seconds

    def client(attempts: int) -> DynamoDbApi:
        config = Config(
            connect_timeout=min(_CONNECT_SECONDS, timeout),
            read_timeout=timeout,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "adaptive", "total_max_attempts": attempts},
        )
        created: DynamoDbApi = session.client(
            "dynamodb", region_name=settings.region, endpoint_url=settings.endpoint, config=config
        )
        return created

    try:
        return Clients(client(READ_ATTEMPTS), client(1))
    except NoRegionError as problem:
        raise ConfigurationError(
            "registry.dynamodb.region: no region is set: name it there, or in AWS_REGION"
        ) from problem
    except ValueError as problem:
        raise ConfigurationError(f"registry.dynamodb.endpoint: {problem}") from problem


def read(operation: Callable[..., Answer], **request: object) -> Answer:
    """Send a read request.

    Raises:
        TransientError: no response; retry later.
        RefusedError: no permission, no table, or an invalid request.
    """
    try:
        return operation(**request)
    except (ClientError, BotoCoreError) as problem:
        raise failure(problem) from problem


def write(operation: Callable[..., Answer], **request: object) -> Answer:
    """Send a write request; errors as of :func:`read`, and AmbiguousError where it may have been applied.

    The ClientError of a failed condition is passed on, since only the caller can interpret it.
    """
    try:
        return operation(**request)
    except (ClientError, BotoCoreError) as problem:
        if code_of(problem) in {"TransactionCanceledException", "ConditionalCheckFailedException"}:
            raise
        raise failure(problem, writing=True) from problem


def code_of(problem: Exception) -> str:
    """Return the code of DynamoDB's error response; empty for a connection error."""
    if not isinstance(problem, ClientError):
        return ""
    return str(problem.response.get("Error", {}).get("Code", ""))


def failure(problem: Exception, *, writing: bool = False) -> SerinusError:
    """Translate an error of boto3 to :mod:`serinus.errors`."""
    match problem:
        case ClientError():
            return _answered(problem, code_of(problem), writing=writing)
        case _ if isinstance(problem, _NO_IDENTITY):
            return RefusedError("no AWS credentials: give the process a role, or set AWS_PROFILE")
        case _ if writing and not isinstance(problem, _NOT_SENT):
            return AmbiguousError(f"DynamoDB did not respond, the step may be stored or not: {_line(problem)}")
        case _:
            return TransientError(f"DynamoDB cannot be reached: check the endpoint and the network: {_line(problem)}")


def _answered(problem: ClientError, code: str, *, writing: bool) -> SerinusError:
    error = f"{code}: {problem.response.get('Error', {}).get('Message', '')}".rstrip(": ")
    status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _BUSY:
        return ContendedError(f"DynamoDB is busy ({error}): it is retried; raise the table's limits if this persists")
    # Another step was sent with this token. DynamoDB Local also returns this at random: aws/aws-sdk#413.
    if code == "IdempotentParameterMismatchException":
        return ConflictError(f"DynamoDB knows another step by this token ({error}): read the head, decide again")
    if code == "ResourceNotFoundException":
        return RefusedError(f"a table does not exist ({error}): run serinus registry dynamodb create-tables")
    if code in _DENIED:
        return RefusedError(f"AWS denies access ({error}): attach the policy of deploy/aws to the role of this process")
    if code in _EXPIRED:
        return TransientError(f"the credentials have expired ({error}): they are read again at the next request")
    if code == "TransactionInProgressException" or status >= _FIRST_SERVER_ERROR:
        kind = AmbiguousError if writing else TransientError
        return kind(f"DynamoDB failed ({error}): it is retried")
    return RefusedError(f"DynamoDB refuses the request ({error})")


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())
