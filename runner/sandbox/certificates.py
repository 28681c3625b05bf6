"""The sandbox's own certificate authority, its server certificate, and the key that signs its tokens.

Made once per directory and kept there: files with keys are readable by their owner only. Knows nothing of what the
server does with them.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_VALID = timedelta(days=3650)
SERVER_VALID = timedelta(
    days=820
)  # Apple's verifier, which Go uses on macOS, refuses server certificates above 825 days
RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True)
class Certificates:
    """Where the files are, and the key that signs tokens."""

    ca_file: Path
    server_file: Path
    server_key_file: Path
    signing_key: rsa.RSAPrivateKey


def ensure(directory: Path, *, names: Sequence[str], now: datetime) -> Certificates:
    """Return the directory's certificates; make what is missing, runs out soon, or lacks one of `names`."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = Certificates(
        ca_file=directory / "ca.pem",
        server_file=directory / "server.pem",
        server_key_file=directory / "server.key",
        signing_key=_signing_key(directory / "signing.key"),
    )
    if not _serves(files, names=names, now=now):
        _make(files, names=names, now=now)
    return files


def _signing_key(path: Path) -> rsa.RSAPrivateKey:
    if path.is_file():
        # the check of an RSA key takes longer than all else here, and nobody but the owner can have written the file
        key = load_pem_private_key(path.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, rsa.RSAPrivateKey):
            return key
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_key(path, made)
    return made


def _serves(files: Certificates, *, names: Sequence[str], now: datetime) -> bool:
    """Whether what lies in the directory still does: issued by this authority, for these names, not about to run out."""
    if not all(path.is_file() for path in (files.ca_file, files.server_file, files.server_key_file)):
        return False
    try:
        authority = x509.load_pem_x509_certificate(files.ca_file.read_bytes())
        server = x509.load_pem_x509_certificate(files.server_file.read_bytes())
        server.verify_directly_issued_by(authority)
        alternatives = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return set(alternatives) == set(_alternatives(names)) and server.not_valid_after_utc > now + RENEW_BEFORE


def _make(files: Certificates, *, names: Sequence[str], now: datetime) -> None:
    """Make an authority and one server certificate. The authority's key is forgotten: nobody else can be vouched for."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Landing zone sandbox authority")])
    authority = (
        x509.CertificateBuilder(subject, subject, ca_key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        x509.CertificateBuilder(
            subject,
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Landing zone sandbox")]),
            server_key.public_key(),
            x509.random_serial_number(),
        )
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + SERVER_VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(key_cert_sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(server_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(files.server_key_file, server_key)
    files.ca_file.write_bytes(authority.public_bytes(Encoding.PEM))
    files.server_file.write_bytes(server.public_bytes(Encoding.PEM))


def _usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    return [_alternative(name) for name in names]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    """Write the key into a file that was never readable by anybody else."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
