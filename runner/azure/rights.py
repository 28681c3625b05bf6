"""The Rights port: what an identity is and may do, read from its tokens, from ARM and from Graph. Writes nothing.

A token is only looked into, never kept or handed on, and its signature is not checked: it comes straight from the token service.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes

from runner.azure.credentials import Credential, Secret, TokenFailed, client_certificate
from runner.azure.graph import quoted
from runner.azure.http import Client, Json, Tries, segment, unexpected
from runner.domain.azure_actions import Granted
from runner.domain.document import Certificate, ClientCredential, ServicePrincipal
from runner.domain.permissions import GROUPS_ADMINISTRATOR
from runner.errors import RemoteFailed
from runner.network.posting import USER_AGENT
from runner.ports import Expiry, Offer, Token

PERMISSIONS = {"api-version": "2022-04-01"}
METADATA = {"api-version": "2022-09-01"}
UNSEEN = (400, 403, 404)  # 400: Graph's answer to a key of another form
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SCOPE = re.compile(r"(/(?!\.+(/|$))[^/?#%\\]+)+")
_FRACTION = re.compile(r"\.\d+")


@dataclass(frozen=True)
class AzureRights:
    """One identity in one Entra tenant. `http` is for what needs no token, `now` this machine's clock."""

    principal_document: ServicePrincipal
    credential: Credential
    arm: Client
    graph: Client
    http: httpx.Client
    secret: Secret
    now: Callable[[], datetime]

    def token(self, scope: str) -> Token:
        """See Rights."""
        tries = Tries(self.arm.patience)
        while True:
            self.arm.patience.check()
            try:
                return _read_token(self.credential.get_token(scope).token)
            except TokenFailed as error:
                tries.wait_or_raise(error, after=error.retry_after)

    def expiry(self, *, ask: bool) -> Expiry:
        """See Rights. A certificate's own end is known here; Graph may know an earlier one, and is the only one that knows a secret's."""
        match self.principal_document.auth:
            case ClientCredential() as auth:
                registered = self._registered("passwordCredentials") if ask else []
                return Expiry("client secret", _end_of_secret(registered, self.secret(auth.credential)))
            case Certificate() as auth:
                found = client_certificate(auth, self.secret).certificate
                registered = self._registered("keyCredentials") if ask else []
                thumbprint = found.fingerprint(hashes.SHA1())  # noqa: S303 - how Entra names certificates
                ends = [*_ends_of_certificate(registered, thumbprint), found.not_valid_after_utc]
                return Expiry("certificate", min(ends))
            case _:
                return Expiry("")

    def granted(self, scope: str) -> tuple[Granted, ...] | None:
        """See Rights."""
        if not SCOPE.fullmatch(scope):
            raise ValueError("This is no scope.")
        path = f"{scope}/providers/Microsoft.Authorization/permissions"
        reply = self.arm.get(path, PERMISSIONS, also=(403, 404))
        if reply.status != 200:
            return None
        return tuple(
            Granted(_texts(entry.get("actions")), _texts(entry.get("notActions")))
            for entry in self.arm.items(reply.body)
        )

    def administers(self, unit_id: str, *, object_id: str) -> bool | None:
        """See Rights. RoleManagement.Read.Directory or Directory.Read.All may read it."""
        query = {"$filter": f"principalId eq {quoted(object_id)}"}
        reply = self.graph.get("/v1.0/roleManagement/directory/roleAssignments", query, also=UNSEEN)
        if reply.status != 200:
            return None
        places = {"/", f"/administrativeunits/{unit_id.lower()}"}
        return any(
            entry.get("roleDefinitionId") == GROUPS_ADMINISTRATOR
            and str(entry.get("directoryScopeId", "")).lower() in places
            for entry in self.graph.items(reply.body)
        )

    def unit(self, unit_id: str) -> bool:
        """See Rights."""
        path = f"/v1.0/directory/administrativeUnits/{segment(unit_id)}"
        return self.graph.get(path, {"$select": "id"}, also=UNSEEN).status == 200

    def offer(self, application: str) -> Offer | None:
        """See Rights."""
        client_id = application.removeprefix("api://").removesuffix("/.default").rstrip("/")
        if not UUID.fullmatch(client_id):
            return None
        query = {"$select": "id,appId,appRoles,appRoleAssignmentRequired"}
        reply = self.graph.get(f"/v1.0/servicePrincipals(appId={quoted(client_id)})", query, also=UNSEEN)
        if reply.status != 200:
            return None
        required = reply.body.get("appRoleAssignmentRequired")
        registration = self._application(client_id, "id,appId,api")
        version = (registration.get("api") or {}).get("requestedAccessTokenVersion")
        return Offer(
            roles=frozenset(
                str(role.get("value"))
                for role in reply.body.get("appRoles") or ()
                if role.get("isEnabled") and "Application" in (role.get("allowedMemberTypes") or ())
            ),
            assignment_required=required if isinstance(required, bool) else None,
            token_version=version if type(version) is int else None,
        )

    def principal(self, object_id: str) -> str | None:
        """See Rights."""
        path = f"/v1.0/servicePrincipals/{segment(object_id)}"
        reply = self.graph.get(path, {"$select": "id,appId"}, also=UNSEEN)
        return str(reply.body.get("appId", "")) if reply.status == 200 else None

    def ahead(self) -> timedelta:
        """See Rights. The Date header has whole seconds, and half of the way there and back is taken for the way back."""
        url = f"{self.arm.base}/metadata/endpoints"
        before = self.now()
        try:
            answer = self.http.get(url, params=METADATA, headers={"User-Agent": USER_AGENT})
            there = parsedate_to_datetime(answer.headers.get("Date", ""))
        except httpx.HTTPError as error:
            raise RemoteFailed(
                "Azure cannot be reached",
                code="azure-unreachable",
                detail=f"GET {url}: {type(error).__name__}.",
                hint="Check the network, the proxy, the private CA bundle and the cloud's addresses.",
            ) from None
        except ValueError:
            raise unexpected(f"GET {url} answered without a date.") from None
        between = before + (self.now() - before) / 2
        difference = between - (there if there.tzinfo else there.replace(tzinfo=UTC))
        return timedelta(0) if abs(difference) < timedelta(seconds=1) else difference

    def _registered(self, kind: str) -> list[Json]:
        """What is registered of this kind on the application; nothing where it may not be read, or is registered elsewhere."""
        client_id = self.principal_document.client_id
        found = self._application(client_id, f"id,appId,{kind}").get(kind) if client_id else None
        return [entry for entry in found or () if isinstance(entry, dict)]

    def _application(self, client_id: str, select: str) -> Json:
        path = f"/v1.0/applications(appId={quoted(client_id)})"
        reply = self.graph.get(path, {"$select": select}, also=UNSEEN)
        return reply.body if reply.status == 200 else {}


