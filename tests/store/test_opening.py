"""Opening a store: its files, its schema, its key, and what is said when that fails."""

from __future__ import annotations

import base64
import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import event, insert, select, text, update

from runner.domain.actor import Grant, Role
from runner.domain.events import Kind
from runner.domain.run import Status
from runner.errors import InputError, Refused, RemoteFailed
from runner.ports import Documented
from runner.store import tables
from runner.store.opening import Store, open_store
from runner.store.sealing import Keyring
from tests.postgres import Postgres
from tests.store.making import NOW, a_run, a_state, an_approved_run, audit_keys, opened

CANARY = "canary-7c1d"


class TestFiles:
    def test_everything_in_the_directory_is_for_its_owner_alone(self, file_store: Store, directory: Path) -> None:
        file_store.runs.create(a_run())
        with file_store.liveness.hold("e1"):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            for file in directory.rglob("*"):
                assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file

    def test_a_database_that_others_could_read_is_closed_to_them(self, directory: Path, key: Path) -> None:
        opened(directory, key).close()
        (directory / "store.db").chmod(0o644)
        opened(directory, key).close()
        assert stat.S_IMODE((directory / "store.db").stat().st_mode) == 0o600

    def test_other_databases_in_the_directory_are_closed_to_others_too(self, directory: Path, key: Path) -> None:
        opened(directory, key).close()
        (directory / "durable.db").touch(mode=0o644)
        opened(directory, key).close()
        assert stat.S_IMODE((directory / "durable.db").stat().st_mode) == 0o600

    def test_a_directory_may_have_any_name(self, tmp_path: Path, key: Path) -> None:
        with opened(tmp_path / "a b?c=1#d%20é", key) as store:
            store.runs.create(a_run())
        assert (tmp_path / "a b?c=1#d%20é" / "store.db").exists()

    def test_a_directory_that_others_may_write_to_is_refused(self, directory: Path, key: Path) -> None:
        directory.mkdir()
        directory.chmod(0o777)
        with pytest.raises(Refused) as refused:
            opened(directory, key)
        assert refused.value.code == "store-directory-too-open"
        assert "chmod 700" in refused.value.hint

    def test_a_file_in_the_way_is_said(self, directory: Path, key: Path) -> None:
        directory.write_text("")
        with pytest.raises(RemoteFailed) as failed:
            opened(directory, key)
        assert failed.value.code == "store-cannot-write"

    def test_what_is_no_database_is_called_damaged(self, directory: Path, key: Path) -> None:
        directory.mkdir(mode=0o700)
        (directory / "store.db").write_bytes(b"not a database" * 1000)
        with pytest.raises(RemoteFailed) as failed:
            opened(directory, key)
        assert failed.value.code == "store-damaged"

    def test_a_store_is_opened_again_and_again(self, where: str | Path, key: Path) -> None:
        for _ in range(3):
            with opened(where, key) as store:
                store.states.take_in("t", a_state(), by="anna", now=NOW)
        with opened(where, key) as store:
            assert len(store.states.versions("t")) == 1

    def test_threads_that_open_at_once_get_along(self, where: str | Path, key: Path) -> None:
        with ThreadPoolExecutor(6) as pool:
            stores = list(pool.map(lambda _: opened(where, key), range(6)))
        assert len({store.keyring.ids for store in stores}) == 1
        for store in stores:
            store.close()


