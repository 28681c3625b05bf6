"""Encryption at rest: which keys there are, and how content is bound to the row it belongs to.

AES-256-GCM with a random 96-bit nonce (safe for 2^32 seals per key, far more than a store makes between rotations). The associated
data names the kind of content and its owner (tenant, run, version), so an envelope that is moved to another row does not open.

Keys come from a file, made on first use, or from a variable's value. A key's id is derived from the key, so nothing else has to be
kept with it. Which key seals *now* is not decided here but by the store's own row: see `Database.seal`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from runner.errors import InputError, Refused, RemoteFailed
from runner.store.filelocks import locked

_MARK = b"lzr\x01"
_ID_BYTES = 8
_NONCE_BYTES = 12
_KEY_BYTES = 32
_PATIENCE = timedelta(seconds=10)
NEW_KEY = "openssl rand -base64 32"

Owner = Literal["store", "audit"]
"""Whose key it is."""


def key_id(key: bytes) -> str:
    """The key's public name: a hash of 256 random bits gives nothing of them away."""
    return hashlib.sha256(b"lzr key id\0" + key).hexdigest()[: 2 * _ID_BYTES]


def envelope_mark(key: str) -> bytes:
    """How every envelope that was sealed with this key begins."""
    return _MARK + bytes.fromhex(key)


class Keyring:
    """The keys that open this store, or bind its audit. Several during a rotation; all may open, the store says which one seals."""

    def __init__(self, keys: Mapping[str, bytes], *, path: Path | None = None, of: Owner = "store") -> None:
        self.path = path
        self.of: Owner = of
        self._keys = dict(keys)
        self._reading = Lock()

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @classmethod
    def from_file(cls, path: Path, *, of: Owner = "store") -> Keyring:
        """The keys in this file, one per line; the file need not exist before a new store asks for its first key. `of` is what errors
        speak of."""
        return cls(_read(path, of) if path.exists() else {}, path=path, of=of)

    @classmethod
    def from_value(cls, value: SecretStr, *, of: Owner = "store") -> Keyring:
        """The keys in this value, base64, parted by commas or spaces; during a rotation the new one first."""
        return cls(_parsed(value.get_secret_value(), f"the value that holds the {of}'s key", of), of=of)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def first(self) -> str:
        """Id of the key that a new store is sealed with; makes one where a file has none yet."""
        if not self._keys and self.path is not None:
            _expect_folder(self.path, self.of)
            with _held(self.path):
                if not self.path.exists():
                    _write(self.path, [secrets.token_bytes(_KEY_BYTES)])
                self._keys = _read(self.path, self.of)
        if not self._keys:
            raise _does_not_open("", (), self.of)
        return self.ids[0]

    def holds(self, key: str) -> bool:
        """Whether it opens what was sealed with this key; looks into the file again, for another process may have rotated."""
        if key not in self._keys and self.path is not None and self.path.exists():
            with self._reading:
                self._keys = _read(self.path, self.of) | self._keys
        return key in self._keys

    def require(self, key: str) -> None:
        """Refused when the key that the store is sealed with is not among these."""
        if not self.holds(key):
            if self.path is not None:
                _expect_folder(self.path, self.of)
            raise _does_not_open(key, self.ids, self.of)

    def mac(self, content: bytes, *, key: str) -> str:
        """HMAC-SHA256 of the content, in hex."""
        self.require(key)
        return hmac.digest(self._keys[key], content, "sha256").hex()

    def seal(self, content: bytes, *, key: str, kind: str, owner: tuple[str | int, ...]) -> bytes:
        """An envelope that opens only as this kind and for this owner."""
        self.require(key)
        mark = envelope_mark(key)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return mark + nonce + AESGCM(self._keys[key]).encrypt(nonce, content, _binding(mark, kind, owner))

    def open(self, envelope: bytes, *, kind: str, owner: tuple[str | int, ...]) -> bytes:
        """The content; Refused when the key is missing, or the envelope was changed or belongs elsewhere."""
        mark, rest = envelope[: len(_MARK) + _ID_BYTES], envelope[len(_MARK) + _ID_BYTES :]
        if mark[: len(_MARK)] != _MARK:
            raise _altered(kind, owner)
        key = mark[len(_MARK) :].hex()
        self.require(key)
        try:
            return AESGCM(self._keys[key]).decrypt(
                rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _binding(mark, kind, owner)
            )
        except (InvalidTag, ValueError):
            raise _altered(kind, owner) from None

    @contextmanager
    def rotating(self) -> Iterator[None]:
        """One rotation at a time per key file; Refused while another goes on."""
        if self.path is None:
            yield
            return
        with _locked_beside(self.path, ".rotation") as free:
            if not free:
                raise Refused(
                    "The key is being rotated already",
                    code="store-rotation-under-way",
                    detail=f"Another process rotates the key in {self.path}.",
                    hint="Wait for it to end.",
                )
            yield

    def add(self) -> str:
        """Make a new key in the file, beside those that are there, and return its id."""
        path = self._file()
        with _held(path):
            key = secrets.token_bytes(_KEY_BYTES)
            _write(path, [*_read(path, self.of).values(), key])
            self._keys = _read(path, self.of)
        return key_id(key)

    def keep_only(self, key: str) -> Path | None:
        """Forget every other key; in the file as well. They go into a file beside it, which is returned: older backups need them."""
        path = self._file()
        with _held(path):
            others = _read(path, self.of)
            kept = others.pop(key, None)
            if kept is None:
                raise _does_not_open(key, tuple(others), self.of)
            before = _beside(path, f".before-{key}") if others else None
            if before is not None:
                _write(before, list(others.values()))
            _write(path, [kept])
            self._keys = {key: kept}
        return before

    def _file(self) -> Path:
        if self.path is None:
            raise ValueError("the keys do not come from a file")
        return self.path


