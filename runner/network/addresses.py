"""Which addresses may be spoken to where somebody else chose them: public ones, unless the host is allowed by name.

Whoever writes a landing zone or a channel must not be able to make the runner speak to the machine's own network: its metadata
service, other services on this host, or the inside of a company's network. Knows addresses and names, no HTTP. Errors say whose
address it is, by `what` (`function`, `channel`): it begins their codes.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

from runner.errors import Refused, RemoteFailed

WIRE_SERVER = ipaddress.ip_address(
    "168.63.129.16"
)  # Azure's own, on every virtual network; a public address by its number
GLOBAL_V6 = ipaddress.ip_network("2000::/3")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
TUNNELS = (ipaddress.ip_network("2002::/16"), ipaddress.ip_network("2001::/32"))  # 6to4, Teredo: another address inside
LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".intranet", ".corp", ".private")


def is_public(address: str) -> bool:
    """Whether the address is one of the open Internet, also when it is wrapped in another form."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found in NAT64:
            return is_public(str(ipaddress.IPv4Address(found.packed[-4:])))
        return found in GLOBAL_V6 and found.is_global and not any(found in tunnel for tunnel in TUNNELS)
    return found.is_global and not found.is_multicast and not found.is_reserved and found != WIRE_SERVER


def resolved(host: str, port: int, *, allowed: Collection[str], what: str) -> tuple[str, ...]:
    """The addresses to connect to, resolved once: connect to these and to no other. Refused when any of them is not public."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RemoteFailed(
            f"The {what}'s host is not known",
            code=f"{what}-unreachable",
            detail=f"{host} has no address.",
            hint=f"Check the {what}'s address and the name service.",
            temporary=True,
        ) from None
    found = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
    if not is_allowed(host, port, allowed) and not all(map(is_public, found)):
        raise not_allowed(host, "does not lead to the open Internet alone", what=what)
    return found


def check_name(host: str, port: int, *, allowed: Collection[str], what: str) -> None:
    """Refuse what can be seen from the name alone: all there is to go by when a proxy does the resolving."""
    if is_allowed(host, port, allowed):
        return
    name = host.lower().strip("[]").rstrip(".")
    if _is_number(name):
        if not is_public(name):
            raise not_allowed(host, "is no public address", what=what)
    elif "." not in name or name.endswith(LOCAL_SUFFIXES):
        raise not_allowed(host, "is a name of the inner network", what=what)


def is_allowed(host: str, port: int, allowed: Collection[str]) -> bool:
    """Whether the operator allows the host, at any port or at this one (`host` or `host:port`, in lower case)."""
    name = host.lower()
    return name in allowed or f"{name}:{port}" in allowed


def not_allowed(host: str, reason: str, *, what: str) -> Refused:
    """The refusal of a host."""
    return Refused(
        f"The {what}'s address is not allowed",
        code=f"{what}-address-not-allowed",
        detail=f"{host} {reason}.",
        hint="Use a public address, or let the runner's operator allow the host by name.",
    )


def _is_number(name: str) -> bool:
    """Whether it is an address in any spelling that a resolver takes for one (`127.1`, `0x7f.1`, `2130706433`)."""
    try:
        socket.inet_aton(name)
    except OSError:
        return ":" in name
    return True