class TestSchema:
    def test_a_newer_store_is_refused(self, where: str | Path, key: Path) -> None:
        with opened(where, key) as store, store.database.writing() as tx:
            tx.execute(update(tables.store).values(schema_version=tables.SCHEMA_VERSION + 1))
        with pytest.raises(Refused) as refused:
            opened(where, key)
        assert refused.value.code == "store-is-newer"

    def test_a_store_from_before_the_first_release_is_refused_and_left_as_it_is(
        self, where: str | Path, key: Path
    ) -> None:
        with opened(where, key) as store, store.database.writing() as tx:
            tx.execute(update(tables.store).values(schema_version=1))
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                opened(where, key)
            assert refused.value.code == "store-of-no-release"

    def test_a_store_of_the_version_before_is_brought_up_to_date(self, where: str | Path, key: Path) -> None:
        with opened(where, key) as store:
            store.fleet.know([Documented(tenant="t", landing_zone="z", platform="p", workspace="w", digest="d")])
            an_approved_run(store, "r1", options={"apply": True})
            an_approved_run(store, "r2", tenant="other", options={"apply": False})
            with store.database.writing() as tx:
                tx.execute(text("DROP INDEX runs_to_apply"))
                tx.execute(text("ALTER TABLE runs DROP COLUMN apply"))
                tx.execute(text("ALTER TABLE tenants DROP COLUMN versions"))
                tx.execute(update(tables.store).values(schema_version=2))
        with opened(where, key) as store:
            assert store.fleet.versions("z", (Grant(role=Role.VIEWER),)) == {}
            assert store.fleet.of("t") is not None
            assert [run.id for run in store.runs.to_apply(limit=9)] == ["r1"]

    def test_the_database_itself_keeps_the_rules(self, store: Store) -> None:
        """Also against a program that forgets them."""
        from sqlalchemy.exc import IntegrityError

        store.runs.create(a_run("r1"))
        store.runs.move("r1", Status.PLANNING, now=NOW)
        wrong = [
            insert(tables.runs).values(**a_run("r2", status="applying").model_dump(), cancel_requested=False),
            insert(tables.runs).values(**a_run("r3", tenant="nobody").model_dump(), cancel_requested=False),
            update(tables.runs).values(status=text("'resting'")),
            insert(tables.events).values(run="r1", seq=1, at=NOW, kind=Kind.LOG, data={}),
            insert(tables.events).values(run="r9", seq=1, at=NOW, kind=Kind.LOG, data={}),
            insert(tables.bundles).values(run="r9", tenant="t", sealed=b""),
            insert(tables.store).values(id=2, schema_version=1, key=""),
        ]
        for statement in wrong:
            with pytest.raises(IntegrityError), store.database.writing() as tx:
                tx.execute(statement)

    def test_sqlite_keeps_what_it_acknowledged_through_a_power_failure(self, file_store: Store) -> None:
        with file_store.database.writing() as tx:
            assert tx.execute(text("PRAGMA synchronous")).scalar_one() == 2
            assert tx.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
            assert tx.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
        with file_store.database.writing(durable=False) as tx:
            assert tx.execute(text("PRAGMA synchronous")).scalar_one() == 1
        with file_store.database.writing() as tx:
            assert tx.execute(text("PRAGMA synchronous")).scalar_one() == 2


class TestKeys:
    def test_another_key_does_not_open_the_store(self, where: str | Path, key: Path) -> None:
        opened(where, key).close()
        wrong = Keyring.from_value(SecretStr(base64.b64encode(b"x" * 32).decode()))
        with pytest.raises(Refused) as refused:
            open_store(where, wrong, audit_keys(key))
        assert refused.value.code == "store-key-does-not-open"
        assert key.read_text().strip() not in f"{refused.value} {refused.value.hint}"

    def test_a_lost_key_file_is_not_replaced_by_a_new_key(self, where: str | Path, key: Path) -> None:
        opened(where, key).close()
        kept = key.read_bytes()
        key.unlink()
        with pytest.raises(Refused) as refused:
            opened(where, key)
        assert refused.value.code == "store-key-does-not-open"
        assert not key.exists()
        key.write_bytes(kept)
        key.chmod(0o600)
        opened(where, key).close()

    def test_nothing_secret_is_readable_in_the_database(
        self, where: str | Path, key: Path, request: pytest.FixtureRequest
    ) -> None:
        with opened(where, key) as store:
            store.runs.create(a_run("r1", "t"))
            store.bundles.seal("r1", "t", CANARY.encode())
            attempt = store.states.open_attempt("t", "r1", now=NOW)
            store.states.write(attempt, a_state(secret=CANARY), lock_id=None, now=NOW)
            for table in tables.metadata.sorted_tables:
                with store.database.reading() as tx:
                    kept = repr(tx.execute(select(table)).all())
                assert CANARY not in kept
                assert attempt.password not in kept
        if isinstance(where, Path):
            for file in where.rglob("*.db*"):
                assert CANARY.encode() not in file.read_bytes()
                assert attempt.password.encode() not in file.read_bytes()

    def test_a_blob_that_was_moved_to_another_row_does_not_open(self, store: Store) -> None:
        attempt = store.states.open_attempt("t", "r1", now=NOW)
        for serial in (1, 2):
            store.states.write(attempt, a_state(serial), lock_id=None, now=NOW)
        versions = tables.state_versions
        with store.database.writing() as tx:
            old = tx.execute(select(versions.c.sealed).where(versions.c.number == 1)).scalar_one()
            tx.execute(update(versions).where(versions.c.number == 2).values(sealed=old))
        with pytest.raises(Refused) as refused:
            store.states.current("t")
        assert refused.value.code == "sealed-content-altered"


