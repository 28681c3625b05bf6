"""A client assertion: a token that proves possession of a client certificate. Imported only where a certificate is configured."""

from __future__ import annotations

import json
import time
import uuid
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from runner.sandbox.provider.contract import Failed

_LIFETIME = 600  # seconds


def signed_assertion(setting: Callable[..., str], *, client_id: str, audience: str) -> str:
    """Sign an assertion for `audience` with the configured PKCS#12 file (or its base64 text), as the real providers do."""
    text = setting("client_certificate", "ARM_CLIENT_CERTIFICATE")
    password = setting("client_certificate_password", "ARM_CLIENT_CERTIFICATE_PASSWORD")
    try:
        content = (
            b64decode(text)
            if text
            else Path(setting("client_certificate_path", "ARM_CLIENT_CERTIFICATE_PATH")).read_bytes()
        )
        key, certificate, _ = pkcs12.load_key_and_certificates(content, password.encode() if password else None)
    except (OSError, ValueError) as error:
        raise Failed(
            "The client certificate cannot be read", "It is no PKCS#12 file, or its password is another."
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey) or certificate is None:
        raise Failed("The client certificate cannot be used", "It must hold a certificate and its RSA key.")
    header = {"alg": "RS256", "typ": "JWT", "x5t": _encoded(certificate.fingerprint(hashes.SHA1()))}  # noqa: S303 - the name's meaning
    now = int(time.time())
    claims = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now,
        "exp": now + _LIFETIME,
    }
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{signed}.{_encoded(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
