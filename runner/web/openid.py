"""Sign-in by OpenID Connect: where a browser is sent, and what it proves by coming back.

OpenID Connect Core 1.0, authorization code with PKCE (RFC 7636) and the issuer in the answer (RFC 9207).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx

from runner.domain.actor import SignedIn
from runner.domain.document import SecretReference
from runner.domain.server_config import SignIn
from runner.errors import Refused, RemoteFailed
from runner.web.issuers import Issuers

_ENTRA_OVERAGE = "_claim_names"  # stands for groups when there are more than 200
_ERROR = re.compile(r"[a-z_]{1,60}")
_LARGEST = 1024 * 1024


@dataclass(frozen=True)
class OpenId:
    """Signing in at one issuer. `secret` finds what the configuration refers to."""

    sign_in: SignIn
    redirect_uri: str
    issuers: Issuers
    client: httpx.Client
    secret: Callable[[SecretReference], str]

    def begin(self) -> tuple[str, dict[str, str]]:
        """Where the browser goes, and what it has to bring along when it comes back (state, nonce, verifier), which is for it alone."""
        metadata = self.issuers.metadata(self.sign_in.issuer)
        kept = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        challenge = urlsafe_b64encode(hashlib.sha256(kept["verifier"].encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self.sign_in.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.sign_in.scopes),
            "state": kept["state"],
            "nonce": kept["nonce"],
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = str(metadata["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", kept

    def end(self, answer: Mapping[str, str], kept: Mapping[str, str]) -> tuple[SignedIn, bool]:
        """Who signed in, and whether the issuer left their groups out because there are too many. Refused where the answer is another
        browser's, another sign-in's or another issuer's, or where the issuer let nobody in."""
        if not compare_digest(answer.get("state", "").encode(), kept["state"].encode()):
            raise refused("This browser did not begin this sign-in, or began another one since.")
        metadata = self.issuers.metadata(self.sign_in.issuer)
        names_itself = metadata.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", "" if names_itself else self.sign_in.issuer) != self.sign_in.issuer:
            raise refused("The answer is from another issuer.")
        if "error" in answer or not answer.get("code"):
            error = answer.get("error", "")
            raise refused(f"The issuer let nobody in{f' ({error})' if _ERROR.fullmatch(error) else ''}.")
        token = self._exchange(metadata, answer["code"], kept["verifier"])
        claims = self.issuers.claims(token, issuer=self.sign_in.issuer, audience=self.sign_in.client_id)
        if not compare_digest(str(claims.get("nonce") or "").encode(), kept["nonce"].encode()):
            raise refused("The answer belongs to another sign-in.")
        if claims.get("azp", self.sign_in.client_id) != self.sign_in.client_id:
            raise refused("The answer is meant for another application.")
        return signed_in(claims, self.sign_in), self.sign_in.groups_claim in (claims.get(_ENTRA_OVERAGE) or {})

    def _exchange(self, metadata: Mapping[str, Any], code: str, verifier: str) -> str:
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.sign_in.client_id,
            "code_verifier": verifier,
        }
        authorization = None
        if self.sign_in.client_secret is not None:
            secret = self.secret(self.sign_in.client_secret)
            if "client_secret_post" in (metadata.get("token_endpoint_auth_methods_supported") or ()):
                given["client_secret"] = secret
            else:  # what OpenID Connect Discovery has for an issuer that says nothing; encoded as in RFC 6749, 2.3.1
                authorization = httpx.BasicAuth(quote_plus(self.sign_in.client_id), quote_plus(secret))
        try:
            answer = self.client.post(
                str(metadata["token_endpoint"]), data=given, auth=authorization or httpx.USE_CLIENT_DEFAULT
            )
            found = answer.json() if len(answer.content) <= _LARGEST else None
        except (httpx.HTTPError, ValueError, RecursionError) as error:
            raise RemoteFailed(
                "The issuer does not answer",
                code="issuer-unusable",
                detail=f"{self.sign_in.issuer}: its token endpoint gives nothing to read ({type(error).__name__}).",
                hint="Sign in again.",
                temporary=True,
            ) from None
        token = found.get("id_token") if answer.status_code == 200 and isinstance(found, dict) else None
        if isinstance(token, str):
            return token
        if isinstance(found, dict) and found.get("error") == "invalid_client":
            raise RemoteFailed(
                "The issuer does not know this server",
                code="issuer-unusable",
                detail=f"{self.sign_in.issuer} takes neither the clientId nor the secret of signIn, or not together.",
                hint="Whoever keeps the server's configuration renews the registration's secret.",
            )
        raise refused("The issuer does not take its own answer, which may have been used or be too old.")


def signed_in(claims: Mapping[str, Any], sign_in: SignIn) -> SignedIn:
    """Who these claims are about. In Entra `sub` is another one for each application, and `oid` the one that people find."""
    subject = str(claims["sub"])
    named = (claims.get(name) for name in ("name", "preferred_username", "email"))
    return SignedIn(
        id=f"oidc:{sign_in.issuer}#{subject}",
        name=next((one for one in named if isinstance(one, str) and one), subject)[:200],
        issuer=sign_in.issuer,
        subjects=tuple(dict.fromkeys((subject, *_texts(claims.get("oid"))))),
        groups=_texts(claims.get(sign_in.groups_claim)),
        roles=_texts(claims.get("roles")),
    )


def refused(detail: str) -> Refused:
    """The refusal of a sign-in, which may be tried again."""
    return Refused("Not signed in", code="not-signed-in", detail=detail, hint="Sign in again.")


def _texts(claim: Any) -> tuple[str, ...]:
    if isinstance(claim, str):
        return (claim,)
    return tuple(one for one in claim if isinstance(one, str)) if isinstance(claim, list) else ()
