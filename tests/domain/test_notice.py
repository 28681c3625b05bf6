"""What is told of a run, when, and that no name in it does anything."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from runner.domain.channel import Notifications
from runner.domain.notice import Event, Notice, events_of, notice_of, occasion, sample
from runner.domain.run import Behavior, Failure, Run, Status
from tests.store.making import NOW, a_run

HOSTILE = [
    "<!channel>",
    "a\r\nBcc: x@evil.example",
    "<script>alert(1)</script>",
    "\u202egpj.exe",
    "\0",
    "\ud800",
    "a\u2028b\u2029c\x85d",
]


def run(status: Status, **fields: Any) -> Run:
    return a_run(status=status, **fields)


def notice(event: Event = Event.WAITING, **fields: Any) -> Notice:
    return notice_of(event, run(Status.WAITING, **fields), None, public_url="https://lzr.example.com")


class TestWhen:
    @pytest.mark.parametrize("status", list(Status))
    def test_only_what_somebody_has_to_know_is_told(self, status: Status) -> None:
        told = {
            Status.WAITING: (Event.WAITING,),
            Status.FAILED: (Event.FAILED,),
            Status.APPLIED: (Event.APPLIED,),
            Status.EXPIRED: (Event.EXPIRED,),
        }
        assert events_of(run(status)) == told.get(status, ())

    def test_drift_is_what_differs_although_the_documents_did_not_change(self) -> None:
        assert events_of(run(Status.WAITING, options={"drifted": True})) == (Event.DRIFTED, Event.WAITING)
        assert events_of(run(Status.WAITING, options={"scheduled": True})) == (Event.WAITING,)

    def test_drift_that_a_policy_repaired_is_told_after_the_fact(self) -> None:
        assert events_of(run(Status.APPLIED, options={"drifted": True})) == (Event.APPLIED, Event.DRIFTED)

    def test_of_runs_of_a_meshstack_nothing_is_told_here(self) -> None:
        assert events_of(run(Status.WAITING, options={"meshstack": {"run": "x"}})) == ()

    def test_a_run_that_waits_again_for_something_else_is_told_again(self) -> None:
        first, again = run(Status.WAITING, digest="d1"), run(Status.WAITING, digest="d2")
        assert occasion(Event.WAITING, first) != occasion(Event.WAITING, again)
        assert occasion(Event.DRIFTED, first) == occasion(Event.DRIFTED, again)


class TestWhom:
    @staticmethod
    def event(happened: tuple[Event, ...], of: Run, **fields: Any) -> Event | None:
        channel = {"name": "ops", "type": "slack", "url": {"env": "SLACK"}, **fields}
        return Notifications.model_validate({"channels": [channel]}).channels[0].event_of(of, happened)

    def test_a_channel_tells_the_first_of_what_it_is_for(self) -> None:
        both = (Event.DRIFTED, Event.WAITING)
        waits = run(Status.WAITING)
        assert self.event(both, waits) is Event.WAITING
        assert self.event(both, waits, events=["drifted", "waiting"]) is Event.DRIFTED
        assert self.event(both, waits, events=["applied"]) is None

    def test_zones_workspaces_and_risks_narrow(self) -> None:
        waits = run(Status.WAITING, landing_zone="corp", workspace="acme", risks=1)
        happened = (Event.WAITING,)
        for fits in ({"zones": ["corp"]}, {"workspaces": ["x", "acme"]}, {"minimumRisks": 1}):
            assert self.event(happened, waits, **fits) is Event.WAITING
        for other in ({"zones": ["lab"]}, {"zones": ["corp"], "workspaces": ["x"]}, {"minimumRisks": 2}):
            assert self.event(happened, waits, **other) is None

    def test_a_run_that_failed_before_its_risks_were_known_is_told(self) -> None:
        assert self.event((Event.FAILED,), run(Status.FAILED), minimumRisks=3) is Event.FAILED

    @pytest.mark.parametrize(
        "channel",
        [
            {"name": "a", "type": "slack", "url": "https://hooks.slack.com/services/secret"},
            {"name": "a", "type": "webhook", "url": "ftp://a.example", "secrets": [{"env": "X"}]},
            {"name": "a", "type": "webhook", "url": "http://a.example", "secrets": [{"env": "X"}]},
            {"name": "a", "type": "webhook", "url": "https://user:pass@a.example", "secrets": [{"env": "X"}]},
            {"name": "a", "type": "webhook", "url": "https://a.example"},
            {"name": "a", "type": "mail", "host": "m.example", "sender": "a@b.example", "to": []},
            {"name": "a", "type": "mail", "host": "m.example", "sender": "a@b.example", "to": ["a@b\r\nBcc: c@d"]},
            {"name": "a", "type": "mail", "host": "m.example", "sender": "a@b.c", "to": ["a@b.c"], "username": "x"},
            {"name": "a", "type": "teams", "url": {"env": "X"}, "events": ["started"]},
            {"name": "a", "type": "pager"},
        ],
    )
    def test_a_wrong_channel_is_refused(self, channel: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Notifications.model_validate({"channels": [channel]})

    def test_two_channels_of_one_name_are_refused(self) -> None:
        channel = {"name": "a", "type": "slack", "url": {"env": "X"}}
        with pytest.raises(ValidationError):
            Notifications.model_validate({"channels": [channel, channel]})


class TestWords:
    def test_a_review_is_told_by_names_counts_and_kinds_of_risks(self) -> None:
        waits = run(
            Status.WAITING,
            reason="new project",
            counts={"add": 8, "change": 1, "destroy": 0, "members": 2, "resources": 12},
            workspace="acme",
            warnings=1,
        )
        risks = [{"code": "gives-highest-rights", "text": "Gives Owner to ada"}] * 2 + [{"code": "takes-over"}]
        told = notice_of(Event.WAITING, waits, {"risks": risks}, public_url="https://lzr.example.com")
        assert told.text.splitlines() == [
            "acme.shop.prod waits for a decision",
            "",
            "Landing zone: corp",
            "Workspace: acme",
            "Changes: 8 to add, 1 to change, 2 members",
            "Risks: gives highest rights (2), takes over",
            "Warnings: 1",
            "Asked by: anna@example.com",
            "Reason: new project",
            "Run: r1",
            "At: 2026-03-04 05:06 UTC",
            "",
            "https://lzr.example.com/runs/r1",
        ]

    def test_a_failure_is_told_by_its_summary_and_never_by_what_others_said(self) -> None:
        failure = Failure(
            family="engine",
            code="engine-apply-failed",
            summary="Terraform failed",
            detail="tag = hunter2",
            step="apply",
        )
        told = notice_of(Event.FAILED, run(Status.FAILED, failure=failure), None, public_url="")
        assert "Failed: apply: Terraform failed (engine-apply-failed)" in told.text
        assert "hunter2" not in told.model_dump_json() + told.text

    def test_values_of_attributes_are_in_no_notice(self) -> None:
        review = {
            "risks": [{"code": "takes-over", "text": "Set the tags costCenter = canary-4711"}],
            "sentences": [{"sign": "+", "text": "canary-4711", "address": "canary-4711"}],
            "changes": [{"after": {"tags": {"costCenter": "canary-4711"}}}],
        }
        told = notice_of(Event.WAITING, run(Status.WAITING), review, public_url="")
        assert "canary" not in told.model_dump_json() + told.text

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_a_hostile_name_is_one_printable_line(self, hostile: str) -> None:
        told = notice(tenant=hostile, landing_zone=hostile, workspace=hostile, requested_by=hostile, reason=hostile)
        assert told.title.isprintable()
        assert all(words.isprintable() for fact in told.facts for words in fact)

    @given(st.text(st.characters(), max_size=400))
    def test_no_text_leaves_its_line(self, anything: str) -> None:
        told = notice(tenant=anything, reason=anything, requested_by=anything, counts={})
        assert len(told.text.splitlines()) == 4 + len(told.facts)
        assert not {unicodedata.category(char) for char in told.title} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

    def test_long_texts_are_cut(self) -> None:
        told = notice(tenant="t" * 10_000, reason="r" * 100_000, workspace="\u202e" * 5_000)
        assert len(told.title) < 250
        assert len(told.text) < 2_500
        assert len(told.reason) <= 500

    def test_a_tenant_that_leaves_is_told_as_one(self) -> None:
        assert ("Leaves", "the tenant is to be deleted") in notice(behavior=Behavior.DESTROY).facts

    def test_a_sample_says_that_it_is_one(self) -> None:
        told = sample(NOW + timedelta(hours=1), public_url="https://lzr.example.com")
        assert told.title.startswith("Test: ")
        assert told.test
