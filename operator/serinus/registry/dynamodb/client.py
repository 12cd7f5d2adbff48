"""The connection to DynamoDB: two bounded clients of boto3, and what its failures mean for the caller.

Reads are asked again by botocore (adaptive mode). Commits are not: after a time-out nobody knows whether the step is
stored, and only the caller can re-read first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

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
# Credentials are renewed beside us: these pass by themselves.
_PASSING: Final = frozenset({"ExpiredTokenException", "ExpiredToken", "RequestExpired"})
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

Answer = dict[str, Any]


class ContendedError(TransientError):
    """DynamoDB stored nothing because it was busy or others wrote the same items: the same request may be repeated."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of boto3: one that repeats what it asks, one that sends each step once."""

    reads: Any
    commits: Any

    def close(self) -> None:
        """Close their connections."""
        self.reads.close()
        self.commits.close()


def connect(settings: DynamoDbSettings, session: Any = None) -> Clients:  # noqa: ANN401 - boto3's own
    """Make the clients; nothing is sent.

    Args:
        settings: where and how.
        session: of boto3, such as one with a role of its own; a new one where it is not given, never the shared one,
            which threads may not share.

    Raises:
        ConfigurationError: there is no region, or the endpoint is no address.
    """
    session = session or boto3.session.Session()
    timeout = settings.timeout.seconds

    def client(attempts: int) -> Any:  # noqa: ANN401 - boto3 makes its classes when the program runs
        config = Config(
            connect_timeout=min(_CONNECT_SECONDS, timeout),
            read_timeout=timeout,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "adaptive", "total_max_attempts": attempts},
        )
        return session.client("dynamodb", region_name=settings.region, endpoint_url=settings.endpoint, config=config)

    try:
        return Clients(client(READ_ATTEMPTS), client(1))
    except NoRegionError as problem:
        raise ConfigurationError(
            "registry.dynamodb.region: no region is set: name it there, or in AWS_REGION"
        ) from problem
    except ValueError as problem:
        raise ConfigurationError(f"registry.dynamodb.endpoint: {problem}") from problem


def read(operation: Callable[..., Answer], **request: Any) -> Answer:  # noqa: ANN401 - the API's own shapes
    """Ask without changing anything.

    Raises:
        TransientError: no answer; ask again later.
        RefusedError: it will not answer: no rights, no table, an impossible request.
    """
    try:
        return operation(**request)
    except (ClientError, BotoCoreError) as problem:
        raise failure(problem) from problem


def write(operation: Callable[..., Answer], **request: Any) -> Answer:  # noqa: ANN401 - the API's own shapes
    """Change something; as :func:`read`, but ``AmbiguousError`` where it may have happened.

    ``ClientError`` of a condition that does not hold comes out as it is: its meaning is the caller's.
    """
    try:
        return operation(**request)
    except (ClientError, BotoCoreError) as problem:
        if code_of(problem) in {"TransactionCanceledException", "ConditionalCheckFailedException"}:
            raise
        raise failure(problem, writing=True) from problem


def code_of(problem: Exception) -> str:
    """Return the code of an error that DynamoDB answered; empty for one of the connection."""
    if not isinstance(problem, ClientError):
        return ""
    return str(problem.response.get("Error", {}).get("Code", ""))


def failure(problem: Exception, *, writing: bool = False) -> SerinusError:
    """Return what a failure of boto3 means: who may ask again, who must re-read, who needs a person."""
    match problem:
        case ClientError():
            return _answered(problem, code_of(problem), writing=writing)
        case _ if isinstance(problem, _NO_IDENTITY):
            return RefusedError("there are no AWS credentials: give the process a role, or set AWS_PROFILE")
        case _ if writing and not isinstance(problem, _NOT_SENT):
            return AmbiguousError(f"DynamoDB did not answer, the step may be stored or not: {_line(problem)}")
        case _:
            return TransientError(f"DynamoDB cannot be reached: check the endpoint and the network: {_line(problem)}")


def _answered(problem: ClientError, code: str, *, writing: bool) -> SerinusError:
    said = f"{code}: {problem.response.get('Error', {}).get('Message', '')}".rstrip(": ")
    status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _BUSY:
        return ContendedError(f"DynamoDB is busy ({said}): it is asked again; raise the table's limits if it stays so")
    # The token's step is known with another content. DynamoDB Local says so at random, too: aws/aws-sdk#413.
    if code == "IdempotentParameterMismatchException":
        return ConflictError(f"DynamoDB knows another step by this token ({said}): read the head, decide again")
    if code == "ResourceNotFoundException":
        return RefusedError(f"a table is not there ({said}): serinus registry dynamodb create-tables")
    if code in _DENIED:
        return RefusedError(f"AWS denies it ({said}): attach the policy of deploy/aws to the role of this process")
    if code in _PASSING:
        return TransientError(f"the credentials have run out ({said}): they are read again at the next request")
    if code == "TransactionInProgressException" or status >= _FIRST_SERVER_ERROR:
        kind = AmbiguousError if writing else TransientError
        return kind(f"DynamoDB failed ({said}): it is asked again")
    return RefusedError(f"DynamoDB refuses the request ({said})")


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())
