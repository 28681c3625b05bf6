"""Keys and envelopes."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from runner.errors import InputError, Refused, RemoteFailed
from runner.store.sealing import Keyring, key_id

SECRET = bytes(range(32))
OTHER = bytes(range(1, 33))
ENCODED = base64.b64encode(SECRET).decode()
OTHER_ENCODED = base64.b64encode(OTHER).decode()


@pytest.fixture
def keyring() -> Keyring:
    return Keyring.from_value(SecretStr(ENCODED))


def sealed(keyring: Keyring, content: bytes = b"plan") -> bytes:
    return keyring.seal(content, key=keyring.ids[0], kind="bundle", owner=("r1", "t1"))


class TestEnvelopes:
    @given(st.binary(max_size=2000))
    def test_what_was_sealed_opens(self, content: bytes) -> None:
        keyring = Keyring.from_value(SecretStr(ENCODED))
        assert keyring.open(sealed(keyring, content), kind="bundle", owner=("r1", "t1")) == content

    def test_nothing_of_the_content_shows_and_no_two_envelopes_are_equal(self, keyring: Keyring) -> None:
        first, second = sealed(keyring, b"canary" * 10), sealed(keyring, b"canary" * 10)
        assert b"canary" not in first
        assert first != second

    @pytest.mark.parametrize(
        ("kind", "owner"),
        [
            ("state", ("r1", "t1")),
            ("bundle", ("r2", "t1")),
            ("bundle", ("r1", "t2")),
            ("bundle", ("t1", "r1")),
            ("bundle", ("r1",)),
            ("bundle", ("r1", "t1", "")),
            ("bundle", ('r1", "t1',)),
        ],
    )
    def test_an_envelope_does_not_open_elsewhere(self, keyring: Keyring, kind: str, owner: tuple[str, ...]) -> None:
        with pytest.raises(Refused) as refused:
            keyring.open(sealed(keyring), kind=kind, owner=owner)
        assert refused.value.code == "sealed-content-altered"

    def test_a_changed_envelope_does_not_open(self, keyring: Keyring) -> None:
        envelope = sealed(keyring)
        for place in range(len(envelope)):
            changed = bytearray(envelope)
            changed[place] ^= 1
            with pytest.raises(Refused):
                keyring.open(bytes(changed), kind="bundle", owner=("r1", "t1"))
        for length in range(len(envelope)):
            with pytest.raises(Refused):
                keyring.open(envelope[:length], kind="bundle", owner=("r1", "t1"))

    def test_another_key_does_not_open_it_and_is_told_which_one_does(self, keyring: Keyring) -> None:
        other = Keyring.from_value(SecretStr(OTHER_ENCODED))
        with pytest.raises(Refused) as refused:
            other.open(sealed(keyring), kind="bundle", owner=("r1", "t1"))
        assert refused.value.code == "store-key-does-not-open"
        assert key_id(SECRET) in refused.value.detail
        assert key_id(OTHER) in refused.value.detail

    def test_a_keyring_shows_no_key(self, keyring: Keyring) -> None:
        shown = f"{keyring!r} {keyring} {vars(keyring)['path']}"
        assert ENCODED not in shown
        assert repr(SECRET) not in shown


class TestValues:
    @pytest.mark.parametrize(
        "value", [f"{ENCODED},{OTHER_ENCODED}", f" {ENCODED} \n {OTHER_ENCODED}\n", f"{ENCODED}\n,{OTHER_ENCODED}"]
    )
    def test_a_value_may_hold_several_keys_the_sealing_one_first(self, value: str) -> None:
        keyring = Keyring.from_value(SecretStr(value))
        assert keyring.ids == (key_id(SECRET), key_id(OTHER))
        assert keyring.first() == key_id(SECRET)

    def test_both_alphabets_of_base64_are_read(self) -> None:
        key = b"\xfb\xff" * 16
        plain, for_addresses = base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode()
        assert plain != for_addresses
        assert Keyring.from_value(SecretStr(plain)).ids == Keyring.from_value(SecretStr(for_addresses)).ids

    @pytest.mark.parametrize("value", ["secret", ENCODED[:-8], ENCODED + "AAAA", "é", f"{ENCODED},x"])
    def test_a_malformed_value_is_an_input_error_that_does_not_repeat_it(self, value: str) -> None:
        with pytest.raises(InputError) as error:
            Keyring.from_value(SecretStr(value))
        assert error.value.code == "store-key-malformed"
        assert value not in f"{error.value} {error.value.hint}"

    def test_an_empty_value_opens_no_store(self) -> None:
        with pytest.raises(Refused) as refused:
            Keyring.from_value(SecretStr(" ")).first()
        assert refused.value.code == "store-key-does-not-open"


class TestFiles:
    def test_a_file_is_made_on_first_use_for_its_owner_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        previous = os.umask(0)
        try:
            keyring = Keyring.from_file(file)
            assert not file.exists()
            made = keyring.first()
        finally:
            os.umask(previous)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert Keyring.from_file(file).first() == made

    def test_a_file_that_others_may_read_is_refused_with_the_remedy(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        Keyring.from_file(file).first()
        for mode in (0o640, 0o604, 0o660):
            file.chmod(mode)
            with pytest.raises(Refused) as refused:
                Keyring.from_file(file)
            assert refused.value.code == "store-key-too-open"
            assert refused.value.hint == f"chmod 600 {file}"

    def test_a_malformed_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text("rubbish")
        file.chmod(0o600)
        with pytest.raises(InputError) as error:
            Keyring.from_file(file)
        assert str(file) in error.value.detail
        assert "rubbish" not in str(error.value)

    def test_what_is_no_file_is_said(self, tmp_path: Path) -> None:
        place = tmp_path / "key"
        place.mkdir(mode=0o700)
        with pytest.raises(RemoteFailed) as failed:
            Keyring.from_file(place)
        assert failed.value.code == "store-key-unreadable"

    def test_a_folder_that_is_not_there_is_a_wrong_setting(self, tmp_path: Path) -> None:
        keyring = Keyring.from_file(tmp_path / "no" / "key")
        for use in (keyring.first, lambda: keyring.require(key_id(SECRET))):
            with pytest.raises(InputError) as error:
                use()
            assert error.value.code == "store-key-no-folder"
            assert f"LZR_STORE_KEY_FILE is {tmp_path / 'no' / 'key'}" in error.value.detail
            assert str(tmp_path / "no") in error.value.hint

    def test_keys_are_added_and_given_up(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        keyring, other = Keyring.from_file(file), Keyring.from_file(file)
        first = keyring.first()
        second = keyring.add()
        assert keyring.ids == (first, second)
        assert other.holds(second)
        assert other.holds(first)
        before = keyring.keep_only(second)
        assert before == tmp_path / f"key.before-{second}"
        assert Keyring.from_file(before).ids == (first,)
        assert Keyring.from_file(file).ids == (second,)
        assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(before.stat().st_mode) == 0o600
        assert keyring.keep_only(second) is None
        with pytest.raises(Refused):
            keyring.keep_only(first)

    def test_one_rotation_goes_on_at_a_time(self, tmp_path: Path) -> None:
        keyring, other = Keyring.from_file(tmp_path / "key"), Keyring.from_file(tmp_path / "key")
        with keyring.rotating(), pytest.raises(Refused) as refused, other.rotating():
            pass
        assert refused.value.code == "store-rotation-under-way"
