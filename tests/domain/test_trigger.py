"""What a webhook may ask for, and what its bodies are read as."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runner.domain.actor import Act, may
from runner.domain.trigger import Asked, Push, Trigger, asked
from runner.errors import InputError

OLD, NEW, NOWHERE = "a" * 40, "b" * 40, "0" * 40


def trigger(**fields: Any) -> Trigger:
    return Trigger.model_validate({"name": "ci", "secrets": [{"env": "HOOK"}], **fields})


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def github(**fields: Any) -> bytes:
    found = {"ref": "refs/heads/main", "before": OLD, "after": NEW, "repository": {"full_name": "acme/zones", "id": 1}}
    return json.dumps(found | {"pusher": {"name": "ada"}, "commits": []} | fields).encode()


def gitlab(**fields: Any) -> bytes:
    found = {"object_kind": "push", "ref": "refs/heads/main", "before": OLD, "after": NEW}
    return json.dumps(found | {"project": {"path_with_namespace": "acme/zones"}, "user_name": "ada"} | fields).encode()


def test_tenants_and_zones_are_asked_for_by_name() -> None:
    wish = body(tenants=["acme.shop.prod"], zones=["corp"], behavior="plan", reason="ticket 7")
    assert asked(trigger(), wish, "") == Asked(
        behavior="plan", tenants=("acme.shop.prod",), zones=("corp",), reason="ticket 7"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b"{}",
        body(tenants=[]),
        body(tenants="acme"),
        body(tenants=[1]),
        body(tenants=[""]),
        body(tenants=["x" * 256]),
        body(tenants=["a"] * 1001),
        body(tenants=["a"], behavior="destroy"),
        body(tenants=["a"], force=True),
        body(tenants=["a"], reason="x" * 1001),
        b'{"tenants": ' + b"[" * 100_000,
    ],
)
def test_a_body_that_asks_for_something_else_is_refused(wrong: bytes) -> None:
    with pytest.raises(InputError) as told:
        asked(trigger(), wrong, "")
    assert told.value.code == "webhook-body-wrong"


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_no_body_is_a_bug(anything: bytes) -> None:
    for sender, event in (("standard", ""), ("github", "push"), ("gitlab", "Push Hook")):
        with suppress(InputError):
            asked(trigger(sender=sender), anything, event)


def test_reconciling_is_only_for_who_may() -> None:
    wish = body(tenants=["a"], behavior="reconcile")
    with pytest.raises(InputError) as told:
        asked(trigger(), wish, "")
    assert told.value.code == "webhook-asks-too-much"
    found = asked(trigger(behavior="reconcile"), wish, "")
    assert found is not None
    assert found.behavior == "reconcile"


@pytest.mark.parametrize(("sender", "event", "made"), [("github", "push", github), ("gitlab", "Push Hook", gitlab)])
class TestPushes:
    def test_a_push_asks_for_what_it_changed(self, sender: str, event: str, made: Any) -> None:
        found = asked(trigger(sender=sender), made(), event)
        assert found is not None
        assert found.push == Push(repository="acme/zones", branch="main", before=OLD, after=NEW)
        assert (found.behavior, found.tenants, found.zones) == ("plan", (), ())
        assert found.reason == f"push of {NEW[:12]} to main of acme/zones"

    def test_a_new_branch_has_nothing_before(self, sender: str, event: str, made: Any) -> None:
        found = asked(trigger(sender=sender), made(before=NOWHERE), event)
        assert found is not None
        assert found.push is not None
        assert found.push.before is None

    @pytest.mark.parametrize(
        "changed", [{"after": NOWHERE}, {"ref": "refs/tags/main"}, {"ref": "refs/heads/other"}, {"ref": "main"}]
    )
    def test_a_branch_that_goes_a_tag_and_other_branches_ask_for_nothing(
        self, sender: str, event: str, made: Any, changed: dict[str, str]
    ) -> None:
        assert asked(trigger(sender=sender), made(**changed), event) is None

    def test_branches_are_patterns(self, sender: str, event: str, made: Any) -> None:
        some = trigger(sender=sender, branches=["release/*", "[m]ain"])
        assert asked(some, made(ref="refs/heads/release/1.2"), event) is not None
        assert asked(some, made(), event) is None

    def test_other_events_and_repositories_ask_for_nothing(self, sender: str, event: str, made: Any) -> None:
        assert asked(trigger(sender=sender), body(zen="Keep it logically awesome."), "ping") is None
        assert asked(trigger(sender=sender), made(), "") is None
        assert asked(trigger(sender=sender, repositories=["acme/other"]), made(), event) is None
        assert asked(trigger(sender=sender, repositories=["acme/zones"]), made(), event) is not None

    @pytest.mark.parametrize("changed", [{"after": "--output=/etc"}, {"before": "HEAD"}, {"after": None}, {"ref": 1}])
    def test_a_push_of_no_commits_is_refused(self, sender: str, event: str, made: Any, changed: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            asked(trigger(sender=sender), made(**changed), event)


def test_its_actor_operates_where_it_may_and_decides_nothing() -> None:
    actor = trigger(zones=["corp"], workspaces=["acme"]).actor
    assert actor.id == "webhook:ci"
    assert not actor.person
    assert may(actor, Act.OPERATE, zone="corp", workspace="acme")
    assert not may(actor, Act.OPERATE, zone="corp", workspace="other")
    assert not may(actor, Act.APPROVE, zone="corp", workspace="acme")


@pytest.mark.parametrize(
    "fields",
    [
        {"secrets": []},
        {"secrets": ["whsec_x"]},
        {"sender": "bitbucket"},
        {"behavior": "destroy"},
        {"branches": []},
        {"repositories": ["acme/zones"]},
        {"name": "../x"},
    ],
)
def test_a_wrong_configuration_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trigger(**fields)
