"""Where a stand-in may go, and as whom: the provider block and environment that the real providers read, and tokens.

The names are those of azapi 2.12.0 and azuread 3.9.0. One rule is added: every address (authority, Resource Manager, Graph, and
whatever a reply points to) must be the sandbox that the runner names in `LZR_SANDBOX_URL`, on loopback, with a certificate signed by
the authority in `SSL_CERT_FILE` and by no other. So a stand-in that is started outside the sandbox can do nothing, whatever its
configuration says.
"""

from __future__ import annotations

import json
import os
import socket
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from runner.sandbox.provider.contract import Failed, Object
from runner.sandbox.provider.rest import Rest, where

SANDBOX_URL = "LZR_SANDBOX_URL"
_EXPIRY_MARGIN = 60.0  # seconds before its end at which a token is renewed


@dataclass(frozen=True)
class Settings:
    """A provider block over the environment; an argument of the block wins, as in the real providers."""

    block: Object
    environment: Mapping[str, str]

    def text(self, argument: str, *variables: str) -> str:
        if (given := self.block.get(argument)) is not None:
            return str(given)
        return next((self.environment[name] for name in variables if self.environment.get(name)), "")

    def flag(self, argument: str, variable: str, *, default: bool = False) -> bool:
        given = self.block.get(argument)
        if given is None and (text := self.environment.get(variable, "")):
            given = text.lower() in ("1", "t", "true")
        return default if given is None else bool(given)

    def text_or_file(self, argument: str, variable: str) -> str:
        """Read an argument that may also be given as the path of a file that holds it."""
        if found := self.text(argument, variable):
            return found
        path = self.text(f"{argument}_file_path", f"{variable}_FILE_PATH")
        return _content(path, f"{argument}_file_path") if path else ""


