"""Backup and restore of a store in a directory: one archive of consistent copies. It holds the id of the key, never the key.

A backup is taken while the store is in use. The databases are copied one after the other, `store.db` last: a workflow engine's
memory that is a little older than the runs only makes it repeat a step, and every step bears that.

A restored store is older than the world. So nothing of its past goes on: credentials are closed, locks are free, and every run
that had not ended ends, for what it was about to do may have been done since.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import delete, select, update

from runner.domain.run import Failure, Status
from runner.errors import InputError, Refused
from runner.store.database import explained
from runner.store.filelocks import locked
from runner.store.opening import DATABASE, IN_USE, RESTORING, Store, open_store, prepare_directory
from runner.store.sealing import Keyring, cannot_write, sync_directory
from runner.store.tables import SCHEMA_VERSION, attempts, state_locks, store
from runner.store.upkeep import check

_MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.db")
_UNPACKED = ".restore-"
_RESTORED = Failure(
    family="refused",
    code="store-restored",
    summary="The store was restored from a backup",
    detail="The run had not ended when the backup was made.",
    hint="Plan again.",
)
_ENDS = {
    Status.PENDING: Status.CANCELED,
    Status.PLANNING: Status.FAILED,
    Status.WAITING: Status.EXPIRED,
    Status.APPROVED: Status.EXPIRED,
    Status.APPLYING: Status.INTERRUPTED,
}
_CHUNK = 1 << 20
_MANIFEST_LIMIT = 1 << 20
# FileExistsError: an entry comes twice
_UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValidationError, FileExistsError)


class ArchivedFile(BaseModel):
    """What a file in the archive must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class Manifest(BaseModel):
    """The first entry of an archive: what the rest is, and the id of the key that opens it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    created: datetime
    schema_version: int
    key: str
    files: dict[str, ArchivedFile]


def back_up(opened: Store, to: Path, *, now: datetime) -> Manifest:
    """Write a consistent archive of all databases of the store's directory, mode 0600; Refused on PostgreSQL."""
    if opened.directory is None:
        raise Refused(
            "This store is backed up by its database server",
            code="store-backup-elsewhere",
            detail="It is on PostgreSQL.",
            hint="pg_dump --format=custom, and keep a copy of the key apart from it",
        )
    if to.exists():
        raise Refused(
            "The backup is there already", code="backup-exists", detail=f"{to} exists.", hint="Give a new name."
        )
    with opened.database.reading() as tx:
        row = tx.execute(select(store)).one()
    try:
        with explained(), TemporaryDirectory(dir=to.parent, prefix=".backup-") as place:
            files = {source.name: _copied(source, Path(place)) for source in _databases(opened.directory)}
            manifest = Manifest(created=now, schema_version=row.schema_version, key=row.key, files=files)
            _pack(manifest, Path(place), to)
    except OSError as error:
        raise cannot_write(to, error) from error
    return manifest


def restore(
    archive: Path, directory: Path, keyring: Keyring, audit_keyring: Keyring, *, now: datetime, force: bool = False
) -> Manifest:
    """Put the archive's databases into the directory. Refused when the store there is open, or is not empty without `force`;
    nothing is touched before the archive was unpacked, opened with the key and checked."""
    prepare_directory(directory)
    with locked(directory / IN_USE) as free:
        if not free:
            raise Refused(
                "The store is in use",
                code="store-in-use",
                detail=f"Another process has {directory} open.",
                hint="Stop every lzr process that uses it.",
            )
        if _databases(directory) and not force and not (directory / RESTORING).exists():
            raise Refused(
                "There is a store already",
                code="store-not-empty",
                detail=f"{directory} holds {', '.join(file.name for file in _databases(directory))}.",
                hint="Give an empty directory, or --force to replace what is there.",
            )
        try:
            for left_by_a_kill in directory.glob(f"{_UNPACKED}*"):
                shutil.rmtree(left_by_a_kill)
            with explained(), TemporaryDirectory(dir=directory, prefix=_UNPACKED) as place:
                manifest = _unpack(archive, Path(place), keyring)
                _age(Path(place), keyring, audit_keyring, now=now)
                _swap(Path(place), directory, manifest)
        except OSError as error:
            raise cannot_write(directory, error) from error
    return manifest


def _databases(directory: Path) -> list[Path]:
    """Every database in the directory, the store's own last."""
    found = [file for file in directory.glob("*.db") if _NAME.fullmatch(file.name)]
    return sorted(found, key=lambda file: (file.name == DATABASE, file.name))


