"""Secrets as meshStack seals them for one runner: a fresh AES key under the runner's public RSA key, then the text under that.

Source: github meshcloud/building-block-runner, go-meshapi-client/crypto. SHA-1 inside OAEP is that format's choice.
"""

from __future__ import annotations

import base64
import json
import os
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1

_IV = 12


def sealed(text: str, key: rsa.RSAPublicKey) -> str:
    """The text for the holder of the private key alone; nothing stays nothing."""
    if not text:
        return ""
    secret, iv = os.urandom(16), os.urandom(_IV)
    wrapped = key.encrypt(secret, padding.OAEP(padding.MGF1(SHA1()), SHA1(), None))  # noqa: S303 - see above
    return base64.b64encode(
        wrapped + struct.pack(">i", _IV) + iv + AESGCM(secret).encrypt(iv, text.encode(), None)
    ).decode()


def sealed_value(value: Any, key: rsa.RSAPublicKey) -> str | None:
    """A value of any type; what is no text is sealed as its JSON."""
    if value is None:
        return None
    return sealed(value if isinstance(value, str) else json.dumps(value), key)
