"""Application registrations as Graph shows them: what they sign in with and when it ends, never a secret; and Entra roles they hold."""

from __future__ import annotations

import base64
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from runner.sandbox.azure.directory import Application
from runner.sandbox.azure.grow import NAMESPACE
from runner.sandbox.azure.visit import Visit, not_found, selecting
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, stamp

READ = (
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Application.ReadWrite.OwnedBy",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
)
ROLES_READ = (
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
)
GROUPS_ADMINISTRATOR = "fdd7a751-b60b-444a-984c-02652fe8fa1c"
STARTED = "2024-01-01T00:00:00Z"


def answer(visit: Visit, call: Call, rest: tuple[str, ...]) -> Answer:
    """Answer one GET about registrations, by object id."""
    visit.require(READ)
    held = {_object_id(app): app for app in visit.directory.applications.values()}
    match rest:
        case ():
            return visit.collection(call, [_shown(app) for app in held.values()])
        case (object_id,) if object_id.lower() in held:
            return Answer(200, selecting(call, ())(_shown(held[object_id.lower()])))
        case _:
            raise not_found(rest[0])


def one(visit: Visit, call: Call, app: Application) -> Answer:
    """Answer one GET about a registration by its client id."""
    visit.require(READ)
    return Answer(200, selecting(call, ())(_shown(app)))


def role_assignments(visit: Visit, call: Call) -> Answer:
    """Who is Groups Administrator in which administrative unit: the only Entra role that the sandbox knows."""
    visit.require(ROLES_READ)
    if "$filter" not in call.query:
        raise Rejection(400, "Request_BadRequest", "The filter on principalId or roleDefinitionId is required.")
    return visit.collection(
        call,
        [
            {
                "id": _derived(app.object_id, unit_id),
                "principalId": app.object_id,
                "roleDefinitionId": GROUPS_ADMINISTRATOR,
                "directoryScopeId": f"/administrativeUnits/{unit_id}",
            }
            for app in visit.directory.applications.values()
            for unit_id in app.administers
        ],
    )


def _object_id(app: Application) -> str:
    return _derived("application", app.client_id)


def _shown(app: Application) -> Json:
    return {
        "id": _object_id(app),
        "appId": app.client_id,
        "displayName": app.name,
        "identifierUris": list(app.identifier_uris),
        "signInAudience": "AzureADMultipleOrgs",
        "api": {"requestedAccessTokenVersion": app.token_version},
        "passwordCredentials": [
            {
                "keyId": _derived(app.client_id, str(number)),
                "displayName": "secret",
                "hint": secret.value[:3],
                "startDateTime": STARTED,
                "endDateTime": stamp(secret.ends),
                "secretText": None,
                "customKeyIdentifier": None,
            }
            for number, secret in enumerate(app.secrets)
        ],
        "keyCredentials": [_key(certificate) for certificate in app.certificates],
    }


def _key(certificate: str) -> Json:
    found = x509.load_pem_x509_certificate(certificate.encode())
    thumbprint = found.fingerprint(hashes.SHA1())  # noqa: S303 - how Entra names certificates
    return {
        "keyId": _derived("certificate", thumbprint.hex()),
        "customKeyIdentifier": base64.b64encode(thumbprint).decode(),
        "displayName": found.subject.rfc4514_string(),
        "startDateTime": stamp(found.not_valid_before_utc),
        "endDateTime": stamp(found.not_valid_after_utc),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": None,
    }


def _derived(*parts: str) -> str:
    return str(uuid.uuid5(NAMESPACE, "|".join(parts)))
