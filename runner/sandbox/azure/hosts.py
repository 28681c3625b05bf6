"""Which host names the sandbox answers for, and as what."""

from __future__ import annotations

from typing import Literal

Service = Literal["sandbox", "login", "arm", "graph", "function"]

LOOPBACK = ("127.0.0.1", "localhost")

LOGIN = (
    "login.microsoftonline.com",
    "login.microsoft.com",
    "login.windows.net",
    "sts.windows.net",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
    "login.partner.microsoftonline.cn",
)
ARM = ("management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn")
GRAPH = ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")
FUNCTION_SUFFIXES = (".azurewebsites.net", ".azurewebsites.us", ".chinacloudsites.cn")

CERTIFIED = (
    *LOOPBACK,
    *LOGIN,
    *ARM,
    *GRAPH,
    *(f"*{suffix}" for suffix in FUNCTION_SUFFIXES),
    "*.blob.core.windows.net",  # an Azurite behind the same proxy can borrow the certificate
)


def name_of(host: str) -> str:
    """The host name in a `Host` header, without its port."""
    return host.rsplit(":", 1)[0].lower()


def stands_for_azure(name: str) -> bool:
    """Whether a call to this host belongs to the sandbox; the proxy refuses every other."""
    return name in LOGIN or name in ARM or name in GRAPH or name.endswith(FUNCTION_SUFFIXES)


def service_of(host: str, segments: tuple[str, ...]) -> Service | None:
    """What answers: by host name for Azure's own names, by path on loopback, where all services share one address."""
    name = name_of(host)
    if name in LOOPBACK:
        return _service_on_loopback(segments)
    if name in LOGIN:
        return "login"
    if name in ARM:
        return "login" if segments[:1] == ("metadata",) else "arm"
    if name in GRAPH:
        return "graph"
    return "function" if name.endswith(FUNCTION_SUFFIXES) else None


def _service_on_loopback(segments: tuple[str, ...]) -> Service:
    match segments[0].lower() if segments else "":
        case "sandbox":
            return "sandbox"
        case "v1.0" | "beta":
            return "graph"
        case "api":
            return "function"
        case "subscriptions" | "providers" | "tenants":
            return "arm"
        case _:
            return "login"
