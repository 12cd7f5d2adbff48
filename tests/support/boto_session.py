"""Sessions of boto3 that share the descriptions of the services, which every other session parses again in 0.2 s."""

from functools import cache
from typing import Any

import botocore.session
from boto3.session import Session


@cache
def _loader() -> Any:
    return botocore.session.get_session().get_component("data_loader")


def new_session() -> Session:
    """Return a session with nothing else in common with another: its credentials and its settings are its own."""
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader())
    return Session(botocore_session=session)
