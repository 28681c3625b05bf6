"""Secrets that were encrypted for a runner, and the runner's key in every form that people store it in."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agent import envelope
from runner.errors import InputError
from runner.sandbox.meshstack.encryption import sealed

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
VECTOR = Path(__file__).parent / "sensitive-input"


def pem(form: PrivateFormat) -> str:
    return KEY.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def test_the_known_vector_opens() -> None:
    key = envelope.private_key((VECTOR / "throwaway-private-key.pem").read_text(), where="test")
    assert envelope.opened((VECTOR / "ciphertext.txt").read_text().strip(), key) == "s3cr3t-ümläut"


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize(
    "shape", ["as it is", "blanks", "written out", "carriage returns", "nothing between", "around it"]
)
def test_a_key_is_read_in_both_formats_and_on_one_line(form: PrivateFormat, shape: str) -> None:
    text = pem(form)
    text = {
        "as it is": text,
        "blanks": text.replace("\n", " "),
        "written out": text.replace("\n", "\\n"),
        "carriage returns": text.replace("\n", "\r\n"),
        "nothing between": text.replace("\n", ""),
        "around it": f"# a comment\n{text}\nmore",
    }[shape]
    assert envelope.private_key(text, where="test").private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode(),
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
    ],
)
def test_what_is_no_rsa_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InputError) as refused:
        envelope.private_key(text, where="the file x")
    assert "the file x" in refused.value.detail
    assert text[:20] not in str(refused.value) or not text


@given(st.text())
@settings(max_examples=30)
def test_whatever_was_sealed_opens_again(text: str) -> None:
    assert envelope.opened(sealed(text, KEY.public_key()), KEY) == text


def test_nothing_stays_nothing() -> None:
    assert envelope.opened("", KEY) == ""


@given(st.binary(max_size=400))
@settings(max_examples=50)
def test_bytes_that_are_no_envelope_are_refused_in_words(content: bytes) -> None:
    with pytest.raises(InputError) as refused:
        envelope.opened(base64.b64encode(content).decode() or "A", KEY)
    assert refused.value.code == "runner-key-does-not-match"


def test_an_envelope_for_another_key_or_one_that_was_changed_does_not_open() -> None:
    made = sealed("secret", OTHER.public_key())
    own = bytearray(base64.b64decode(sealed("secret", KEY.public_key())))
    own[-1] ^= 1
    for wrong in (made, base64.b64encode(bytes(own)).decode(), "not base64 !"):
        with pytest.raises(InputError):
            envelope.opened(wrong, KEY)


def run(**inputs: Any) -> bytes:
    return json.dumps(
        {
            "metadata": {"uuid": "r"},
            "spec": {
                "behavior": "APPLY",
                "buildingBlock": {
                    "uuid": "b",
                    "spec": {
                        "inputs": [
                            {"key": key, "value": value, "type": kind, "isSensitive": secret}
                            for key, (value, kind, secret) in inputs.items()
                        ]
                    },
                },
                "buildingBlockDefinition": {
                    "spec": {
                        "implementation": {
                            "type": "TERRAFORM",
                            "repositoryUrl": "https://user:pass-of-url@git.example/x.git",
                            "sshPrivateKey": sealed("-----KEY-----\nline of the key\n", KEY.public_key()),
                        }
                    }
                },
            },
        }
    ).encode()


def test_every_secret_of_a_run_is_opened_by_its_type_and_hidden_from_then_on() -> None:
    hidden: list[str] = []

    def given_as(value: str) -> str:
        return sealed(value, KEY.public_key())

    opened, document = envelope.open_run(
        run(
            text=(given_as("t-secret"), "STRING", True),
            number=(given_as("4711"), "INTEGER", True),
            yes=(given_as("true"), "BOOLEAN", True),
            many=(given_as('["one-secret", "two"]'), "MULTI_SELECT", True),
            code=(given_as('{"a": 1}'), "CODE", True),
            plain=("open", "STRING", False),
            never=(7, "INTEGER", True),
        ),
        KEY,
        hidden.append,
    )
    assert {one.key: one.value for one in opened.block.spec.inputs} == {
        "text": "t-secret",
        "number": 4711,
        "yes": True,
        "many": ["one-secret", "two"],
        "code": '{"a": 1}',
        "plain": "open",
        "never": 7,
    }
    assert {"t-secret", "4711", "one-secret", "line of the key", "pass-of-url"} <= set(hidden)
    assert "open" not in hidden
    assert document["spec"]["buildingBlock"]["spec"]["inputs"][0]["value"] == "t-secret"


def test_a_secret_that_does_not_open_is_named() -> None:
    with pytest.raises(InputError) as refused:
        envelope.open_run(run(mine=(sealed("x", OTHER.public_key()), "STRING", True)), KEY, lambda value: None)
    assert "Of the input mine" in refused.value.detail
    assert "entered again" in refused.value.hint
