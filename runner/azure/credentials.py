"""Who the runner is in one Entra tenant, and how it gets tokens: azure-identity for each way to sign in, against any authority.

Tokens live in this process only: no persistent cache, and the library's own retries are off so that waiting is one thing, done by
`http.Patience`. What went wrong is decided by exception types, HTTP status and the numbers in `error_codes`
(https://learn.microsoft.com/entra/identity-platform/reference-error-codes), never by the text of a message; the text of a token
answer is not repeated, because whatever answered there has seen the secret.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from runner.azure import certificate
from runner.domain.document import (
    AzureCli,
    Certificate,
    ClientCredential,
    ManagedIdentity,
    SecretReference,
    ServicePrincipal,
    WorkloadIdentity,
)
from runner.domain.platform import CLOUDS, Cloud
from runner.errors import InputError, RemoteFailed
from runner.imports import put_off
from runner.network.way_out import Network

if TYPE_CHECKING:  # azure.identity costs 0.2 s and 18 MB: it is imported with the first token
    from azure.core.credentials import AccessToken, TokenCredential

Secret = Callable[[SecretReference], str]

RENEW_BEFORE = 300  # seconds; azure-identity itself begins to renew at that age
TEMPORARY = frozenset({90006, 90012, 90024, 90033, 90055, 50196})  # Entra is busy, or asks to slow down
HINTS = {
    7000215: "The client secret is wrong: store the secret's value, not its id.",
    7000222: "The client secret has expired: make a new one and store it.",
    700016: "The application is not known in this Entra tenant: check clientId, or let an administrator consent to it there.",
    700027: "Entra does not know the certificate: upload its public part to the application.",
    700024: "The federated token has expired: check that the platform around the runner renews the token file, and the clock.",
    70021: "No federated credential of the application fits the token's issuer, subject and audience.",
    700211: "No federated credential of the application fits the token's issuer.",
    700212: "No federated credential of the application fits the token's audience.",
    700213: "No federated credential of the application fits the token's subject.",
    7000112: "The application is disabled in this Entra tenant: an administrator can enable it.",
    90002: "There is no such Entra tenant: check entraTenant.",
    500011: "The service that the token is for is not known in this Entra tenant: check the scope.",
    501051: "Assign the application a role of the enterprise application that the token is for.",
    53003: "A Conditional Access policy blocks the identity.",
    65001: "An administrator of the Entra tenant has to consent to the application's permissions.",
}


class TokenFailed(RemoteFailed):
    """No token. `retry_after` is how many seconds the token service asks to wait."""

    retry_after: float | None = None


@dataclass(frozen=True)
class _Answer:
    """What the token service said last, as far as it may be shown."""

    status: int
    error: str = ""
    numbers: tuple[int, ...] = ()
    trace: str = ""
    retry_after: float | None = None


class Credential:
    """A TokenCredential of azure-identity with errors that say who could not sign in where; safe to share between threads."""

    def __init__(self, make: Callable[[Callable[[Any], None]], TokenCredential], *, who: str, kind: str) -> None:
        self._make = make
        self._who = who
        self._kind = kind
        self._made: TokenCredential | None = None
        self._last: _Answer | None = None
        self._tokens: dict[str, AccessToken] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Credential({self._who})"

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for one scope that is good for another five minutes at least; TokenFailed when there is none."""
        (scope,) = scopes
        with self._lock:
            token = self._tokens.get(scope)
            if token is None or token.expires_on - time.time() < RENEW_BEFORE:
                token = self._tokens[scope] = self._fetch(scope)
            return token

    def close(self) -> None:
        """Give up the connections to the token service; the next token is asked for on new ones."""
        close = getattr(self._made, "close", None)
        self._made = None
        if close is not None:
            close()

    def _fetch(self, scope: str) -> AccessToken:
        from azure.core.exceptions import AzureError

        for library in ("azure.identity", "msal"):  # their warnings quote what the token service answered
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self._last = None
        try:
            if self._made is None:
                self._made = self._make(self._remember)
            return self._made.get_token(scope)
        except (AzureError, ValueError, OSError) as error:
            # MSAL would answer the next attempts itself for a minute, with the failure that it remembers
            self.close()
            raise self._failure(error) from None  # the cause may quote the token service

    def _remember(self, response: Any) -> None:
        """Called by azure-core with each answer of the token service."""
        answer = response.http_response
        failed = answer.status_code >= 400
        self._last = _read_answer(answer.status_code, answer.headers, answer.text()) if failed else None

    def _failure(self, error: Exception) -> TokenFailed:
        last = self._last
        if last is None:
            return self._no_answer(error)
        busy = last.status in (408, 429) or last.status >= 500 or not TEMPORARY.isdisjoint(last.numbers)
        if self._kind == "managedIdentity":  # 404 and 410: the endpoint is being set up or upgraded
            busy = busy or last.status in (404, 410)
        numbers = ", ".join(f"AADSTS{number}" for number in last.numbers)
        said = " ".join(part for part in (last.error, numbers, last.trace and f"(trace {last.trace})") if part)
        failure = TokenFailed(
            "The token service is busy" if busy else "The token service refuses the identity",
            code="token-unreachable" if busy else "token-refused",
            detail=f"{self._who}: HTTP {last.status}{': ' + said if said else ''}.",
            hint=_hint(last, busy=busy),
            temporary=busy,
            status=last.status,
        )
        failure.retry_after = last.retry_after
        return failure

    def _no_answer(self, error: Exception) -> TokenFailed:
        from azure.core.exceptions import ServiceRequestError, ServiceResponseError

        kinds = tuple(_causes(error))
        distrusted = any(isinstance(found, ssl.SSLCertVerificationError) for found in kinds)
        unreachable = any(isinstance(found, ServiceRequestError | ServiceResponseError) for found in kinds)
        hint = _NO_ANSWER.get(self._kind, "Check the authority's address: something else than Entra answered there.")
        if distrusted:
            hint = "The token service's certificate is not trusted: add its authority to the private CA bundle."
        elif unreachable:
            hint = "Check the network, the proxy and the authority's address."
        return TokenFailed(
            "The token service cannot be reached" if unreachable or distrusted else "The identity is not available",
            code="token-unreachable" if unreachable or distrusted else "token-refused",
            detail=f"{self._who}: {type(error).__name__}.",
            hint=hint,
            temporary=unreachable and not distrusted,
        )


