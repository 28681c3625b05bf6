"""A client certificate with its key: read as PEM or PKCS#12, handed on as azure-identity and as the engine's providers want it.

The key stays in memory. Knows the file formats and nothing of who asks for a token with them.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from runner.domain.document import SecretReference
from runner.errors import InputError


@dataclass(frozen=True)
class ClientCertificate:
    """An RSA key, its certificate, and the rest of the chain."""

    key: RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()

    def pem(self) -> bytes:
        """Key, certificate and chain, not encrypted: for azure-identity in this process only."""
        parts = [self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())]
        parts += [found.public_bytes(Encoding.PEM) for found in (self.certificate, *self.chain)]
        return b"".join(parts)

    def pkcs12(self, password: str) -> str:
        """The base64 of a PKCS#12 bundle in the old encryption.

        azapi reads it with azidentity.ParseCertificates, which understands no bundle with a SHA-256 MAC; the bundle only
        travels from this process into the engine's environment, beside its password.
        """
        encryption = (
            PrivateFormat.PKCS12.encryption_builder()
            .kdf_rounds(2048)
            .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
            .hmac_hash(hashes.SHA1())  # noqa: S303 - see above
            .build(password.encode())
        )
        bundle = pkcs12.serialize_key_and_certificates(
            b"landing-zone-runner", self.key, self.certificate, self.chain or None, encryption
        )
        return base64.b64encode(bundle).decode("ascii")


def content(reference: SecretReference, value: str | None) -> bytes:
    """The certificate's bytes: of the file as they are, of a variable as PEM text or as base64 of PKCS#12."""
    if reference.file is not None:
        try:
            return Path(reference.file).read_bytes()
        except OSError as error:
            raise _unreadable(f"{reference.file} cannot be read: {error.strerror}.") from None
    text = (value or "").strip()
    if "-----BEGIN" in text:
        return text.encode()
    try:
        return base64.b64decode(text, validate=False)
    except binascii.Error:
        raise _unreadable(f"The variable {reference.env} holds neither PEM nor base64.") from None


def read(data: bytes, password: str | None) -> ClientCertificate:
    """Read PEM or PKCS#12; an `InputError` says what is wrong without showing any of it."""
    secret = password.encode() if password else None
    try:
        key, certificates = _read_pem(data, secret) if b"-----BEGIN" in data else _read_pkcs12(data, secret)
    except (ValueError, TypeError):  # a wrong password, a damaged file, or a password for a key that has none
        raise _unreadable("It is neither PEM nor PKCS#12, or its password is another.") from None
    if not isinstance(key, RSAPrivateKey):
        raise _unreadable("It holds no RSA private key, and Entra accepts no other.")
    own = [found for found in certificates if _public(found.public_key()) == _public(key.public_key())]
    if not own:
        raise _unreadable("It holds no certificate that belongs to its private key.")
    return ClientCertificate(key, own[0], tuple(found for found in certificates if found not in own))


def _read_pem(data: bytes, password: bytes | None) -> tuple[object, list[x509.Certificate]]:
    return load_pem_private_key(data, password), x509.load_pem_x509_certificates(data)


def _read_pkcs12(data: bytes, password: bytes | None) -> tuple[object, list[x509.Certificate]]:
    key, certificate, more = pkcs12.load_key_and_certificates(data, password)
    return key, [found for found in (certificate, *more) if found is not None]


def _public(key: object) -> bytes:
    public_bytes = getattr(key, "public_bytes", None)
    return public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if public_bytes else b""


def _unreadable(detail: str) -> InputError:
    return InputError(
        "The client certificate cannot be used",
        code="certificate-unusable",
        detail=detail,
        hint="Give a PEM or PKCS#12 file that holds the certificate and its RSA private key, and its password if it has one.",
    )
