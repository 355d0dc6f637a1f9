"""Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY as Go and curl do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagist.net.environment import Environment
from imagist.net.url import Origin

if TYPE_CHECKING:
    import ipaddress


def choose_proxy(environment: Environment, origin: Origin) -> str:
    """The URL of the proxy for an origin; empty where it is asked directly.

    The own machine is never asked through a proxy.
    """
    proxy = environment.https_proxy if origin.scheme == "https" else environment.http_proxy
    if not proxy or origin.is_loopback or _is_excepted(environment.no_proxy, origin):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(no_proxy: str, origin: Origin) -> bool:
    return any(_matches(item.strip().lower(), origin) for item in no_proxy.split(",") if item)


def _matches(item: str, origin: Origin) -> bool:
    """Whether one entry of NO_PROXY names the origin."""
    if item == "*":
        return True
    network = _parse_network(item)
    if network is None:
        name, colon, port = item.rpartition(":")
        if colon:
            item = name
            if port != str(origin.port):
                return False
        item = item.removeprefix("*")
        network = _parse_network(item.strip("[]"))
    if network is not None:
        address = _parse_address(origin.host)
        return address is not None and address in network
    if not item.strip("."):
        return False
    # `.example.org` means what lies below it, `example.org` itself as well.
    return origin.host == item or origin.host.endswith("." + item.removeprefix("."))


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    import ipaddress  # noqa: PLC0415 - few have a NO_PROXY

    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    import ipaddress  # noqa: PLC0415

    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
