"""Signatures of webhooks, those that come in and those that go out.

Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md): `v1` is HMAC-SHA256 over
id, timestamp and body, so that neither of them can be changed and an old message is known by its age. GitLab's signing tokens follow
it too. GitHub signs the body alone: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries. GitLab's older
X-Gitlab-Token is no signature and not known here.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from runner.errors import InputError, Refused

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"
GITHUB_SIGNATURE = "x-hub-signature-256"
TOLERANCE = timedelta(minutes=5)
"""How far the sender's clock may be from this one, and how long a message is on its way."""

_PREFIX = "whsec_"
_SIZES = range(24, 65)  # bytes, as the specification has it
_LONGEST_ID = 255
_MOST = 20  # signatures that are looked at: each secret of a rotation gives one


@dataclass(frozen=True)
class Key:
    """What signs. Its text never shows it."""

    secret: bytes = field(repr=False)

    @classmethod
    def standard(cls, text: str) -> Key:
        """The key of a secret as Standard Webhooks writes it, `whsec_` and base64. InputError without the secret where it is none."""
        try:
            found = b64decode(text.strip().removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            found = b""
        if len(found) not in _SIZES:
            raise InputError(
                "A webhook's secret is not valid",
                code="webhook-secret-malformed",
                detail=f"It is not {_PREFIX} and {_SIZES.start} to {_SIZES.stop - 1} random bytes as base64.",
                hint='Make one: echo "whsec_$(openssl rand -base64 32)"',
            )
        return cls(found)

    @classmethod
    def github(cls, text: str) -> Key:
        """The key of a secret as it is typed into GitHub. InputError where it can be guessed."""
        if len(text) < _SIZES.start:
            raise InputError(
                "A webhook's secret is not valid",
                code="webhook-secret-malformed",
                detail=f"It has fewer than {_SIZES.start} characters.",
                hint="Make one: openssl rand -hex 32",
            )
        return cls(text.encode())

    def _digest(self, content: bytes) -> bytes:
        return hmac.new(self.secret, content, sha256).digest()

    def v1(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The signature of a message, as it stands in the header."""
        return "v1," + b64encode(self._digest(f"{message_id}.{timestamp}.".encode() + body)).decode("ascii")

    def of_github(self, body: bytes) -> str:
        """The signature of a body, as GitHub sends it."""
        return "sha256=" + self._digest(body).hex()


def signed(keys: Sequence[Key], message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The headers that a message goes out with: one signature for each key, so that its receiver may change secrets at leisure."""
    timestamp = int(now.timestamp())
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(key.v1(message_id, timestamp, body) for key in keys),
    }


def verified(keys: Sequence[Key], headers: Mapping[str, str], body: bytes, *, now: datetime) -> tuple[str, datetime]:
    """Id and time of a message that one of the keys signed; header names are in small letters.

    Refused: `webhook-unsigned` without the headers, `webhook-signature-wrong`, `webhook-too-old` and `webhook-too-new` by more than
    TOLERANCE. The age is looked at last: who cannot sign learns nothing of this machine's clock.
    """
    message_id, stamp, given = headers.get(ID, ""), headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    fits = 0 < len(message_id) <= _LONGEST_ID and message_id.isascii() and message_id.isprintable()
    if not fits or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or not given:
        raise _unsigned(f"It needs the headers {ID}, {TIMESTAMP} and {SIGNATURE} as Standard Webhooks has them.")
    timestamp = int(stamp)
    if str(timestamp) != stamp:
        raise _unsigned(f"{TIMESTAMP} is no number of seconds.")
    _expect_one([key.v1(message_id, timestamp, body) for key in keys], given.split(" "))
    at = datetime.fromtimestamp(timestamp, UTC)
    if at < now - TOLERANCE:
        raise _untimely("old")
    if at > now + TOLERANCE:
        raise _untimely("new")
    return message_id, at


def verified_github(keys: Sequence[Key], headers: Mapping[str, str], body: bytes) -> str:
    """An id of the body that one of the keys signed. Nothing else is signed, neither its time nor GitHub's own id: whoever saw a delivery
    could send it again under any. Refused: `webhook-unsigned`, `webhook-signature-wrong`."""
    given = headers.get(GITHUB_SIGNATURE, "")
    if not given:
        raise _unsigned("It needs the header X-Hub-Signature-256: the webhook has no secret on GitHub.")
    _expect_one([key.of_github(body) for key in keys], [given])
    return f"sha256:{sha256(body).hexdigest()}"


def _expect_one(good: Sequence[str], given: Sequence[str]) -> None:
    """Every pair is compared, and each in constant time, so that it takes as long whichever is right."""
    pairs = [(one.encode(), other.encode("utf-8", "replace")) for one in good for other in given[:_MOST]]
    same = [hmac.compare_digest(one, other) for one, other in pairs]
    if not any(same):
        raise Refused(
            "The webhook's signature is wrong",
            code="webhook-signature-wrong",
            detail="No secret of the webhook gives this signature.",
            hint="Give sender and server the same secret. A proxy between them must not change the body.",
        )


def _unsigned(detail: str) -> Refused:
    return Refused(
        "The webhook is not signed",
        code="webhook-unsigned",
        detail=detail,
        hint="Set the webhook's secret where it is sent from.",
    )


def _untimely(what: str) -> Refused:
    return Refused(
        f"The webhook is too {what}",
        code=f"webhook-too-{what}",
        detail=f"Its time is more than {TOLERANCE.total_seconds() / 60:.0f} minutes away from this server's.",
        hint="Check both clocks; a sender signs anew when it sends again.",
    )
