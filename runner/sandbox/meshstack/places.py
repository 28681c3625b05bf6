"""The files of a meshStack sandbox: the runner's key and configuration, and `meshstack.json`, which says where everything is."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from runner.sandbox.meshstack.wire import Json

HANDLE = "meshstack.json"
CONFIG = "runner-config.yml"
PRIVATE_KEY = "runner-private.pem"


def runner_key(directory: Path) -> rsa.RSAPublicKey:
    """The public half of the runner's key, which is made where there is none."""
    path = directory / PRIVATE_KEY
    if path.is_file():
        # the check of an RSA key takes longer than all else here, and nobody but the owner can have written the file
        key = load_pem_private_key(path.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.public_key()
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made.public_key()


def write_config(directory: Path, *, runner: str, url: str, client_id: str, client_secret: str) -> None:
    """What a runner reads to work for this meshStack."""
    config = {
        "runnerUuid": runner,
        "api": {"url": url, "clientId": client_id, "clientSecret": client_secret},
        "privateKeyFile": str(directory / PRIVATE_KEY),
    }
    _write(directory / CONFIG, yaml.safe_dump(config, sort_keys=False).encode())


def write_handle(directory: Path, handle: Json) -> None:
    """Say where the sandbox is, all of it or nothing; no secret is in it."""
    _write(directory / HANDLE, (json.dumps(handle, indent=2) + "\n").encode())


def remove_handle(directory: Path, handle: Json) -> None:
    """Take it away, unless another sandbox has written its own there since."""
    if read_handle(directory) == handle:
        (directory / HANDLE).unlink()


def read_handle(directory: Path) -> Json | None:
    """What a sandbox on this directory said, whether it still runs or not."""
    try:
        found = json.loads((directory / HANDLE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def running_handle(directory: Path) -> Json | None:
    """What a sandbox that runs on this directory said; None where none answers."""
    handle = read_handle(directory)
    if handle is None:
        return None
    address = urlsplit(str(handle.get("url")))
    try:
        os.kill(int(handle["pid"]), 0)
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=1):
            return handle
    except PermissionError:  # the process lives, under another user
        return handle
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: bytes) -> None:
    """A file that was never readable by anybody else, and is never seen half written."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)
