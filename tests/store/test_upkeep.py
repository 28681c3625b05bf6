"""Backup, restore, check and key rotation."""

from __future__ import annotations

import base64
import io
import secrets
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, delete, event, insert, update

from runner.domain.run import Status
from runner.errors import InputError, Refused, RemoteFailed
from runner.store import archive, tables
from runner.store.archive import Manifest, back_up
from runner.store.opening import Store, open_store
from runner.store.sealing import Keyring
from runner.store.upkeep import check, rotate_key
from tests.store.making import HOUR, NOW, a_run, a_state, a_waiting_run, an_approved_run, audit_keys, opened

TENANT = "acme.shop.prod"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup.tar.gz"


def restored(backup: Path, to: Path, key: Path, *, force: bool = False) -> Manifest:
    return archive.restore(backup, to, Keyring.from_file(key), audit_keys(key), now=NOW + HOUR, force=force)


def filled(store: Store) -> None:
    store.runs.create(a_run())
    store.bundles.seal("r1", TENANT, b"plan")
    attempt = store.states.open_attempt(TENANT, "r1", now=NOW)
    for serial in (1, 2):
        store.states.write(attempt, a_state(serial), lock_id=None, now=NOW)


def a_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


class TestBackups:
    def test_a_store_comes_back_whole(self, file_store: Store, backup: Path, key: Path, tmp_path: Path) -> None:
        filled(file_store)
        with closing(sqlite3.connect(file_store.directory / "durable.db")) as other:  # type: ignore[operator]
            other.execute("CREATE TABLE steps AS SELECT 7 AS done")
            other.commit()
        manifest = back_up(file_store, backup, now=NOW)
        assert list(manifest.files) == ["durable.db", "store.db"]
        assert stat.S_IMODE(backup.stat().st_mode) == 0o600
        assert restored(backup, tmp_path / "new", key) == manifest
        with opened(tmp_path / "new", key) as store:
            assert store.runs.get("r1").status is Status.CANCELED
            assert store.runs.events("r1")[:1] == file_store.runs.events("r1")
            assert store.states.versions(TENANT) == file_store.states.versions(TENANT)
            assert store.states.current(TENANT) == file_store.states.current(TENANT)
            assert check(store).findings == ()
        with closing(sqlite3.connect(tmp_path / "new" / "durable.db")) as other:
            assert other.execute("SELECT done FROM steps").fetchall() == [(7,)]
        for file in (tmp_path / "new").rglob("*"):
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0

    def test_its_audit_comes_back_whole_and_tells_of_it(
        self, file_store: Store, backup: Path, key: Path, tmp_path: Path
    ) -> None:
        filled(file_store)
        archive.back_up(file_store, backup, now=NOW)
        kept = file_store.audit.head()
        file_store.audit.record("tried", by="anna", now=NOW)
        restored(backup, tmp_path / "other", key)
        with opened(tmp_path / "other", key) as store:
            assert list(store.audit.verify((kept,))) == []
            assert [one.what for one in store.audit.entries(after=kept.number)] == ["store-restored"]
            (wrong,) = store.audit.verify((file_store.audit.head(),))
            assert wrong.code == "another-chain"
            rotate_key(store)
            assert list(store.audit.verify()) == []

    def test_a_backup_holds_the_name_of_the_key_and_not_the_key(
        self, file_store: Store, backup: Path, key: Path
    ) -> None:
        filled(file_store)
        back_up(file_store, backup, now=NOW)
        content = b""
        with tarfile.open(backup) as tar:
            for entry in tar:
                file = tar.extractfile(entry)
                assert file is not None
                content += file.read()
        assert file_store.keyring.ids[0].encode() in content
        assert key.read_bytes().strip() not in content
        assert base64.b64decode(key.read_bytes()) not in content

    def test_a_backup_is_consistent_while_others_write(
        self, file_store: Store, backup: Path, key: Path, tmp_path: Path
    ) -> None:
        stop = Event()

        def write() -> None:
            attempt = file_store.states.open_attempt(TENANT, "r1", now=NOW)
            serial = 0
            while not stop.is_set():
                serial += 1
                file_store.states.write(attempt, a_state(serial), lock_id=None, now=NOW)

        writer = Thread(target=write)
        writer.start()
        try:
            for number in range(3):
                back_up(file_store, backup.with_suffix(f".{number}"), now=NOW)
        finally:
            stop.set()
            writer.join()
        for number in range(3):
            restored(backup.with_suffix(f".{number}"), tmp_path / f"new{number}", key)

    def test_nothing_is_overwritten_by_a_backup(self, file_store: Store, backup: Path) -> None:
        backup.write_text("precious")
        with pytest.raises(Refused) as refused:
            back_up(file_store, backup, now=NOW)
        assert refused.value.code == "backup-exists"
        assert backup.read_text() == "precious"

    def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left(
        self, file_store: Store, tmp_path: Path
    ) -> None:
        with pytest.raises(RemoteFailed) as failed:
            back_up(file_store, tmp_path / "no" / "backup", now=NOW)
        assert failed.value.code == "store-cannot-write"
        assert not list(tmp_path.glob(".backup-*"))

    def test_a_damaged_database_is_not_backed_up(self, file_store: Store, directory: Path, backup: Path) -> None:
        (directory / "durable.db").write_bytes(b"rubbish" * 1000)
        with pytest.raises(RemoteFailed) as failed:
            back_up(file_store, backup, now=NOW)
        assert failed.value.code == "store-damaged"
        assert not backup.exists()
        assert not list(backup.parent.glob(".backup-*"))

    def test_postgresql_is_backed_up_by_its_own_means(self, postgres_database: str, key: Path, backup: Path) -> None:
        with opened(postgres_database, key) as store, pytest.raises(Refused) as refused:
            back_up(store, backup, now=NOW)
        assert "pg_dump" in refused.value.hint


