"""RSA private keys in the forms in which people keep them."""

from __future__ import annotations

import re
import textwrap

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----(.+?)-----END \1-----", re.DOTALL)


def rsa_key(pem: str) -> RSAPrivateKey | None:
    """The key in PKCS#1 or PKCS#8, also where its lines were joined (with blanks, with nothing, or with `\\n` written out); None where it
    is none, or has a passphrase."""
    found = _PEM.search(pem.replace("\\n", "\n"))
    if found is None:
        return None
    body = "\n".join(textwrap.wrap("".join(found[2].split()), 64))
    try:
        key = load_pem_private_key(f"-----BEGIN {found[1]}-----\n{body}\n-----END {found[1]}-----\n".encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None
