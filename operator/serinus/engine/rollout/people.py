"""Who is whom: the same person under the names of the cluster, of Git and of a pipeline; and whether it is a person."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_ADDRESS: Final = re.compile(r"<([^<>]*)>")
_MAILTO: Final = "mailto:"


def is_service_account(name: str) -> bool:
    """Return whether the API server's user name is that of a workload: people act through it without being named."""
    return name.startswith(_SERVICE_ACCOUNT)


def belongs_to_namespace(name: str, namespace: str) -> bool:
    """Return whether this is a service account of the namespace.

    The cluster's role ``edit`` may impersonate those of its namespace, so whoever writes there may act through them.
    """
    return bool(namespace) and name.startswith(f"{_SERVICE_ACCOUNT}{namespace}:")


def is_same_person(one: str, other: str) -> bool:
    """Return whether two names may mean one person.

    Case, surrounding spaces and ``mailto:`` do not count, and Git's form ``Name <mail>`` is both the name and the mail.
    Two spellings that this cannot bring together, such as a login and a mail address, are two people here.
    """
    return not _identities(one).isdisjoint(_identities(other))


def _identities(name: str) -> frozenset[str]:
    return frozenset(found for found in _normalised(name) if found)


def _normalised(name: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", name).casefold()
    yield _bare(plain)
    yield _bare(_ADDRESS.sub(" ", plain))
    for address in _ADDRESS.findall(plain):
        yield _bare(address)


def _bare(text: str) -> str:
    return " ".join(text.strip().strip("\"'").removeprefix(_MAILTO).split())
