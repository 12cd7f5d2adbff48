"""Who acts at a terminal: the cloud's word where it can be had, else the machine's, which nobody vouches for."""

import re
from typing import Final
from urllib.parse import urlsplit

from serinus.api.audit_record import Actor, ActorKind, Authentication
from serinus.cli.output import echo_error
from serinus.cli.session import local_user
from serinus.registry.address import DynamoDbAddress, parse_address

_AWS_DOMAINS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_LONGEST: Final = 512
_PERSON: Final = re.compile(r":assumed-role/AWSReservedSSO_")
"""IAM Identity Center makes such roles for people alone; any other user or role may be a machine's."""


def acting(registry_url: str) -> tuple[Actor, dict[str, str]]:
    """Return who acts on a registry, and further facts for the record where the cloud could not be asked.

    A rollback at three in the morning must not wait for an identity service: without its word, the name is what the
    machine says, and the record says that nobody vouches for it.
    """
    match parse_address(registry_url):
        case DynamoDbAddress(settings=settings) if is_aws(settings.endpoint):
            try:
                # boto3 takes half a second to load, which only this way needs.
                from serinus.registry.dynamodb.identity import caller_arn  # noqa: PLC0415

                return _aws_actor(caller_arn(settings.region)), {}
            except Exception as problem:  # noqa: BLE001 - see above: whatever it is, it must not stop a rollback
                message = f"AWS STS did not say who acts: {problem}"
                echo_error(f"{message}; the record will say that the name is unverified")
                return local_user(), {"identity": message[:1024]}
        case _:
            return local_user(), {}


def is_aws(endpoint: str | None) -> bool:
    """Say whether an endpoint is AWS's own, that of a VPC included; None stands for AWS's usual one."""
    return endpoint is None or (urlsplit(endpoint).hostname or "").endswith(_AWS_DOMAINS)


def _aws_actor(arn: str) -> Actor:
    kind = ActorKind.PERSON if _PERSON.search(arn) else ActorKind.UNKNOWN
    return Actor(name=arn[:_LONGEST], kind=kind, authentication=Authentication.CLOUD)
