"""IP addresses that a tenant may have chosen: the address that a packet is sent to in the end."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

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