_NO_ANSWER = {
    "managedIdentity": "Run on a machine that has a managed identity, or choose another auth.type.",
    "workloadIdentity": "Check that the token file exists and may be read.",
    "azureCli": "Sign in with `az login` in this Entra tenant.",
}


def credential(
    principal: ServicePrincipal, *, entra_tenant: str, cloud: Cloud, network: Network, secret: Secret
) -> Credential:
    """The identity's credential in one Entra tenant. Secrets are read, and azure-identity is loaded, with the first token."""

    def make(remember: Callable[[Any], None]) -> TokenCredential:
        options = _transport(network, cloud) | {"raw_response_hook": remember}
        return _azure_identity(principal, entra_tenant, cloud, options, secret)

    client = f"Application {principal.client_id}" if principal.client_id else f"Identity by {principal.auth.type}"
    return Credential(make, who=f"{client} in Entra tenant {entra_tenant}", kind=principal.auth.type)


def _azure_identity(
    principal: ServicePrincipal, tenant: str, cloud: Cloud, options: dict[str, Any], secret: Secret
) -> TokenCredential:
    with put_off("charset_normalizer"):  # requests would guess encodings with it
        import azure.identity as identity

    client_id = principal.client_id or ""
    entra = options | {"authority": cloud.authority, "disable_instance_discovery": not _well_known(cloud)}
    match principal.auth:
        case ClientCredential() as auth:
            return identity.ClientSecretCredential(tenant, client_id, secret(auth.credential), **entra)
        case Certificate() as auth:
            pem = client_certificate(auth, secret).pem()
            return identity.CertificateCredential(tenant, client_id, certificate_data=pem, **entra)
        case WorkloadIdentity() as auth:
            entra.pop("disable_instance_discovery")  # it makes no discovery, and would pass the option on to requests
            file = Path(token_file(auth))
            # WorkloadIdentityCredential would go on with what it read for ten minutes; a pipeline's token lives five
            return identity.ClientAssertionCredential(
                tenant, client_id, lambda: file.read_text(encoding="utf-8").strip(), **entra
            )
        case ManagedIdentity():
            # link-local: never through a proxy, and with the library's own short time limit
            direct = {name: value for name, value in options.items() if name not in ("proxies", "connection_timeout")}
            return identity.ManagedIdentityCredential(client_id=principal.client_id, **direct)
        case AzureCli():
            return identity.AzureCliCredential(tenant_id=tenant, process_timeout=30)