class TestAddresses:
    def test_a_malformed_address_is_not_repeated(self, key: Path) -> None:
        with pytest.raises(InputError) as error:
            opened(f"postgresql://anna:{CANARY}@host:port/db", key)
        assert error.value.code == "store-address-malformed"
        assert CANARY not in f"{error.value} {error.value.hint}"

    @pytest.mark.parametrize("scheme", ["mysql", "sqlite", "http"])
    def test_an_address_of_something_else_is_an_input_error(self, key: Path, scheme: str) -> None:
        with pytest.raises(InputError) as error:
            opened(f"{scheme}://host/db", key)
        assert error.value.code == "store-address-malformed"

    def test_a_server_that_is_not_there_is_a_remote_failure_without_the_password(
        self, key: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(RemoteFailed) as failed:
            opened(f"postgresql://anna:{CANARY}@/db?host={tmp_path}", key)
        assert (failed.value.code, failed.value.temporary) == ("store-unreachable", True)
        assert CANARY not in f"{failed.value} {failed.value.__cause__}"

    def test_both_names_of_the_scheme_are_known(self, postgres_database: str, key: Path) -> None:
        opened(postgres_database.replace("postgresql://", "postgres://"), key).close()

    def test_a_server_that_restarts_is_used_again(self, postgres: Postgres, postgres_database: str, key: Path) -> None:
        with opened(postgres_database, key) as store:
            store.runs.create(a_run())
            postgres.stop()
            try:
                with pytest.raises(RemoteFailed) as failed:
                    store.runs.get("r1")
                assert (failed.value.code, failed.value.temporary) == ("store-unreachable", True)
            finally:
                postgres.start()
            assert store.runs.get("r1").id == "r1"

    def test_a_moment_comes_back_in_utc_whatever_the_server_thinks(
        self, postgres: Postgres, postgres_database: str, key: Path
    ) -> None:
        with opened(postgres_database, key) as store:
            store.runs.create(a_run())
        postgres.run("ALTER DATABASE test SET timezone TO 'Asia/Kathmandu'")
        try:
            with opened(postgres_database, key) as store:
                assert store.runs.get("r1").created.isoformat() == NOW.isoformat()
        finally:
            postgres.run("ALTER DATABASE test RESET timezone")


class TestTrouble:
    def test_a_full_database_says_so_and_keeps_what_it_has(self, file_store: Store) -> None:
        attempt = file_store.states.open_attempt("t", "r1", now=NOW)
        file_store.states.write(attempt, a_state(1), lock_id=None, now=NOW)

        @event.listens_for(file_store.engine, "begin")
        def _(connection: object) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count=1")  # type: ignore[attr-defined]

        large = a_state(2, more=list(range(100_000)))
        with pytest.raises(RemoteFailed) as failed:
            file_store.states.write(attempt, large, lock_id=None, now=NOW)
        assert failed.value.code == "store-cannot-write"
        current = file_store.states.current("t")
        assert current is not None
        assert current[1] == a_state(1)

    def test_a_database_that_another_process_keeps_is_called_busy(self, file_store: Store, directory: Path) -> None:
        @event.listens_for(file_store.engine, "connect")
        def _(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute("PRAGMA busy_timeout=50")

        file_store.engine.dispose()
        with closing(sqlite3.connect(directory / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(RemoteFailed) as failed:
                file_store.runs.create(a_run())
            assert (failed.value.code, failed.value.temporary) == ("store-busy", True)
            other.execute("ROLLBACK")
        assert file_store.runs.create(a_run()).id == "r1"

    def test_a_reader_does_not_wait_for_a_writer(self, file_store: Store, directory: Path) -> None:
        file_store.runs.create(a_run())
        with closing(sqlite3.connect(directory / "store.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            assert file_store.runs.get("r1").id == "r1"
            assert time.monotonic() - started < 1

    def test_an_error_of_the_driver_shows_no_values(self, file_store: Store) -> None:
        file_store.runs.create(a_run(reason=CANARY))
        from sqlalchemy.exc import DBAPIError

        with pytest.raises(DBAPIError) as error, file_store.database.writing() as tx:
            tx.execute(
                insert(tables.runs).values(**a_run(reason=CANARY).model_dump(), snapshot={}, cancel_requested=False)
            )
        assert CANARY not in str(error.value)


class TestManyRuns:
    def test_lists_and_journals_are_read_by_their_index(self, file_store: Store) -> None:
        with file_store.database.writing() as tx:
            tx.execute(insert(tables.tenants), [{"tenant": f"t{n}", "fence": 0, "newest": 0} for n in range(100)])
            rows = [
                a_run(f"r{n:05}", f"t{n % 100}", status="applied", created=NOW + timedelta(seconds=n)).model_dump()
                for n in range(2_000)
            ]
            tx.execute(insert(tables.runs), [row | {"snapshot": {}, "cancel_requested": False} for row in rows])
            tx.execute(text("ANALYZE"))
            for query in (
                "SELECT * FROM runs ORDER BY created DESC, id DESC LIMIT 50",
                "SELECT * FROM runs WHERE tenant = 't1' ORDER BY created DESC, id DESC LIMIT 50",
                "SELECT * FROM runs WHERE status IN ('planning', 'applying') ORDER BY created DESC, id DESC LIMIT 50",
                "SELECT * FROM runs WHERE id >= 'r1' AND id < 'r2' ORDER BY id LIMIT 2",
                "SELECT id FROM runs WHERE tenant = 't1' AND status IN ('pending', 'waiting', 'approved')",
                "SELECT max(seq) FROM events WHERE run = 'r1'",
            ):
                plan = [row.detail for row in tx.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
                assert all("USING" in step for step in plan), (query, plan)
        assert [run.id for run in file_store.runs.find(limit=2)] == ["r01999", "r01998"]