def _copied(source: Path, place: Path) -> ArchivedFile:
    copy = place / source.name
    live_address = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(live_address, uri=True)) as live, closing(sqlite3.connect(copy)) as target:
        live.backup(target)
    _into_one_file(copy)
    with copy.open("rb") as file:
        return ArchivedFile(size=copy.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _into_one_file(database: Path) -> None:
    """Leave nothing of it in a -wal file beside; whoever opens it next turns WAL on again."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _pack(manifest: Manifest, place: Path, to: Path) -> None:
    packed = place / "archive"
    (place / _MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
    handle = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
            for name in (_MANIFEST, *manifest.files):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode, entry.mtime = (place / name).stat().st_size, 0o600, manifest.created.timestamp()
                with (place / name).open("rb") as content:
                    tar.addfile(entry, content)
        file.flush()
        os.fsync(file.fileno())
    packed.replace(to)
    sync_directory(to.parent)


def _unpack(archive: Path, place: Path, keyring: Keyring) -> Manifest:
    """The files as the manifest says, and nothing else: no paths, no links, no more bytes than announced."""
    try:
        with _read_only(archive) as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
            entries = _regular(tar)
            name, content = next(entries, ("", None))
            if name != _MANIFEST or content is None:
                raise _not_a_backup(archive, "It has no manifest.")
            manifest = Manifest.model_validate_json(content.read(_MANIFEST_LIMIT))
            _refuse_unusable(manifest, archive, keyring)
            unpacked = {
                name: _written(content, place / name, manifest.files[name])
                for name, content in entries
                if name in manifest.files
            }
    except _UNREADABLE as error:
        raise _not_a_backup(archive, "It cannot be read to its end.") from error
    wrong = [name for name, expected in manifest.files.items() if unpacked.get(name) != expected.sha256]
    if wrong:
        raise _not_a_backup(archive, f"Missing or changed since the backup: {', '.join(wrong)}.")
    return manifest


def _read_only(archive: Path) -> IO[bytes]:
    try:
        return archive.open("rb")
    except OSError as error:
        raise _not_a_backup(archive, f"{error.strerror}.") from error


def _regular(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for entry in tar:
        content = tar.extractfile(entry) if entry.isreg() else None
        if content is not None:
            yield entry.name, content


def _refuse_unusable(manifest: Manifest, archive: Path, keyring: Keyring) -> None:
    if DATABASE not in manifest.files or not all(_NAME.fullmatch(name) for name in manifest.files):
        raise _not_a_backup(archive, "Its manifest names files that no store has.")
    if manifest.format != 1 or manifest.schema_version > SCHEMA_VERSION:
        raise Refused(
            "The backup is newer than this program",
            code="store-is-newer",
            detail=f"Format {manifest.format}, schema version {manifest.schema_version}.",
            hint="Restore it with the program that made it.",
        )
    keyring.require(manifest.key)


def _written(content: IO[bytes], to: Path, expected: ArchivedFile) -> str:
    digest, size = hashlib.sha256(), 0
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        while (chunk := content.read(_CHUNK)) and size <= expected.size:
            size += len(chunk)
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest() if size == expected.size else ""


def _age(place: Path, keyring: Keyring, audit_keyring: Keyring, *, now: datetime) -> None:
    """End what must not go on from the past, and make sure that the store is sound."""
    with open_store(place, keyring, audit_keyring) as restored:
        findings = check(restored).findings
        if findings:
            raise Refused(
                "The backup is not sound",
                code="backup-not-sound",
                detail=" ".join(finding.text for finding in findings[:5]),
                hint="Use another backup.",
            )
        with restored.database.writing() as tx:
            tx.execute(update(attempts).values(closed=True))
            tx.execute(delete(state_locks))
            restored.audit.enter(tx, "store-restored", by="", now=now)
        for run in restored.runs.find(statuses=tuple(_ENDS), limit=1_000_000):
            restored.runs.move(run.id, _ENDS[run.status], now=now, failure=_RESTORED)
    for database in _databases(place):
        _into_one_file(database)


def _swap(place: Path, directory: Path, manifest: Manifest) -> None:
    with _marked(directory):
        for old in _databases(directory):
            for name in (old.name, f"{old.name}-wal", f"{old.name}-shm"):
                (directory / name).unlink(missing_ok=True)
        for name in manifest.files:
            (place / name).replace(directory / name)
        sync_directory(directory)


@contextmanager
def _marked(directory: Path) -> Iterator[None]:
    """Killed in here, the directory holds files of two stores; nobody opens it before a restore went through."""
    marker = directory / RESTORING
    marker.touch(mode=0o600)
    sync_directory(directory)
    yield
    marker.unlink()
    sync_directory(directory)


def _not_a_backup(archive: Path, detail: str) -> InputError:
    return InputError("This is no backup of a store", code="backup-not-readable", detail=f"{archive}: {detail}")
