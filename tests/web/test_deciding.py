"""Approving, rejecting, applying and cancelling on the page: who may, exactly what, and what happens then."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.domain.actor import Grant, Role
from runner.domain.check import CheckResult
from runner.domain.plan import Action
from runner.domain.review import Verdict
from runner.domain.run import Status
from tests.domain.test_review import change
from tests.domain.test_review import made as a_review
from tests.store.making import opened
from tests.web.serving import TENANT, Site, ada, documents, reviewed, site, waiting

APPROVER = Grant(role=Role.APPROVER)


def test_an_approval_names_who_signed_in_and_has_the_run_applied(web: Site) -> None:
    run = waiting(web)
    answer = web.person(ada(APPROVER)).post(
        f"/runs/{run.id}/approve", digest=run.digest, comment="as agreed", apply="true"
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run.id}")
    approved = web.store.runs.get(run.id)
    (approval,) = web.store.runs.approvals(run.id)
    assert (approved.status, approved.options["apply"]) == (Status.APPROVED, True)
    assert (approval.by, approval.comment) == ("Ada (oidc:https://id.example#ada)", "as agreed")


def test_an_approval_alone_leaves_the_applying_to_somebody(web: Site) -> None:
    run = waiting(web, options={"apply": True})
    person = web.person(ada(APPROVER, Grant(role=Role.OPERATOR)))
    person.post(f"/runs/{run.id}/approve", digest=run.digest)
    assert web.store.runs.get(run.id).options["apply"] is False
    assert "Apply</button>" in person.get(f"/runs/{run.id}").text
    person.post(f"/runs/{run.id}/apply")
    assert web.store.runs.get(run.id).options["apply"] is True


def test_a_page_left_open_cannot_approve_a_newer_plan(web: Site) -> None:
    run = waiting(web)
    reviewed(web, run, a_review(change("groups", Action.DELETE)))
    answer = web.person(ada(APPROVER)).post(
        f"/runs/{run.id}/approve", digest=run.digest, comment="my words", apply="true"
    )
    assert answer.status_code == 409
    assert web.store.runs.get(run.id).status is Status.WAITING
    assert "my words" in answer.text  # nothing that was typed is lost
    assert "Another digest" in answer.text


@pytest.mark.parametrize("by", ["check", "rule"])
def test_what_the_policy_stops_says_so_and_has_no_button_to_approve_it(web: Site, by: str) -> None:
    shown = a_review(change("groups", Action.CREATE, after={}))
    finding = CheckResult(
        name="conftest", blocks=True, outcome="failed", summary="<b>2</b>", findings=("a\u202eb",), cost=1.5
    )
    said = Verdict(rule="freeze", then="deny", message="Not in December.")
    run = waiting(web, shown.model_copy(update={"checks": (finding,)} if by == "check" else {"verdict": said}))
    person = web.person(ada(APPROVER))
    page = person.get(f"/runs/{run.id}").text
    told = (
        ("blocks</strong>", "1.50", "&lt;b&gt;2", "a&lt;U+202E&gt;b")
        if by == "check"
        else ("The rule freeze says: nobody may approve it. Not in December.",)
    )
    assert all(text in page for text in told), page
    assert "Approve exactly this" not in page
    assert "Reject</button>" in page
    assert person.post(f"/runs/{run.id}/approve", digest=run.digest).status_code == 409
    assert web.store.runs.get(run.id).status is Status.WAITING


def test_a_beginning_of_a_digest_is_not_enough_on_the_page(web: Site) -> None:
    run = waiting(web)
    assert web.person(ada(APPROVER)).post(f"/runs/{run.id}/approve", digest=run.digest[:12]).status_code == 422
    assert web.store.runs.get(run.id).status is Status.WAITING


def test_a_rejected_run_is_over(web: Site) -> None:
    run = waiting(web)
    person = web.person(ada(APPROVER))
    assert person.post(f"/runs/{run.id}/reject", comment="wrong zone").status_code == 303
    assert web.store.runs.get(run.id).status is Status.REJECTED
    assert "Approve exactly this" not in person.get(f"/runs/{run.id}").text


def test_an_operator_sees_no_buttons_that_are_not_theirs(web: Site) -> None:
    run = waiting(web)
    page = web.person(ada(Grant(role=Role.OPERATOR))).get(f"/runs/{run.id}").text
    assert "Approve exactly this" not in page
    assert "Cancel the run" in page
    assert "Cancel the run" not in web.person(ada(Grant(role=Role.VIEWER))).get(f"/runs/{run.id}").text


@pytest.fixture
def four_eyes(tmp_path: Path) -> Path:
    return documents(tmp_path, approval={"policy": "always", "fourEyes": True})


def test_four_eyes_are_two_people_who_signed_in(tmp_path: Path, four_eyes: Path) -> None:
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store, paths=(four_eyes,)) as web:
        bert, anna = ada(subject="bert"), ada(subject="anna")
        run = waiting(web, options={"asked_by": bert.id})
        own = web.person(bert).post(f"/runs/{run.id}/approve", digest=run.digest)
        assert own.status_code == 409
        assert "A second person has to approve" in own.text
        program = web.program(APPROVER).post(f"/api/v1/runs/{run.id}/approve", json={"digest": run.digest})
        assert (program.status_code, program.json()["code"]) == (409, "four-eyes-without-sign-in")
        assert web.person(anna).post(f"/runs/{run.id}/approve", digest=run.digest).status_code == 303


def test_four_eyes_do_not_trust_a_name_of_an_account(tmp_path: Path, four_eyes: Path) -> None:
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store, paths=(four_eyes,)) as web:
        run = waiting(web, by="bert")
        answer = web.person(ada()).post(f"/runs/{run.id}/approve", digest=run.digest)
        assert answer.status_code == 409
        assert "without signing in" in answer.text


def test_a_plan_that_waited_until_a_freeze_began_is_refused_and_goes_on_waiting(tmp_path: Path) -> None:
    begun = {"name": "freeze", "when": 'now > timestamp("2001-01-01T00:00:00Z")', "then": "deny", "message": "Not now."}
    where = documents(tmp_path, approval={"policy": "always", "rules": [begun]})
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store, paths=(where,)) as web:
        run = waiting(web)  # its review is of before: no rule denied it
        answer = web.person(ada(APPROVER)).post(f"/runs/{run.id}/approve", digest=run.digest, comment="my words")
        assert answer.status_code == 409
        assert "The rule freeze denies this: Not now. It did not when the plan was made." in answer.text
        assert "my words" in answer.text
        assert web.store.runs.get(run.id).status is Status.WAITING


def test_an_approver_of_another_zone_does_not_even_see_the_run(web: Site) -> None:
    run = waiting(web)
    person = web.person(ada(Grant(role=Role.APPROVER, zones=("other",))))
    assert person.get(f"/runs/{run.id}").status_code == 404
    assert person.post(f"/runs/{run.id}/approve", digest=run.digest).status_code == 404
    assert TENANT not in person.get("/").text


def test_runs_are_started_for_chosen_tenants_and_what_cannot_be_is_told(web: Site) -> None:
    person = web.person(ada(Grant(role=Role.OPERATOR)))
    answer = person.post("/start", tenants=[TENANT, "nobody.knows"], plan_only="true", reason="new tag")
    assert "There is no such tenant" in answer.text
    (run,) = web.store.runs.find(tenant=TENANT)
    assert (run.status, run.executor, run.reason, run.workspace) == (Status.PENDING, "", "new tag", "payments")
    assert run.options == {"plan_only": True, "asked_by": "oidc:https://id.example#ada"}
    one = person.post("/start", tenants=[TENANT])
    assert one.headers["location"] == f"/runs/{web.store.runs.find(tenant=TENANT, limit=1)[0].id}"


def test_a_persons_run_does_not_wait_for_one_that_nobody_asked_for(web: Site) -> None:
    web.person(ada()).post("/start", tenants=[TENANT])
    (scheduled,) = web.store.runs.find(tenant=TENANT)
    web.store.runs.note(scheduled.id, options={"scheduled": True})
    web.store.runs.move(scheduled.id, Status.PLANNING, now=web.server.now, executor="elsewhere")
    web.person(ada()).post("/start", tenants=[TENANT])
    assert web.store.runs.cancel_requested(scheduled.id)


def test_a_deletion_is_asked_for_and_decided(web: Site) -> None:
    operator, approver = web.person(ada(Grant(role=Role.OPERATOR))), web.person(ada(APPROVER, subject="anna"))
    assert operator.post(f"/tenants/{TENANT}/deletion", reason="project ended").status_code == 303
    assert operator.post(f"/tenants/{TENANT}/deletion/approve").status_code == 403
    assert "project ended" in approver.get(f"/tenants/{TENANT}").text
    assert approver.post(f"/tenants/{TENANT}/deletion/decline", comment="still used").status_code == 303
    assert "still used" in approver.get(f"/tenants/{TENANT}").text


def test_who_was_turned_away_is_recorded(web: Site) -> None:
    run = waiting(web)
    web.person(ada(Grant(role=Role.VIEWER))).post(f"/runs/{run.id}/approve", digest=run.digest)
    web.client(authorization="Bearer nonsense").get("/api/v1/whoami")
    told = [(entry.what, entry.by, entry.details.get("code")) for entry in web.store.audit.entries()]
    assert ("access-refused", "Ada (oidc:https://id.example#ada)", "not-allowed") in told
    assert ("access-refused", "somebody at 127.0.0.1", "token-not-good") in told
