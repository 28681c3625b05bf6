"""How an application proves to Entra who it is: a secret, a certificate's assertion, a federated assertion.

Never says more about a wrong proof than Entra does, and keeps nothing of what it was shown.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt
from cryptography import x509

from runner.sandbox.azure.directory import Application
from runner.sandbox.azure.wire import Call, Rejection

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def prove(app: Application, form: Mapping[str, str], call: Call, *, now: datetime) -> None:
    """Let the application in, or raise what Entra answers."""
    if form.get("client_assertion"):
        if form.get("client_assertion_type") != JWT_BEARER:
            raise Rejection(
                400,
                "invalid_request",
                "The value of 'client_assertion_type' must be the jwt-bearer type.",
                more={"number": 900144},
            )
        _prove_by_assertion(app, form["client_assertion"], call, now=now)
    elif form.get("client_secret"):
        given = form["client_secret"].encode()
        found = [secret for secret in app.secrets if hmac.compare_digest(given, secret.value.encode())]
        if found and all(secret.ends <= now for secret in found):
            raise Rejection(
                401,
                "invalid_client",
                f"The provided client secret keys for app '{app.client_id}' are expired.",
                more={"number": 7000222},
            )
        if not found:
            raise Rejection(
                401,
                "invalid_client",
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the "
                f"client secret ID, for a secret added to app '{app.client_id}'.",
                more={"number": 7000215},
            )
    else:
        raise Rejection(
            401,
            "invalid_client",
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            more={"number": 7000218},
        )


def _prove_by_assertion(app: Application, assertion: str, call: Call, *, now: datetime) -> None:
    """A certificate's assertion is signed by a registered certificate; a federated one names a registered issuer and subject.

    Only the issuer tells them apart: a certificate's is the application itself, while the header of either may name a
    certificate (GitHub's and Entra's tokens carry `x5t`). The signature of a federated assertion is not checked: its
    issuer is not part of the sandbox.
    """
    try:
        header = jwt.get_unverified_header(assertion)
        claims = jwt.decode(assertion, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise Rejection(401, "invalid_client", "Client assertion is not a valid JWT.", more={"number": 50027}) from None
    if isinstance(claims.get("exp"), int | float) and claims["exp"] < now.timestamp():
        raise Rejection(
            401, "invalid_client", "Client assertion is not within its valid time range.", more={"number": 700024}
        )
    if str(claims.get("iss", "")).lower() == app.client_id.lower():
        if not any(_signed_by(assertion, header, certificate) for certificate in app.certificates) or not _meant_for(
            claims, call
        ):
            raise Rejection(
                401,
                "invalid_client",
                "Client assertion failed signature validation: the certificate with the given thumbprint is not registered on the "
                "application.",
                more={"number": 700027},
            )
        return
    if not any(_federates(claims, found.issuer, found.subject, found.audience) for found in app.federated):
        raise Rejection(
            401,
            "invalid_client",
            f"No matching federated identity record found for presented assertion subject '{claims.get('sub', '')}'.",
            more={"number": 700213},
        )


def _signed_by(assertion: str, header: Mapping[str, Any], certificate: str) -> bool:
    key: Any = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    try:
        jwt.decode(
            assertion,
            key,
            algorithms=[alg for alg in ("RS256", "PS256") if alg == header.get("alg")],
            options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        return False
    return True


def _meant_for(claims: Mapping[str, Any], call: Call) -> bool:
    """Whether the assertion was made for this authority, not carried over from another."""
    return str(claims.get("aud", "")).startswith(f"{call.origin}/")


def _federates(claims: Mapping[str, Any], issuer: str, subject: str, audience: str) -> bool:
    audiences = claims.get("aud")
    return (
        claims.get("iss") == issuer
        and claims.get("sub") == subject
        and audience in (audiences if isinstance(audiences, list) else [audiences])
    )
