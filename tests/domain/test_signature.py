"""Signatures: the ones that the specifications print, and that nothing that was signed can be changed."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.signature import TOLERANCE, Key, signed, verified, verified_github
from runner.errors import InputError, Refused

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = Key.standard(SECRET)
OTHER = Key(b"another secret of 32 bytes or so")
BODY = b'{"tenants": ["acme.shop.prod"]}'

keys = st.binary(min_size=24, max_size=64).map(Key)
ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)


def code_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.code


def test_the_signature_that_the_specification_prints_is_made() -> None:
    assert KEY.v1("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_the_signature_that_github_prints_is_known() -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    key = Key.github("It's a Secret to Everybody")
    assert verified_github([key], {"x-hub-signature-256": given}, b"Hello, World!").startswith("sha256:")


@given(key=keys, message_id=ids, body=st.binary(max_size=500))
def test_what_was_signed_is_verified(key: Key, message_id: str, body: bytes) -> None:
    headers = signed([key], message_id, body, now=NOW)
    assert verified([key], headers, body, now=NOW) == (message_id, NOW)


@given(key=keys, body=st.binary(min_size=1, max_size=200), data=st.data())
def test_any_flipped_bit_of_what_was_signed_is_refused(key: Key, body: bytes, data: st.DataObject) -> None:
    headers = signed([key], "msg_1", body, now=NOW)
    part = data.draw(st.sampled_from(["body", "webhook-id", "webhook-timestamp", "webhook-signature"]))
    whole = bytearray(body if part == "body" else headers[part].encode("ascii"))
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << place % 8
    changed = bytes(whole)
    if part == "body":
        body = changed
    else:
        headers[part] = changed.decode("latin-1")
    with pytest.raises(Refused):
        verified([key], headers, body, now=NOW)


@given(key=keys, body=st.binary(max_size=200), place=st.integers(0, 255))
def test_any_flipped_bit_of_a_signature_of_github_is_refused(key: Key, body: bytes, place: int) -> None:
    digest = bytearray.fromhex(key.of_github(body).removeprefix("sha256="))
    digest[place // 8] ^= 1 << place % 8
    with pytest.raises(Refused) as refused:
        verified_github([key], {"x-hub-signature-256": f"sha256={digest.hex()}"}, body)
    assert code_of(refused) == "webhook-signature-wrong"


def test_a_point_cannot_be_moved_between_id_and_time() -> None:
    headers = signed([KEY], "msg.1", BODY, now=NOW)
    headers["webhook-id"], headers["webhook-timestamp"] = "msg", f"1.{headers['webhook-timestamp']}"
    with pytest.raises(Refused):
        verified([KEY], headers, BODY, now=NOW)


def test_while_secrets_change_either_is_good() -> None:
    both = signed([KEY, OTHER], "msg_1", BODY, now=NOW)
    for known in ([KEY], [OTHER], [OTHER, KEY]):
        assert verified(known, both, BODY, now=NOW)[0] == "msg_1"
    assert verified([OTHER, KEY], signed([KEY], "msg_1", BODY, now=NOW), BODY, now=NOW)[0] == "msg_1"
    with pytest.raises(Refused):
        verified([Key(b"x" * 32)], both, BODY, now=NOW)


def test_signatures_of_other_kinds_are_passed_over() -> None:
    headers = signed([KEY], "msg_1", BODY, now=NOW)
    headers["webhook-signature"] = f"v1a,bm9uZQ== v2,bm9uZQ== {headers['webhook-signature']}"
    assert verified([KEY], headers, BODY, now=NOW)[0] == "msg_1"


@pytest.mark.parametrize(
    ("away", "code"),
    [
        (timedelta(), ""),
        (TOLERANCE, ""),
        (-TOLERANCE, ""),
        (TOLERANCE + timedelta(seconds=1), "webhook-too-new"),
        (-TOLERANCE - timedelta(seconds=1), "webhook-too-old"),
    ],
)
def test_a_message_is_good_for_five_minutes_either_way(away: timedelta, code: str) -> None:
    headers = signed([KEY], "msg_1", BODY, now=NOW + away)
    if not code:
        assert verified([KEY], headers, BODY, now=NOW)
        return
    with pytest.raises(Refused) as refused:
        verified([KEY], headers, BODY, now=NOW)
    assert code_of(refused) == code


def test_who_cannot_sign_is_not_told_that_it_is_late() -> None:
    headers = signed([OTHER], "msg_1", BODY, now=NOW - timedelta(days=1))
    with pytest.raises(Refused) as refused:
        verified([KEY], headers, BODY, now=NOW)
    assert code_of(refused) == "webhook-signature-wrong"


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": ""},
        {"webhook-id": "x" * 256},
        {"webhook-id": "a\nb"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "01772600767"},
        {"webhook-timestamp": "\u0661\u0662"},
        {"webhook-timestamp": "9" * 40},
        {"webhook-signature": ""},
    ],
)
def test_a_message_without_proper_headers_is_not_signed(changed: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        verified([KEY], signed([KEY], "msg_1", BODY, now=NOW) | changed, BODY, now=NOW)
    assert code_of(refused) == "webhook-unsigned"


def test_a_signature_with_strange_letters_is_wrong_and_no_bug() -> None:
    for strange in ("v1,\xff\xfe", "\udcff", "v1,", " ", "v1"):
        headers = signed([KEY], "msg_1", BODY, now=NOW) | {"webhook-signature": strange}
        with pytest.raises(Refused) as refused:
            verified([KEY], headers, BODY, now=NOW)
        assert code_of(refused) == "webhook-signature-wrong"


def test_a_body_without_signature_of_github_is_not_signed() -> None:
    with pytest.raises(Refused) as refused:
        verified_github([KEY], {"x-hub-signature": "sha1=00"}, BODY)
    assert code_of(refused) == "webhook-unsigned"


@pytest.mark.parametrize(
    "secret", ["", "hunter2", "whsec_", "whsec_!!!", "whsec_" + b64encode(b"x" * 23).decode(), "whsec_" + "A" * 400]
)
def test_a_secret_that_is_none_is_refused_and_not_told(secret: str) -> None:
    with pytest.raises(InputError) as told:
        Key.standard(secret)
    assert told.value.code == "webhook-secret-malformed"
    assert secret in ("", "whsec_") or secret not in f"{told.value}{told.value.hint}"
    with pytest.raises(InputError):
        Key.github("short")


def test_a_key_never_shows_its_secret() -> None:
    assert "MfKQ" not in repr(KEY)
    assert str(KEY.secret) not in str(KEY)
