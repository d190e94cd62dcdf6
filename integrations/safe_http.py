"""Calls to addresses other people named: only to the public internet, only where we checked.

A name is resolved once; every address it has must be public; the connection goes to the checked
address, while Host and TLS still use the name. No redirects, no proxies from the environment.

`is_global` of the standard library is not enough: it says yes to multicast, to NAT64, 6to4 and a
few more, and those can lead back inside. What is embedded in an address is unwrapped first.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

import httpcore2
import httpx2

Address = IPv4Address | IPv6Address
PORTS = frozenset({443, 8443})
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
MOST_BYTES = 64 * 1024
_MOST_SECONDS = 10**7

_REFUSED = tuple(
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32",
        "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.ip_network("::/96")
_LOW_32 = 0xFFFFFFFF


class UnsafeAddress(Exception):  # noqa: N818
    """We do not call there. The message says why and holds nothing secret."""


class Resolver(Protocol):
    """Every address of a name."""

    async def __call__(self, host: str, port: int) -> list[Address]:
        """Addresses in the order they should be tried; raises `OSError` when there are none."""
        ...


async def resolve(host: str, port: int) -> list[Address]:
    """Ask the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    unique = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(one) for one in unique]


def is_public(address: Address) -> bool:
    """Whether an address, and everything embedded in it, belongs to the public internet."""
    inner = list(_embedded(address))
    if inner:
        return _plainly_public(address, inside=True) and all(map(is_public, inner))
    return _plainly_public(address, inside=False)


def check_url(url: str, *, allow_private: bool = False) -> SplitResult:
    """The parts of a URL we would call. Raises `UnsafeAddress` and says what is wrong.

    `allow_private` is the switch of a demo: http, any port and literal addresses are then fine.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _unsafe("this is not a URL") from None
    host = parts.hostname or ""
    _check_form(url, parts, host)
    if allow_private:
        if parts.scheme not in {"http", "https"}:
            raise _unsafe("only http and https are called")
        return parts
    if parts.scheme != "https":
        raise _unsafe("only https is called")
    if (port or 443) not in PORTS:
        raise _unsafe("only the ports 443 and 8443 are called")
    _check_name(host)
    return parts


async def check_target(
    url: str, *, allow_private: bool = False, resolver: Resolver = resolve
) -> None:
    """At registration: form of the URL, and every address its name has now."""
    parts = check_url(url, allow_private=allow_private)
    if allow_private:
        return
    try:
        await _checked_addresses(resolver, parts.hostname or "", parts.port or 443)
    except OSError:
        raise _unsafe("the host name cannot be resolved") from None


def safe_client(
    *,
    allow_private: bool = False,
    resolver: Resolver = resolve,
    verify: ssl.SSLContext | None = None,
) -> httpx2.AsyncClient:
    """A client that connects to checked addresses only. Use it once and close it.

    `verify` replaces the certificates trusted (tests). `UnsafeAddress` may come out of any call.
    """
    return httpx2.AsyncClient(
        transport=_Transport(verify or _tls(), None if allow_private else _Guard(resolver)),
        timeout=httpx2.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


async def read_some(response: httpx2.Response, most: int = MOST_BYTES) -> bytes:
    """The beginning of a streamed body. The rest is never read."""
    read = bytearray()
    async for part in response.aiter_raw():
        read += part
        if len(read) >= most:
            break
    return bytes(read[:most])


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date (RFC 9110 10.2.3), counted from the call; nothing if not said."""
    value = (value or "").strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value), _MOST_SECONDS))
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta())


class _Guard(httpcore2.AsyncNetworkBackend):
    """Resolves once, checks every address, connects to the first that answers."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's own
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failed: Exception = httpcore2.ConnectError("no address")
        try:
            addresses = await _checked_addresses(self._resolver, host, port)
        except OSError:
            raise httpcore2.ConnectError("the host name cannot be resolved") from None
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except httpcore2.ConnectError as error:
                failed = error
        raise failed

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Transport(httpx2.AsyncHTTPTransport):
    """httpx2's own transport over a pool with our network behind it."""

    def __init__(self, tls: ssl.SSLContext, guard: httpcore2.AsyncNetworkBackend | None) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls, network_backend=guard, max_keepalive_connections=0
        )


async def _checked_addresses(resolver: Resolver, host: str, port: int) -> list[Address]:
    addresses = await resolver(host, port)
    if not addresses:
        raise OSError
    if not all(map(is_public, addresses)):
        raise _unsafe("the host name leads to an address that is not public")
    return addresses


def _check_form(url: str, parts: SplitResult, host: str) -> None:
    if any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in url) or "\\" in url:  # noqa: PLR2004
        raise _unsafe("a URL has no blanks, control characters or backslashes")
    if parts.username is not None or parts.password is not None:
        raise _unsafe("a URL must not carry user information")
    if not host:
        raise _unsafe("the URL names no host")
    if parts.fragment:
        raise _unsafe("a URL to call has no fragment")


def _check_name(host: str) -> None:
    try:
        ascii_host = httpx2.URL(scheme="https", host=host).raw_host.decode()
    except httpx2.InvalidURL:
        raise _unsafe("the host is not a domain name") from None
    labels = ascii_host.split(".")
    # The last label of a domain name has a letter; without one it is an address in some notation.
    if len(labels) < 2 or not labels[-1] or _is_number(labels[-1]):  # noqa: PLR2004
        raise _unsafe("the host must be a full domain name, not an address")


def _is_number(label: str) -> bool:
    return label.isdigit() or label.lower().startswith("0x")


def _embedded(address: Address) -> Iterable[Address]:
    """IPv4 addresses an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in net for net in _NAT64) or address in _COMPATIBLE:
        yield IPv4Address(int(address) & _LOW_32)


def _plainly_public(address: Address, *, inside: bool) -> bool:
    """The address as it stands.

    A mapped address is as public as what is in it; other ways of embedding are not called at all.
    """
    if inside and isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return True
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
        and not any(address.version == net.version and address in net for net in _REFUSED)
    )


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)


def _unsafe(why: str) -> UnsafeAddress:
    return UnsafeAddress(why)