def _read_token(token: str) -> Token:
    """Claims of a token for applications: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        roles = claims.get("roles", [])
    except (IndexError, ValueError, binascii.Error, AttributeError):
        return Token(object_id="", tenant_id="", roles=None, version="")
    return Token(
        object_id=str(claims.get("oid", "")),
        tenant_id=str(claims.get("tid", "")).lower(),
        roles=frozenset(map(str, roles)) if isinstance(roles, list) else None,
        version=str(claims.get("ver", "")),
    )


def _end_of_secret(registered: Iterable[Mapping[str, Any]], value: str) -> datetime | None:
    """The end of the secret in use. Graph tells the first three characters of each; of several that fit, the one that ends first."""
    fitting = [entry for entry in registered if entry.get("hint") in (None, "", value[:3])]
    return min(_ends(fitting), default=None)


def _ends_of_certificate(registered: Iterable[Mapping[str, Any]], thumbprint: bytes) -> Iterator[datetime]:
    """Graph shows the thumbprint in hexadecimal or base64, as it was registered."""
    spellings = {thumbprint.hex().upper(), base64.b64encode(thumbprint).decode()}
    return _ends(
        entry
        for entry in registered
        if str(entry.get("customKeyIdentifier")) in spellings
        or str(entry.get("customKeyIdentifier")).upper() in spellings
    )


def _ends(entries: Iterable[Mapping[str, Any]]) -> Iterator[datetime]:
    for entry in entries:
        try:
            # Graph gives up to seven digits of a second, Python reads six
            ends = datetime.fromisoformat(_FRACTION.sub("", str(entry.get("endDateTime"))).replace("Z", "+00:00"))
        except ValueError:
            continue
        yield ends if ends.tzinfo else ends.replace(tzinfo=UTC)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(entry) for entry in value) if isinstance(value, list) else ()