def _content(path: str, argument: str) -> str:
    try:
        return FilePath(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        detail = f"{argument} is {path!r}, which cannot be read: {error.strerror}."
        raise Failed("The file with the credential cannot be read", detail) from error


def sandbox_origin(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return host and port of the sandbox, or refuse."""
    address = environment.get(SANDBOX_URL, "")
    if not address:
        raise Failed(
            "The stand-in provider works in the sandbox only",
            f"{SANDBOX_URL} is not set. This provider is not the release from the registry: it stands in for it inside the sandbox of "
            "`lzr`, which sets the variable. Outside the sandbox install the real provider.",
        )
    host, port = origin(address)
    if not is_loopback(host):
        raise Failed(
            "The sandbox must be on loopback", f"{SANDBOX_URL} is {address!r}, whose host is not a loopback address."
        )
    return host, port


def origin(address: str) -> tuple[str, int]:
    """Split an https address into host and port."""
    scheme, host, port = where(address if "://" in address else f"https://{address}")
    if scheme != "https" or not host:
        raise Failed("Address is not usable", f"{address!r} is not an https address with a host.")
    return host, port


def is_loopback(host: str) -> bool:
    """Say whether `host` is a loopback address or localhost; other names are never resolved."""
    if host in ("localhost", "::1"):
        return True
    try:
        return socket.inet_pton(socket.AF_INET, host)[0] == 127
    except OSError:
        return False


def sandbox_address(settings: Settings, address: str, what: str) -> str:
    """Return `address` without a trailing slash if it is the sandbox's, or refuse it."""
    if origin(address) != sandbox_origin(settings.environment):
        raise Failed(
            "The stand-in provider refuses this address",
            f"{what} is {address!r}, but this provider stands in for the real one and talks to the sandbox "
            f"({settings.environment[SANDBOX_URL]}) only.",
        )
    return address.rstrip("/")


def certificate_authority(environment: Mapping[str, str]) -> str:
    """Return the path of the sandbox's certificate authority."""
    if not (path := environment.get("SSL_CERT_FILE", "")):
        raise Failed("The sandbox's certificate authority is unknown", "SSL_CERT_FILE is not set; the sandbox sets it.")
    return path


@dataclass(frozen=True)
class MachineIdentity:
    """Where a provider asks for the token of a managed identity, and how."""

    variable: str
    endpoint: str
    version: str
    headers: Mapping[str, str]


def identity_for_azuread(settings: Settings) -> MachineIdentity:
    """The endpoint that is configured, asked as on a virtual machine."""
    endpoint = settings.text("msi_endpoint", "ARM_MSI_ENDPOINT")
    return MachineIdentity("ARM_MSI_ENDPOINT", endpoint, "2018-02-01", {"Metadata": "true"})


def identity_for_azapi(settings: Settings) -> MachineIdentity:
    """The endpoint of App Service, as azidentity finds it: with both of its variables, and never by ARM_MSI_ENDPOINT.

    Without them azidentity would ask a virtual machine's own address, which is not on loopback.
    """
    endpoint, header = (settings.environment.get(name, "") for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"))
    endpoint = endpoint if header else ""
    return MachineIdentity("IDENTITY_ENDPOINT", endpoint, "2019-08-01", {"X-IDENTITY-HEADER": header})


@dataclass
class Identity:
    """Who the provider is: exchanges the configured credential for tokens, one per scope, and keeps them until they end."""

    settings: Settings
    authority: str
    rest: Rest
    machine: Callable[[Settings], MachineIdentity]
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @property
    def tenant_id(self) -> str:
        return self.settings.text("tenant_id", "ARM_TENANT_ID")

    @property
    def client_id(self) -> str:
        return self.settings.text_or_file("client_id", "ARM_CLIENT_ID")

    def token(self, scope: str) -> str:
        """Return a bearer token for `scope` that is valid for a while."""
        with self.lock:
            kept, ends = self.tokens.get(scope, ("", 0.0))
            if time.monotonic() > ends - _EXPIRY_MARGIN:
                reply = self._new_token(scope)
                kept, ends = reply["access_token"], time.monotonic() + float(reply.get("expires_in", 3600))
                self.tokens[scope] = kept, ends
            return kept

    def object_id(self, scope: str) -> str:
        """Return the caller's object id, which the token itself carries."""
        return str(self._claims(scope).get("oid", ""))

    def _claims(self, scope: str) -> dict[str, Any]:
        payload = self.token(scope).split(".")[1]
        claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims

    def _new_token(self, scope: str) -> dict[str, Any]:
        url = f"{self.authority}/{self.tenant_id}/oauth2/v2.0/token"
        if proof := self._proof(url):
            form = {"grant_type": "client_credentials", "client_id": self.client_id, "scope": scope} | proof
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            reply = self.rest.send("POST", url, body=urlencode(form).encode(), headers=headers)
            return _token_reply(reply.status, reply.json, "the authority")
        if self.settings.flag("use_msi", "ARM_USE_MSI"):
            return self._from_managed_identity(scope)
        raise Failed(
            "No credential is configured",
            "The stand-in provider takes a client secret, a client certificate, an OIDC token or a managed identity; "
            "it does not ask the Azure command line.",
        )

    def _proof(self, token_url: str) -> dict[str, str]:
        """Prove the client's identity with what is configured, in the order in which the real providers look."""
        text = self.settings.text
        if secret := self.settings.text_or_file("client_secret", "ARM_CLIENT_SECRET"):
            return {"client_secret": secret}
        if text("client_certificate", "ARM_CLIENT_CERTIFICATE") or text(
            "client_certificate_path", "ARM_CLIENT_CERTIFICATE_PATH"
        ):
            # Imported here: cryptography costs a start more than everything else together.
            from runner.sandbox.provider.assertion import signed_assertion

            assertion = signed_assertion(text, client_id=self.client_id, audience=token_url)
        elif self.settings.flag("use_oidc", "ARM_USE_OIDC"):
            assertion = self._federated_token()
        else:
            return {}
        return {
            "client_assertion": assertion,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }

    def _federated_token(self) -> str:
        if token := self.settings.text("oidc_token", "ARM_OIDC_TOKEN"):
            return token
        return _content(self.settings.text("oidc_token_file_path", "ARM_OIDC_TOKEN_FILE_PATH"), "oidc_token_file_path")

    def _from_managed_identity(self, scope: str) -> dict[str, Any]:
        machine = self.machine(self.settings)
        if not is_loopback(where(machine.endpoint)[1] or ""):
            raise Failed(
                "The stand-in provider refuses this address",
                f"{machine.variable} is {machine.endpoint!r}, which is not on loopback.",
            )
        query = {"api-version": machine.version, "resource": scope.removesuffix("/.default")}
        if self.client_id:
            query["client_id"] = self.client_id
        reply = self.rest.send(
            "GET", f"{machine.endpoint}?{urlencode(query)}", headers=machine.headers, plain_loopback=True
        )
        return _token_reply(reply.status, reply.json, "the managed identity endpoint")


def _token_reply(status: int, body: Any, who: str) -> dict[str, Any]:
    """Return the reply that holds a token. What an authority answers to a wrong secret may quote it, so only its code is shown."""
    if status == 200 and isinstance(body, dict) and "access_token" in body:
        return body
    code = body.get("error", "no error code") if isinstance(body, dict) else "no JSON body"
    raise Failed("No token", f"Asking {who} for a token failed: status {status}, {code}.")


def environment_of_process() -> Mapping[str, str]:
    """Return the variables the engine handed to this provider."""
    return dict(os.environ)