class TestRestoring:
    @pytest.fixture
    def made(self, file_store: Store, backup: Path) -> Path:
        """A backup of a store that is closed now."""
        filled(file_store)
        back_up(file_store, backup, now=NOW)
        file_store.close()
        return backup

    def test_a_store_in_use_is_never_replaced(self, made: Path, directory: Path, key: Path) -> None:
        with opened(directory, key), pytest.raises(Refused) as refused:
            restored(made, directory, key, force=True)
        assert refused.value.code == "store-in-use"

    def test_a_store_is_replaced_by_force_only(self, made: Path, directory: Path, key: Path) -> None:
        with opened(directory, key) as store:
            store.states.take_in(TENANT, a_state(9), by="anna", now=NOW)
        with pytest.raises(Refused) as refused:
            restored(made, directory, key)
        assert refused.value.code == "store-not-empty"
        restored(made, directory, key, force=True)
        with opened(directory, key) as store:
            assert store.states.versions(TENANT)[0].serial == 2

    def test_a_backup_under_another_key_is_refused_before_anything_is_touched(
        self, made: Path, directory: Path, key: Path, tmp_path: Path
    ) -> None:
        before = (directory / "store.db").read_bytes()
        other = tmp_path / "other-key"
        Keyring.from_file(other).first()
        for wrong in (other, tmp_path / "lost-key"):
            with pytest.raises(Refused) as refused:
                restored(made, directory, wrong, force=True)
            assert refused.value.code == "store-key-does-not-open"
        assert (directory / "store.db").read_bytes() == before
        assert not list(directory.glob(".restore-*"))

    def test_nothing_of_the_past_decides_any_more(
        self, file_store: Store, backup: Path, key: Path, tmp_path: Path
    ) -> None:
        a_waiting_run(file_store, "waiting", tenant="t1")
        an_approved_run(file_store, "approved", tenant="t2")
        an_approved_run(file_store, "applying", tenant="t3")
        file_store.runs.move("applying", Status.APPLYING, now=NOW)
        for name in ("pending", "planning"):
            file_store.runs.create(a_run(name, tenant=name))
        file_store.runs.move("planning", Status.PLANNING, now=NOW)
        attempt = file_store.states.open_attempt("t3", "applying", now=NOW)
        file_store.states.lock(attempt, {"ID": "l1"}, now=NOW)
        back_up(file_store, backup, now=NOW)
        restored(backup, tmp_path / "new", key)
        with opened(tmp_path / "new", key) as store:
            assert {run.id: run.status.value for run in store.runs.find()} == {
                "pending": "canceled",
                "planning": "failed",
                "waiting": "expired",
                "approved": "expired",
                "applying": "interrupted",
            }
            assert store.runs.approvals("approved") == ()
            ended = store.runs.get("waiting")
            assert ended.updated == NOW + HOUR
            assert ended.failure is not None
            assert ended.failure.code == "store-restored"
            assert store.states.authenticate(attempt.username, attempt.password) is None
            assert store.states.holder("t3") is None

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda content: b"",
            lambda content: b"rubbish",
            lambda content: content[: len(content) // 2],
            lambda content: content[: len(content) * 3 // 4],
            lambda content: content[:500] + bytes(byte ^ 0xFF for byte in content[500:-500]) + content[-500:],
        ],
    )
    def test_what_is_no_whole_backup_is_refused(
        self, made: Path, directory: Path, key: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]
    ) -> None:
        spoiled = tmp_path / "spoiled"
        spoiled.write_bytes(spoil(made.read_bytes()))
        with pytest.raises(InputError) as error:
            restored(spoiled, tmp_path / "new", key)
        assert error.value.code == "backup-not-readable"
        assert not list((tmp_path / "new").glob("*.db"))
        with pytest.raises(InputError):
            restored(tmp_path / "missing", tmp_path / "new", key)

    @pytest.mark.parametrize(
        "name", ["../evil.db", "/tmp/evil.db", "sub/evil.db", "key", "in-use", ".hidden.db", "evil.db-wal"]
    )
    def test_no_file_gets_anywhere_but_into_its_place(self, made: Path, key: Path, tmp_path: Path, name: str) -> None:
        """Whether the manifest names it or not."""
        manifest, contents = unpacked(made)
        evil = b"evil"
        for number, files in enumerate((manifest.files, manifest.files | {name: manifest.files["store.db"]})):
            hostile, to = tmp_path / f"hostile{number}", tmp_path / f"new{number}"
            packed(hostile, manifest.model_copy(update={"files": files}), contents | {name: evil})
            if number == 0:
                restored(hostile, to, key)
            else:
                with pytest.raises(InputError):
                    restored(hostile, to, key)
            assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.read_bytes() == evil]

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
    def test_links_and_other_things_are_no_files(self, made: Path, key: Path, tmp_path: Path, kind: bytes) -> None:
        manifest, _ = unpacked(made)
        hostile = tmp_path / "hostile"
        with tarfile.open(hostile, "w:gz") as tar:
            add(tar, "manifest.json", manifest.model_dump_json().encode())
            link = tarfile.TarInfo("store.db")
            link.type, link.linkname = kind, str(key)
            tar.addfile(link)
        with pytest.raises(InputError):
            restored(hostile, tmp_path / "new", key)
        assert not list((tmp_path / "new").glob("*.db"))

    def test_a_file_that_comes_twice_or_larger_than_announced_is_refused(
        self, made: Path, key: Path, tmp_path: Path
    ) -> None:
        manifest, contents = unpacked(made)
        with tarfile.open(tmp_path / "twice", "w:gz") as tar:
            add(tar, "manifest.json", manifest.model_dump_json().encode())
            add(tar, "store.db", contents["store.db"])
            add(tar, "store.db", b"evil")
        packed(tmp_path / "larger", manifest, {"store.db": contents["store.db"] + b"x" * 5_000_000})
        for hostile in ("twice", "larger"):
            with pytest.raises(InputError):
                restored(tmp_path / hostile, tmp_path / "new", key)

    def test_a_newer_backup_is_refused(self, made: Path, key: Path, tmp_path: Path) -> None:
        manifest, contents = unpacked(made)
        newer = manifest.model_copy(update={"schema_version": tables.SCHEMA_VERSION + 1})
        packed(tmp_path / "newer", newer, contents)
        with pytest.raises(Refused) as refused:
            restored(tmp_path / "newer", tmp_path / "new", key)
        assert refused.value.code == "store-is-newer"

    def test_a_backup_of_a_store_that_is_not_sound_is_refused(
        self, directory: Path, key: Path, backup: Path, tmp_path: Path
    ) -> None:
        with opened(directory, key) as store:
            filled(store)
            with store.database.writing() as tx:
                tx.execute(update(tables.state_versions).values(sha256="0"))
            back_up(store, backup, now=NOW)
        with pytest.raises(Refused) as refused:
            restored(backup, tmp_path / "new", key)
        assert refused.value.code == "backup-not-sound"
        assert not list((tmp_path / "new").glob("*.db"))


