"""The id of an Entra tenant that is named by one of its domains, as the authority tells everybody."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from runner.azure.http import Client, segment, unexpected

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class TenantIds:
    """Ids of Entra tenants. They are remembered, since a tenant keeps its id for good; safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def id_of(self, name: str, authority: Client) -> str:
        """The id in lower case. `name` is the id itself, which asks nobody, or a domain.

        From the issuer in the tenant's OpenID configuration, which needs no token
        (https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc). RemoteFailed where the authority cannot be asked.
        """
        if UUID.fullmatch(name):
            return name.lower()
        key = (authority.base, name.casefold())
        if key not in self._known:
            answer = authority.get(f"/{segment(name)}/v2.0/.well-known/openid-configuration")
            found = urlsplit(str(answer.body.get("issuer", ""))).path.strip("/").partition("/")[0]
            if not UUID.fullmatch(found):
                raise unexpected(f"The OpenID configuration of {name} names no Entra tenant.")
            self._known[key] = found.lower()
        return self._known[key]
