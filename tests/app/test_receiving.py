"""Webhooks that come in: once, whoever gets them, on both databases."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from runner.app.receiving import received
from runner.domain.document import SecretReference
from runner.domain.signature import Key, signed
from runner.domain.trigger import Trigger
from runner.errors import InputError, Refused
from runner.store.opening import Store
from tests.store.making import NOW

SECRETS = {"HOOK": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "GH": "a secret that nobody can guess"}
STANDARD = Trigger.model_validate({"name": "ci", "secrets": [{"env": "HOOK"}]})
GITHUB = Trigger.model_validate({"name": "gh", "sender": "github", "secrets": [{"env": "GH"}]})
GITLAB = Trigger.model_validate({"name": "gl", "sender": "gitlab", "secrets": [{"env": "HOOK"}]})
WISH = b'{"tenants": ["acme.shop.prod"]}'
PUSH = json.dumps(
    {
        "ref": "refs/heads/main",
        "before": "a" * 40,
        "after": "b" * 40,
        "repository": {"full_name": "acme/zones"},
        "object_kind": "push",
        "project": {"path_with_namespace": "acme/zones"},
    }
).encode()


def secret(reference: SecretReference) -> str:
    return SECRETS[reference.env or ""]


def take(store: Store, trigger: Trigger, headers: dict[str, str], body: bytes, now: datetime = NOW) -> Any:
    return received(trigger, headers, body, now=now, store=store.received, secret=secret)


def of_standard(message_id: str = "msg_1", body: bytes = WISH) -> dict[str, str]:
    return signed([Key.standard(SECRETS["HOOK"])], message_id, body, now=NOW)


def of_github(body: bytes = PUSH, delivery: str = "72d3162e") -> dict[str, str]:
    signature = Key.github(SECRETS["GH"]).of_github(body)
    return {"X-Hub-Signature-256": signature, "X-GitHub-Event": "push", "X-GitHub-Delivery": delivery}


def test_a_signed_delivery_is_let_in_whatever_the_capitals_of_its_headers(store: Store) -> None:
    headers = {name.title(): value for name, value in of_standard().items()}
    found = take(store, STANDARD, headers, WISH)
    assert (found.webhook, found.id, found.asked.tenants) == ("ci", "msg_1", ("acme.shop.prod",))


def test_pushes_of_github_and_gitlab_are_let_in(store: Store) -> None:
    assert take(store, GITHUB, of_github(), PUSH).asked.push.after == "b" * 40
    headers = of_standard("msg_gl", PUSH) | {"X-Gitlab-Event": "Push Hook"}
    assert take(store, GITLAB, headers, PUSH).asked.push.after == "b" * 40


def test_a_token_of_gitlab_that_signs_nothing_opens_nothing(store: Store) -> None:
    with pytest.raises(Refused) as refused:
        take(store, GITLAB, {"X-Gitlab-Token": SECRETS["HOOK"], "X-Gitlab-Event": "Push Hook"}, PUSH)
    assert refused.value.code == "webhook-unsigned"


def test_the_same_delivery_is_refused_until_it_is_too_old_anyway(store: Store) -> None:
    take(store, STANDARD, of_standard(), WISH)
    for later in (0, 299):
        with pytest.raises(Refused) as refused:
            take(store, STANDARD, of_standard(), WISH, now=NOW + timedelta(seconds=later))
        assert refused.value.code == "webhook-repeated"
        store.received.prune(before=NOW + timedelta(seconds=later))
    with pytest.raises(Refused) as refused:
        take(store, STANDARD, of_standard(), WISH, now=NOW + timedelta(seconds=302))
    assert refused.value.code == "webhook-too-old"
    assert store.received.prune(before=NOW + timedelta(minutes=11)) == 1


def test_the_same_body_of_github_is_refused_under_whatever_id_for_a_year(store: Store) -> None:
    take(store, GITHUB, of_github(), PUSH)
    store.received.prune(before=NOW + timedelta(days=300))
    with pytest.raises(Refused) as refused:
        take(store, GITHUB, of_github(delivery="another"), PUSH, now=NOW + timedelta(days=300))
    assert refused.value.code == "webhook-repeated"


def test_one_webhook_says_nothing_about_another(store: Store) -> None:
    other = STANDARD.model_copy(update={"name": "other"})
    assert take(store, STANDARD, of_standard(), WISH)
    assert take(store, other, of_standard(), WISH)


def test_what_was_not_done_after_all_may_come_again(store: Store) -> None:
    take(store, STANDARD, of_standard(), WISH)
    store.received.forget("ci", "msg_1")
    assert take(store, STANDARD, of_standard(), WISH).id == "msg_1"


def test_a_delivery_that_is_refused_is_not_remembered(store: Store) -> None:
    wrong = b'{"tenants": []}'
    with pytest.raises(InputError):
        take(store, STANDARD, of_standard(body=wrong), wrong)
    with pytest.raises(Refused):
        take(store, STANDARD, of_standard(), WISH + b" ")
    assert take(store, STANDARD, of_standard(), WISH).id == "msg_1"


def test_a_body_that_is_too_large_is_refused_before_anything_is_computed(store: Store) -> None:
    with pytest.raises(Refused) as refused:
        take(store, STANDARD, {}, b" " * (STANDARD.largest + 1))
    assert refused.value.code == "webhook-too-large"


def test_many_who_get_one_delivery_at_once_let_it_in_once(store: Store) -> None:
    def attempt(_: int) -> str:
        try:
            return str(take(store, STANDARD, of_standard(), WISH).id)
        except Refused as refused:
            return refused.code

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(attempt, range(16)))
    assert sorted(found) == ["msg_1", *["webhook-repeated"] * 15]
