"""How the engine finds the stand-ins: an unpacked filesystem mirror whose executables start this package.

The addresses are the real ones, of Terraform's registry and of OpenTofu's; the versions belong to no real release. A lock file made
with the mirror therefore never fits the real providers, and says so by its version.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from runner.errors import InputError

VERSIONS = {"azapi": "2.99.0", "azuread": "3.99.0"}
_NAMESPACES = {"azapi": "azure", "azuread": "hashicorp"}
_REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")
_LIBRARIES = ("google.protobuf", "grpc", "jmespath", "msgpack")
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_CERTIFICATE = "server.pem"


def is_stand_in(source: str, version: str) -> bool:
    """Say whether a provider in a lock file or plan (`registry.terraform.io/azure/azapi`, `2.99.0`) is a stand-in."""
    *_, namespace, name = source.split("/")
    return _NAMESPACES.get(name) == namespace and VERSIONS.get(name) == version


def install(directory: Path, *, python: Path | None = None) -> Path:
    """Make `directory` a mirror of the stand-ins and return it. Repeating it, also in several processes at once, changes nothing.

    The providers run on `python`, by default the interpreter that calls, and on the libraries that it finds.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    certificate = directory / _CERTIFICATE
    if not certificate.exists():
        _write(certificate, _new_certificate(), mode=0o600)
    interpreter = python or Path(sys.executable)
    search_path = _search_path() if python is None else _search_path_of(python)
    for name, version in VERSIONS.items():
        script = _script(interpreter, search_path, name, certificate)
        for registry in _REGISTRIES:
            package = directory / registry / _NAMESPACES[name] / name / version / _platform()
            package.mkdir(parents=True, exist_ok=True)
            executable = package / f"terraform-provider-{name}_v{version}"
            if not executable.exists() or executable.read_bytes() != script:
                _write(executable, script, mode=0o755)
    return directory


def _platform() -> str:
    system, machine = platform.system().lower(), platform.machine().lower()
    if system not in ("linux", "darwin") or machine not in _ARCHITECTURES:
        raise InputError(
            "The sandbox does not run on this machine",
            code="sandbox-platform",
            detail=f"The stand-in providers know Linux and macOS on x86-64 and ARM64, not {system} on {machine}.",
        )
    return f"{system}_{_ARCHITECTURES[machine]}"


def _script(python: Path, search_path: list[str], name: str, certificate: Path) -> bytes:
    """Write the program that starts a provider.

    A shell line replaces the usual `#!` of an interpreter, whose path may be too long or hold a space. `-I -S` keep the user's
    environment and the site hooks of a virtual environment out, which is both safer and 5 ms faster.
    """
    code = (
        f"import sys; sys.path[:0] = {search_path!r}; "
        f"from runner.sandbox.provider.start import main; main({name!r}, {str(certificate)!r})"
    )
    return f"#!/bin/sh\nexec {shlex.quote(str(python))} -I -S -c {shlex.quote(code)}\n".encode()


def _search_path() -> list[str]:
    """List the folders that hold this package and the libraries it needs, whether from a checkout or from an installed wheel."""
    return list(dict.fromkeys([str(Path(__file__).resolve().parents[3]), *map(_folder_of, _LIBRARIES)]))


def _folder_of(library: str) -> str:
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        raise InputError(
            "The sandbox's libraries are not installed",
            code="sandbox-libraries",
            detail=f"The stand-in providers need {library}.",
            hint="pip install 'landing-zone-runner[sandbox]'",
        )
    return str(Path(found.origin).resolve().parents[library.count(".") + 1])


def _search_path_of(python: Path) -> list[str]:
    """Ask another interpreter for its folders."""
    code = "from runner.sandbox.provider.mirror import _search_path; print('\\n'.join(_search_path()))"
    root = str(Path(__file__).resolve().parents[3])
    done = subprocess.run(
        [str(python), "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise InputError(
            "The interpreter cannot run the stand-in providers",
            code="sandbox-interpreter",
            detail=f"{python} does not find this package's libraries.",
            hint=f"{python} -m pip install 'landing-zone-runner[sandbox]'",
        )
    return done.stdout.split("\n")[:-1]


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Put a file in place so that a reader sees all of it or none."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(partial).chmod(mode)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _new_certificate() -> bytes:
    """Make the key and self-signed certificate that every start of a provider uses; making one costs more than a start does.

    The engine trusts exactly the certificate that the handshake hands it, over a socket that nobody else can reach.
    """
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "data_encipherment", "crl_sign", "encipher_only", "decipher_only"), False
    ) | dict.fromkeys(("digital_signature", "key_encipherment", "key_agreement", "key_cert_sign"), True)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