def unpacked(backup: Path) -> tuple[Manifest, dict[str, bytes]]:
    with tarfile.open(backup) as tar:
        contents = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    return Manifest.model_validate_json(contents.pop("manifest.json")), contents


def packed(to: Path, manifest: Manifest, contents: dict[str, bytes]) -> None:
    with tarfile.open(to, "w:gz") as tar:
        add(tar, "manifest.json", manifest.model_dump_json().encode())
        for name, content in contents.items():
            add(tar, name, content)


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


class TestChecks:
    def test_a_sound_store_has_no_findings_and_its_rows_are_counted(self, store: Store) -> None:
        filled(store)
        checked = check(store)
        assert checked.findings == ()
        assert checked.counts["state_versions"] == 2
        assert checked.counts["bundles"] == 1

    def test_each_kind_of_damage_is_found(self, store: Store) -> None:
        filled(store)
        versions = tables.state_versions
        with store.database.writing() as tx:
            tx.execute(update(versions).where(versions.c.number == 1).values(sha256="0"))
            tx.execute(update(tables.bundles).values(sealed=b"rubbish"))
            tx.execute(delete(versions).where(versions.c.number == 2))
            tx.execute(insert(tables.tenants).values(tenant="u", fence=0, newest=3))
        codes = [finding.code for finding in check(store).findings]
        assert sorted(codes) == ["sealed-content-altered", "state-changed", "state-missing", "state-missing"]

    def test_damaged_files_and_broken_references_are_found(self, file_store: Store, directory: Path) -> None:
        filled(file_store)
        (directory / "durable.db").write_bytes(b"rubbish" * 1000)
        (directory / "durable.db").chmod(0o644)
        with closing(sqlite3.connect(directory / "store.db")) as other:
            other.execute("INSERT INTO reviews VALUES ('nobody', 'd', '{}')")
            other.commit()
        codes = {finding.code for finding in check(file_store).findings}
        assert codes == {"file-too-open", "file-damaged", "reference-broken"}