def client_certificate(auth: Certificate, secret: Secret) -> certificate.ClientCertificate:
    """The certificate that the document refers to."""
    value = secret(auth.certificate) if auth.certificate.env is not None else None
    password = secret(auth.password) if auth.password is not None else None
    return certificate.read(certificate.content(auth.certificate, value), password)


def token_file(auth: WorkloadIdentity) -> str:
    """Where the federated token is; what the platform around the runner says when the document does not."""
    path = auth.token_file or os.environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    if not path:
        raise InputError(
            "No federated token",
            code="token-file-unknown",
            detail="auth.type workloadIdentity names no tokenFile, and AZURE_FEDERATED_TOKEN_FILE is not set.",
            hint="Set tokenFile, or run where workload identity is set up.",
        )
    return str(Path(path).absolute())  # the engine works in a directory of its own


def _transport(network: Network, cloud: Cloud) -> dict[str, Any]:
    """How azure-identity reaches the authority: options of azure-core's pipeline."""
    authority = urlsplit(cloud.authority)
    proxy = network.proxy_for(authority.hostname or "", authority.port or 443)
    return {
        "retry_total": 0,
        "use_env_settings": False,
        "connection_timeout": network.connect_timeout.total_seconds(),
        "read_timeout": network.read_timeout.total_seconds(),
        "connection_verify": str(network.ca_file) if network.ca_file else True,
        "proxies": {"https": proxy} if proxy else {},
    }


def _well_known(cloud: Cloud) -> bool:
    """Whether instance discovery knows the authority; for any other it would ask login.microsoftonline.com and be refused."""
    return cloud.authority.rstrip("/") in {known.authority for known in CLOUDS.values()}


def _read_answer(status: int, headers: Any, text: str) -> _Answer:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    fields = body if isinstance(body, dict) else {}
    error = fields.get("error")
    numbers = fields.get("error_codes")
    trace = fields.get("trace_id")
    waiting = headers.get("Retry-After", "")
    return _Answer(
        status=status,
        error=error if isinstance(error, str) and error.replace("_", "").isalpha() and len(error) < 60 else "",
        numbers=tuple(found for found in numbers if type(found) is int) if isinstance(numbers, list) else (),
        trace=trace if isinstance(trace, str) and len(trace) == 36 and trace.replace("-", "").isalnum() else "",
        retry_after=float(waiting) if waiting.isascii() and waiting.isdigit() else None,
    )


def _hint(last: _Answer, *, busy: bool) -> str:
    if busy:
        return "Try again later."
    for number in last.numbers:
        if number in HINTS:
            return HINTS[number]
    return "Check the application, its credential and its Entra tenant."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all it was made from; azure-core, requests and urllib3 keep some in attributes and arguments."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        hidden = [getattr(found, name, None) for name in ("inner_exception", "reason")]
        waiting += [found.__cause__, found.__context__, *hidden, *found.args]
