"""Addresses from outside: URLs, and IP addresses that a tenant may have chosen."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from serinus.errors import ConfigurationError

# RFC 6052: IPv4 addresses, including private ones, behind a translator.
_TRANSLATED: Final = ip_network("64:ff9b::/96")


def effective_address(text: str) -> IPv4Address | IPv6Address:
    """Return the effective address: an IPv6 address may embed an IPv4 address.

    Raises:
        ValueError: it is not an IP address.
    """
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def split_url(url: str, what: str) -> SplitResult:
    """Return the parts of a URL.

    Args:
        url: it may contain a password, so that it is not in a message.
        what: its name in a message.

    Raises:
        ConfigurationError: it has brackets without an IPv6 address in them, or an impossible port.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as problem:
        raise ConfigurationError(f"{what}: not a valid address: {problem}") from problem
    return parts