class TestRotation:
    def test_everything_is_sealed_again_and_the_old_key_given_up(self, store: Store, key: Path) -> None:
        filled(store)
        old = store.keyring.ids[0]
        before = key.read_bytes()
        rotation = rotate_key(store)
        assert (rotation.given_up, rotation.resealed) == ((old,), 3)
        assert rotation.key != old
        assert before.strip() not in key.read_bytes()
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert Keyring.from_file(key).ids == (rotation.key,)
        assert check(store).findings == ()
        assert store.bundles.open("r1", TENANT) == b"plan"

    def test_another_process_goes_on_with_the_new_key(self, where: str | Path, key: Path) -> None:
        with opened(where, key) as store, opened(where, key) as other:
            filled(store)
            for serial in (3, 4):
                rotate_key(store)
                other.states.take_in(TENANT, a_state(serial), by="anna", now=NOW)
                assert other.bundles.open("r1", TENANT) == b"plan"
            assert check(store).findings == ()
        with opened(where, key) as fresh:
            assert check(fresh).findings == ()

    def test_who_writes_meanwhile_is_not_left_with_a_key_that_was_given_up(self, where: str | Path, key: Path) -> None:
        stop, failures = Event(), []

        def write() -> None:
            try:
                with opened(where, key) as other:
                    attempt = other.states.open_attempt(TENANT, "r1", now=NOW)
                    serial = 0
                    while not stop.is_set():
                        serial += 1
                        other.states.write(attempt, a_state(serial), lock_id=None, now=NOW)
            except Exception as error:  # noqa: BLE001
                failures.append(error)

        with opened(where, key) as store:
            writers = [Thread(target=write)]
            for writer in writers:
                writer.start()
            for _ in range(5):
                rotate_key(store)
            stop.set()
            for writer in writers:
                writer.join()
        assert failures == []
        with opened(where, key) as fresh:
            assert check(fresh).findings == ()

    def test_a_rotation_ends_where_another_machine_began_one_with_a_key_of_its_own(
        self, where: str | Path, key: Path, tmp_path: Path
    ) -> None:
        old, first, second = a_key(), a_key(), a_key()
        with open_store(where, Keyring.from_value(SecretStr(f"{first} {old} {second}")), audit_keys(key)) as store:
            with store.database.writing() as tx:
                tx.execute(update(tables.store).values(key=store.keyring.ids[1]))
            filled(store)

            @event.listens_for(store.engine, "before_execute")
            def _(connection: Connection, statement: object, *_: object) -> None:
                if getattr(statement, "table", None) is tables.state_versions:
                    other = update(tables.store).values(key=store.keyring.ids[2])
                    connection.exec_driver_sql(str(other.compile(connection, compile_kwargs={"literal_binds": True})))

            with pytest.raises(Refused) as refused:
                rotate_key(store)
            assert refused.value.code == "store-rotation-under-way"
            assert check(store).findings == ()

    def test_keys_that_an_interrupted_rotation_left_are_given_up_by_the_next(
        self, file_store: Store, key: Path
    ) -> None:
        filled(file_store)
        file_store.keyring.add()
        file_store.keyring.add()
        rotation = rotate_key(file_store)
        assert len(rotation.given_up) == 3
        assert len(key.read_text().split()) == 1
        assert rotation.kept is not None
        assert Keyring.from_file(rotation.kept).ids == rotation.given_up

    def test_a_key_from_a_variable_is_rotated_by_putting_the_new_one_first(self, where: str | Path, key: Path) -> None:
        old, new = a_key(), a_key()
        with open_store(where, Keyring.from_value(SecretStr(old)), audit_keys(key)) as store:
            filled(store)
            with pytest.raises(Refused) as refused:
                rotate_key(store)
            assert refused.value.code == "store-rotation-needs-a-key"
        with open_store(where, Keyring.from_value(SecretStr(f"{new},{old}")), audit_keys(key)) as store:
            rotation = rotate_key(store)
            assert (rotation.resealed, rotation.key, rotation.kept) == (3, store.keyring.ids[0], None)
        with open_store(where, Keyring.from_value(SecretStr(new)), audit_keys(key)) as store:
            assert check(store).findings == ()
        with pytest.raises(Refused) as refused:
            open_store(where, Keyring.from_value(SecretStr(old)), audit_keys(key))
        assert refused.value.code == "store-key-does-not-open"

    def test_a_process_without_the_new_key_writes_nothing(self, where: str | Path, key: Path) -> None:
        old, new = a_key(), a_key()
        with open_store(where, Keyring.from_value(SecretStr(old)), audit_keys(key)) as late:
            with open_store(where, Keyring.from_value(SecretStr(f"{new} {old}")), audit_keys(key)) as store:
                rotate_key(store)
            with pytest.raises(Refused) as refused:
                late.states.take_in(TENANT, a_state(), by="anna", now=NOW)
            assert refused.value.code == "store-key-does-not-open"
            assert late.states.current(TENANT) is None