def _binding(mark: bytes, kind: str, owner: tuple[str | int, ...]) -> bytes:
    return mark + json.dumps([kind, *owner]).encode()


def _parsed(text: str, where: str, of: Owner) -> dict[str, bytes]:
    keys = {}
    for word in text.replace(",", " ").split():
        try:
            key = base64.b64decode(word.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            raise InputError(
                f"The {of}'s key is malformed",
                code=f"{of}-key-malformed",
                detail=f"In {where} there is something that is not 32 bytes in base64.",
                hint=f"Make a key for a new store with: {NEW_KEY}",
            )
        keys[key_id(key)] = key
    return keys


def _read(path: Path, of: Owner) -> dict[str, bytes]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise Refused(
                f"Others may read the {of}'s key",
                code=f"{of}-key-too-open",
                detail=f"{path} has mode {mode:04o}; it must be readable by its owner alone.",
                hint=f"chmod 600 {path}",
            )
        return _parsed(path.read_text(encoding="ascii", errors="replace"), str(path), of)
    except OSError as error:
        raise RemoteFailed(
            f"The {of}'s key cannot be read",
            code=f"{of}-key-unreadable",
            detail=f"{path}: {error.strerror}.",
            hint="Check the file and who owns it.",
        ) from error


def _write(path: Path, keys: list[bytes]) -> None:
    """Replace the file in one step: whoever reads it, or finds it after a crash, sees the old keys or the new ones."""
    fresh = _beside(path, ".new")
    try:
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.writelines(base64.b64encode(key) + b"\n" for key in keys)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> RemoteFailed:
    """What to say when the file system refuses."""
    return RemoteFailed(
        "The store cannot be written",
        code="store-cannot-write",
        detail=f"{path}: {error.strerror}. What was there before is whole.",
        hint="Make room on the disk, check who owns the files, then try again.",
    )


def sync_directory(directory: Path) -> None:
    """Make renames in it outlast a power failure."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with _locked_beside(path, ".lock", patience=_PATIENCE) as held:
        if not held:
            raise RemoteFailed(
                "The store is busy",
                code="store-busy",
                detail=f"Another process keeps the lock of {path}.",
                hint="Try again.",
                temporary=True,
            )
        yield


@contextmanager
def _locked_beside(path: Path, suffix: str, *, patience: timedelta = timedelta()) -> Iterator[bool]:
    with ExitStack() as stack:
        try:
            held = stack.enter_context(locked(_beside(path, suffix), patience=patience))
        except OSError as error:
            raise cannot_write(path, error) from error
        yield held


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _expect_folder(path: Path, of: Owner) -> None:
    """The folder of the default key file is made with the store; another one is the setting's business."""
    named = f"LZR_{of.upper()}_KEY_FILE"
    if not path.parent.is_dir():
        raise InputError(
            f"The folder of the {of}'s key is not there",
            code=f"{of}-key-no-folder",
            detail=f"{named} is {path}, and {path.parent} is no folder.",
            hint=f"Correct {named}, mount the folder, or make it for yourself alone: "
            f"mkdir -p -m 700 {shlex.quote(str(path.parent))}",
        )


def _does_not_open(key: str, held: tuple[str, ...], of: Owner) -> Refused:
    if of == "audit":
        return Refused(
            "The audit's key is not there",
            code="audit-key-missing",
            detail=f"What is recorded is bound with the key {key}."
            if key
            else "LZR_AUDIT_KEY_FILE or LZR_AUDIT_KEY has none.",
            hint="Put the key file back. If it is lost, make a new key in its place, for its owner alone, with: "
            f"{NEW_KEY}. Everything goes on with it, and lzr audit verify tells what can be verified no more.",
        )
    given = f"the keys given are {', '.join(held)}" if held else "no key was given"
    needed = f"The store is sealed with key {key}" if key else "A store needs a key"
    return Refused(
        "The key does not open this store",
        code="store-key-does-not-open",
        detail=f"{needed}; {given}.",
        hint="Put the key file back, or give its content by the variable; no other key can open what is sealed. "
        "Rotating a key file leaves the old key beside it, in a file that ends in .before-….",
    )


def _altered(kind: str, owner: tuple[str | int, ...]) -> Refused:
    return Refused(
        "Sealed content does not belong here or was changed",
        code="sealed-content-altered",
        detail=f"The {kind} of {' / '.join(map(str, owner))} does not open as such.",
        hint="lzr store check",
    )
