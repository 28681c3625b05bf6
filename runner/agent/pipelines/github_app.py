"""Signing in to GitHub as an App: a JWT with its key, its installation on the repository, and an access token for that.

Source: docs.github.com, Authenticating as a GitHub App installation.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from runner.agent.contract import GithubWorkflow
from runner.agent.pem import rsa_key
from runner.agent.pipelines.addresses import segment
from runner.agent.pipelines.service import Service
from runner.errors import InputError, RemoteFailed

_FRESH = timedelta(minutes=50)  # a token lives for an hour
_KEY = "Check the App's id and private key in the integration, and the clock of this machine."
_INSTALL = "Install the GitHub App on the repository, and check owner and repository in the building block definition."
_PERMIT = "Give the GitHub App the permission Actions: read and write, and accept it for the installation."


@dataclass(frozen=True)
class Session:
    """GitHub with an access token. `actor` is who the App's runs are by, empty where GitHub does not say."""

    anonymous: Service
    wanted: GithubWorkflow
    service: Service
    actor: str
    since: datetime

    def renewed(self) -> Session:
        """This session, or a new one before its token ends."""
        return self if self.anonymous.way.now() - self.since < _FRESH else sign_in(self.anonymous, self.wanted)


def sign_in(anonymous: Service, wanted: GithubWorkflow) -> Session:
    """A session for the repository; InputError or RemoteFailed saying what is wrong with the App."""
    now = anonymous.way.now()
    token = jwt(wanted.app_id, wanted.app_pem, now)
    as_app = _with_token(anonymous, token)
    owner, repository = segment(wanted.owner, "owner"), segment(wanted.repository, "repository")
    found = as_app.ask(f"/repos/{owner}/{repository}/installation", hints={401: _KEY, 404: _INSTALL})
    if not isinstance(found.get("id"), int | str):
        raise as_app.unexpected("The installation of the App has no id.")
    path = f"/app/installations/{segment(str(found['id']), 'installation')}/access_tokens"
    granted = as_app.ask(path, method="POST", hints={401: _KEY, 403: _INSTALL})
    access, permissions = granted.get("token"), granted.get("permissions")
    if not (isinstance(access, str) and access.isascii() and access.isprintable() and access):
        raise as_app.unexpected("The installation's access token is missing.")
    if isinstance(permissions, dict) and permissions.get("actions") != "write":
        raise RemoteFailed(
            "The credential may not do this",
            code="pipeline-forbidden",
            detail=f"The GitHub App may {permissions.get('actions') or 'not use'} Actions of {wanted.owner}/{wanted.repository}; "
            "it has to write.",
            hint=_PERMIT,
        )
    slug = found.get("app_slug")
    return Session(anonymous, wanted, _with_token(as_app, access), f"{slug}[bot]" if slug else "", now)


def jwt(app_id: str, pem: str, now: datetime) -> str:
    """The App's token for five minutes, begun a little before now for clocks that are behind."""
    seconds = int(now.timestamp())
    header = {"alg": "RS256", "typ": "JWT"}
    claims = {"iat": seconds - 10, "exp": seconds + 300, "iss": app_id}
    signed = b".".join(_url64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return (signed + b"." + _url64(_key(pem).sign(signed, PKCS1v15(), SHA256()))).decode()


def _key(pem: str) -> RSAPrivateKey:
    key = rsa_key(pem)
    if key is None:
        raise InputError(
            "The GitHub App's private key cannot be used",
            code="github-key-unusable",
            detail="appPem is no RSA private key in PEM (PKCS#1 or PKCS#8, without a passphrase).",
            hint="Make a private key for the App in GitHub, and give the whole file in the integration.",
        )
    return key


def _with_token(service: Service, token: str) -> Service:
    headers = {**service.headers, "Authorization": f"Bearer {token}"}
    return replace(service, headers=headers, secrets=service.secrets | {token})


def _url64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
