"""Secrets as meshStack encrypts them for a runner, and how a run is opened with the runner's private key.

An envelope is base64 of: an AES-128 key under RSA-OAEP (SHA-1, no label), four bytes with the length of the nonce, the nonce, and
AES-GCM ciphertext with its tag (github meshcloud/building-block-runner, go-meshapi-client/crypto and block-runner-core
MeshCertDecryptionService).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1

from runner.agent.contract import SECRETS, BlockRun, read
from runner.agent.pem import rsa_key
from runner.errors import InputError

_OAEP = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 - the format's, and safe in OAEP
_TAG_BYTES = 16


def private_key(pem: str, *, where: str) -> RSAPrivateKey:
    """The runner's key; InputError naming `where` it came from, and nothing of it."""
    key = rsa_key(pem)
    if key is None:
        raise InputError(
            "The runner's private key cannot be used",
            code="runner-key-unusable",
            detail=f"{where} is no RSA private key in PEM (PKCS#1 or PKCS#8, without a passphrase).",
            hint="Give the private key whose public key was registered for this runner in meshStack.",
        )
    return key


def opened(value: str, key: RSAPrivateKey) -> str:
    """The plaintext of an envelope; an empty one stays empty. InputError when it was not made for this key, or was changed."""
    if not value:
        return ""
    size = key.key_size // 8
    try:
        content = base64.b64decode(value, validate=True)
        wrapped, rest = content[:size], content[size:]
        length = int.from_bytes(rest[:4], "big", signed=True)
        nonce, sealed = rest[4 : 4 + length], rest[4 + length :]
        if not 12 <= length < 16 or len(sealed) < _TAG_BYTES:
            raise ValueError
        return AESGCM(key.decrypt(wrapped, _OAEP)).decrypt(nonce, sealed, None).decode("utf-8")
    except (ValueError, binascii.Error, InvalidTag):
        raise InputError(
            "A secret cannot be decrypted",
            code="runner-key-does-not-match",
            detail="It was not encrypted for the key that this runner has.",
            hint="Check that the runner's public key in meshStack belongs to its private key. After a change of keys every secret has to "
            "be entered again: static inputs in a new version of the definition, inputs of users, and those of integrations.",
        ) from None


def open_run(content: bytes, key: RSAPrivateKey, hide: Callable[[str], None]) -> tuple[BlockRun, dict[str, Any]]:
    """The run with every secret decrypted, and its JSON likewise. `hide` is told each of them before anybody else sees it.

    Inputs of every type are opened: what was no string before it was encrypted is JSON (or, of one that was not encrypted
    after all, what it is).
    """
    document = json.loads(content)
    for one in document["spec"]["buildingBlock"]["spec"].get("inputs") or ():
        if one.get("isSensitive") and isinstance(one.get("value"), str):
            one["value"] = _typed(_explained(one["value"], key, f"the input {one.get('key')}"), str(one.get("type")))
            hide_all(one["value"], hide)
    implementation = document["spec"]["buildingBlockDefinition"]["spec"]["implementation"]
    for field in SECRETS.get(str(implementation.get("type")), ()):
        name = _camel(field)
        if isinstance(implementation.get(name), str):
            implementation[name] = _explained(implementation[name], key, f"the definition's {name}")
            hide_all(implementation[name], hide)
    password = _password(str(implementation.get("repositoryUrl") or ""))
    if password:
        hide_all(password, hide)
    return read(json.dumps(document).encode()), document


def _password(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""


def hide_all(value: Any, hide: Callable[[str], None]) -> None:
    """Tell a secret and its parts: a key's lines, what is in a list or an object."""
    match value:
        case str():
            hide(value)
            hide(value.strip())
            for line in value.splitlines() if "\n" in value else ():
                hide(line.strip())
        case dict():
            hide_all(list(value.values()), hide)
        case list():
            for part in value:
                hide_all(part, hide)
        case bool() | None:
            pass
        case _:
            hide(json.dumps(value))


def _explained(value: str, key: RSAPrivateKey, what: str) -> str:
    try:
        return opened(value, key)
    except InputError as error:
        raise InputError(error.summary, code=error.code, detail=f"Of {what}: {error.detail}", hint=error.hint) from None


def _typed(text: str, kind: str) -> Any:
    if kind in ("INTEGER", "BOOLEAN", "MULTI_SELECT", "LIST"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _camel(field: str) -> str:
    first, *others = field.split("_")
    return first + "".join(part.capitalize() for part in others)
