"""A webhook that comes in: whether it is let in, once, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from runner.domain.document import SecretReference
from runner.domain.signature import TOLERANCE, Key, verified, verified_github
from runner.domain.trigger import REMEMBERED, Delivered, Trigger, asked
from runner.errors import Refused
from runner.ports import Received

_EVENT = {"standard": "", "github": "x-github-event", "gitlab": "x-gitlab-event"}


def received(
    trigger: Trigger,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    store: Received,
    secret: Callable[[SecretReference], str],
) -> Delivered:
    """The delivery, the first time that it comes. Two servers that get it at once let it in once.

    Refused: `webhook-too-large`, all that `verified` refuses, and `webhook-repeated`, which a sender may take for done. InputError where it
    asks for what cannot be done. Where what it asks for is not done after all, `store.forget` lets it come again.
    """
    if len(body) > trigger.largest:
        raise Refused(
            "The webhook is too large",
            code="webhook-too-large",
            detail=f"It has {len(body)} bytes; {trigger.name} takes {trigger.largest}.",
            hint="Ask for less at once.",
        )
    given = {name.lower(): value for name, value in headers.items()}
    if trigger.sender == "github":
        keys = [Key.github(secret(one)) for one in trigger.secrets]
        message_id, until = verified_github(keys, given, body), now + REMEMBERED
    else:
        keys = [Key.standard(secret(one)) for one in trigger.secrets]
        message_id, at = verified(keys, given, body, now=now)
        until = at + 2 * TOLERANCE
    wanted = asked(trigger, body, given.get(_EVENT[trigger.sender], ""))
    if not store.take(trigger.name, message_id, until=until):
        raise Refused(
            "The webhook came before",
            code="webhook-repeated",
            detail=f"{trigger.name} has brought {message_id} already.",
            hint="Nothing is to be done: it was taken the first time.",
        )
    return Delivered(webhook=trigger.name, id=message_id, at=now, asked=wanted)
