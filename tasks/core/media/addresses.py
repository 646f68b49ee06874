"""Which addresses of a network anybody may ask for a file. A data set must not make its user's machine ask its own."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

type Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is the end of it


def is_public(address: Address) -> bool:
    """Whether it is one of the internet's: not private, of this machine, of its link, of many, or of nobody.

    An IPv6 address that stands for one of IPv4 counts as that one.
    """
    if isinstance(address, IPv6Address) and (inner := _inner(address)):
        return is_public(inner)
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
