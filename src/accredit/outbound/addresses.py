"""Which addresses belong to the open Internet (IANA's special-purpose registries, RFC 6890, and what clouds add)."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# Our own list: `is_global` of the standard library differs between releases of Python.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host: a public address that every machine there reaches
        "169.254.0.0/16",  # link-local, with the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # multicast tunnels
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# Everything outside is no unicast of the Internet: loopback, mapped, NAT64, link-local, unique local, multicast.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, with Teredo, ORCHID and benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: the IPv4 address inside is where it goes
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP = 0x5EFE
_LOW_BITS = 0xFDFFFFFF


def is_public(text: str) -> bool:
    """True if this address, as a resolver writes it, is one of the open Internet. False for all that is no address."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    match address:
        case IPv4Address():
            return not any(address in network for network in _NOT_PUBLIC_4)
        case IPv6Address():
            return _is_public_6(address)


def _is_public_6(address: IPv6Address) -> bool:
    # A zone names an interface of this machine.
    if address.scope_id is not None or address not in _PUBLIC_6:
        return False
    if any(address in network for network in _NOT_PUBLIC_6):
        return False
    # ISATAP hides an IPv4 address behind any prefix (RFC 5214 §6.1); the bit left out says whether it is public.
    return (int(address) >> 32) & _LOW_BITS != _ISATAP
