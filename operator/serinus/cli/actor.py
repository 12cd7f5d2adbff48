"""The actor of a command: the caller's AWS identity if the registry is at AWS, else the unverified local user name."""

import re
from typing import Final

from serinus.addresses import split_url
from serinus.api.audit_record import Actor, ActorKind, Authentication
from serinus.cli.output import echo_error
from serinus.cli.session import local_user
from serinus.registry.address import DynamoDbAddress, parse_address

_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_MAX_NAME_LENGTH: Final = 512
_PERSON: Final = re.compile(r":assumed-role/AWSReservedSSO_")
"""IAM Identity Center creates such roles for people only; any other user or role may belong to a machine."""


def current_actor(registry_url: str) -> tuple[Actor, dict[str, str]]:
    """Return who runs this command, and details for the record if AWS STS could not identify them.

    A rollback at three in the morning must not wait for an identity service: if STS fails, the actor is the local
    user, whose name the record marks as unverified.
    """
    match parse_address(registry_url):
        case DynamoDbAddress(settings=settings) if is_aws(settings.endpoint):
            try:
                # boto3 takes half a second to load.
                from serinus.registry.dynamodb.identity import caller_arn  # noqa: PLC0415

                return _aws_actor(caller_arn(settings.region)), {}
            except Exception as problem:  # noqa: BLE001 - no failure of STS may stop a rollback
                message = f"AWS STS could not identify the caller: {problem}"
                echo_error(f"{message}; the record will mark the name as unverified")
                return local_user(), {"identity": message[:1024]}
        case _:
            return local_user(), {}


def is_aws(endpoint: str | None) -> bool:
    """Return whether an endpoint is AWS's own, VPC endpoints included; None is AWS's default endpoint."""
    return endpoint is None or (split_url(endpoint, endpoint).hostname or "").endswith(_AWS_DOMAINS)


def _aws_actor(arn: str) -> Actor:
    kind = ActorKind.PERSON if _PERSON.search(arn) else ActorKind.UNKNOWN
    return Actor(name=arn[:_MAX_NAME_LENGTH], kind=kind, authentication=Authentication.CLOUD)
