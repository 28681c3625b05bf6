"""The Tokens port, on SQLite and on PostgreSQL: a secret is shown once, kept as a digest, and opens what its token may while it may."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from runner.domain.actor import Grant, Role
from runner.errors import InputError
from runner.ports import ApiToken
from runner.store.opening import Store
from runner.store.tables import tokens
from runner.store.tokens import new_id
from tests.store.making import HOUR, NOW, opened

DAY = timedelta(days=1)


def a_token(token_id: str = "abcdefgh12", **fields: object) -> ApiToken:
    values: dict[str, object] = {
        "id": token_id,
        "name": "nightly",
        "grants": (Grant(role=Role.OPERATOR, zones=("corp",)), Grant(role=Role.VIEWER)),
        "created_by": "anna",
        "created": NOW,
        "expires": NOW + DAY,
    }
    return ApiToken(**values | fields)  # type: ignore[arg-type]


def test_a_secret_finds_its_token_with_its_grants(store: Store) -> None:
    secret, other = store.tokens.create(a_token()), store.tokens.create(a_token("abcdefgh34", name="other"))
    found = store.tokens.find(secret, now=NOW)
    assert found == a_token()
    assert [one and one.name for one in (store.tokens.find(other, now=NOW),)] == ["other"]
    assert secret.startswith("lzr_abcdefgh12_")


def test_the_secret_is_kept_nowhere(store: Store, where: str | Path, tmp_path: Path) -> None:
    secret = store.tokens.create(a_token()).split("_")[2]
    with store.engine.connect() as tx:
        assert secret.encode() not in repr(tx.execute(select(tokens)).all()).encode()
    if isinstance(where, Path):
        assert not [file for file in where.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]


def test_a_secret_of_another_token_opens_nothing(store: Store) -> None:
    one, other = store.tokens.create(a_token()), store.tokens.create(a_token("abcdefgh34"))
    for mixed in (one.replace("abcdefgh12", "abcdefgh34"), other.replace("abcdefgh34", "abcdefgh12")):
        assert store.tokens.find(mixed, now=NOW) is None


@pytest.mark.parametrize(
    "text", ["", "lzr", "lzr_abcdefgh12_", "lzr_abcdefgh12_" + "a" * 40 + "_00000000", "\0", "ä" * 99]
)
def test_what_is_no_token_finds_nothing(store: Store, text: str) -> None:
    store.tokens.create(a_token())
    assert store.tokens.find(text, now=NOW) is None


@given(data=st.data())
def test_a_typing_error_is_seen_without_asking_the_store(data: st.DataObject) -> None:
    from runner.store.tokens import SqlTokens, _written

    secret = _written("abcdefgh12", "Ab3" * 13 + "x")
    place = data.draw(st.integers(0, len(secret) - 1))
    typed = data.draw(st.sampled_from("abcXYZ019_").filter(lambda one: one != secret[place]))
    wrong = secret[:place] + typed + secret[place + 1 :]
    assert SqlTokens(None).find(wrong, now=NOW) is None  # type: ignore[arg-type]


def test_a_token_is_good_until_it_expires_or_is_revoked(store: Store) -> None:
    secret = store.tokens.create(a_token())
    found = store.tokens.find(secret, now=NOW)
    assert found is not None
    assert found.good(NOW + DAY - timedelta(seconds=1))
    assert not found.good(NOW + DAY)
    assert store.tokens.revoke("abcdefgh12", by="bert", now=NOW + HOUR).revoked == NOW + HOUR
    revoked = store.tokens.find(secret, now=NOW + HOUR)
    assert revoked is not None
    assert not revoked.good(NOW + HOUR)


def test_revoking_again_changes_and_records_nothing(store: Store) -> None:
    store.tokens.create(a_token())
    first = store.tokens.revoke("abcdefgh12", by="bert", now=NOW)
    assert store.tokens.revoke("abcdefgh12", by="carl", now=NOW + HOUR) == first
    assert [entry.what for entry in store.audit.entries()] == ["token-created", "token-revoked"]


def test_what_is_not_there_cannot_be_revoked(store: Store) -> None:
    with pytest.raises(InputError) as wrong:
        store.tokens.revoke("abcdefgh12", by="bert", now=NOW)
    assert wrong.value.code == "token-unknown"


def test_a_token_that_would_open_something_for_longer_than_a_year_is_never_made(store: Store) -> None:
    for expires in (NOW, NOW - HOUR, NOW + timedelta(days=366)):
        with pytest.raises(InputError) as wrong:
            store.tokens.create(a_token(expires=expires))
        assert wrong.value.code == "token-lifetime-wrong"
    assert store.tokens.all() == ()


def test_that_it_is_used_is_noted_about_once_a_minute(store: Store, where: str | Path, key: Path) -> None:
    secret = store.tokens.create(a_token())
    for seconds in (0, 30, 59):
        store.tokens.find(secret, now=NOW + timedelta(seconds=seconds))
    assert [one.seen for one in store.tokens.all()] == [NOW]
    with opened(where, key) as other:
        other.tokens.find(secret, now=NOW + HOUR)
    assert [one.seen for one in store.tokens.all()] == [NOW + HOUR]


def test_all_are_listed_newest_first(store: Store) -> None:
    for number in range(3):
        store.tokens.create(a_token(f"abcdefgh{number:02}", created=NOW + number * HOUR, expires=NOW + 2 * DAY))
    assert [one.id for one in store.tokens.all()] == ["abcdefgh02", "abcdefgh01", "abcdefgh00"]


def test_ids_have_the_form_that_a_secret_names() -> None:
    assert len({new_id() for _ in range(100)}) == 100
    assert all(len(one) == 10 and one.isalnum() and one == one.lower() for one in (new_id() for _ in range(100)))
