"""What pages show, to whom, and what they answer where there is nothing to show; without a browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from runner.domain.access import Warn
from runner.domain.actor import Grant, Role
from runner.domain.events import Kind
from runner.domain.plan import Action
from runner.domain.review import Contents
from runner.domain.run import Failure, Run, Status
from runner.durable import new_id
from tests.domain.test_review import change
from tests.domain.test_review import made as a_review
from tests.store.making import a_run, a_state, a_waiting_run, opened
from tests.web import filling
from tests.web.serving import TENANT, ZONE, Person, Site, ada, documents, reviewed, site, waiting

VIEWER = Grant(role=Role.VIEWER)


def text(answer: Any) -> str:
    """The answer as somebody reads it."""
    assert answer.status_code == 200, answer.text
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())


@pytest.fixture
def me(web: Site) -> Person:
    return web.person(ada())


def a_plan(web: Site, **fields: Any) -> Run:
    return waiting(web, filling.a_plan(web.server.shelf.documents().placed(TENANT), **fields))


def say(web: Site, run: Run, *lines: str) -> None:
    now = web.server.now
    web.store.runs.append_log(run.id, [{"step": "plan", "level": "info", "text": line} for line in lines], now=now)


# --- Lists -----------------------------------------------------------------------------------------------------------


def test_the_inbox_has_what_waits_for_me_riskiest_and_oldest_first(web: Site, me: Person) -> None:
    for number, (risks, zone) in enumerate(((0, "a"), (2, "b"), (1, "a"))):
        a_waiting_run(web.store, f"r{number}", tenant=f"t{number}", landing_zone=zone, risks=risks)
    assert re.findall(r'href="/runs/(r\d)"', me.get("/").text) == ["r1", "r2", "r0"]
    assert re.findall(r'href="/runs/(r\d)"', me.get("/?risky=true").text) == ["r1", "r2"]
    assert re.findall(r'href="/runs/(r\d)"', me.get("/?zone=a").text) == ["r2", "r0"]
    approver = web.person(ada(Grant(role=Role.APPROVER, zones=("b",)), subject="bea"))
    assert re.findall(r'href="/runs/(r\d)"', approver.get("/").text) == ["r1"]


def test_filters_of_the_inbox_hold_on_its_next_page(web: Site, me: Person) -> None:
    for number in range(130):
        a_waiting_run(web.store, f"r{number:03}", tenant=f"t{number}", landing_zone="ab"[number % 2], risks=1)
    first = me.get("/?zone=a&risky=true").text
    assert "More" not in first
    assert len(re.findall(r'href="/runs/r', first)) == 65
    assert 'href="/?risky=true&amp;after=r099"' in me.get("/?risky=true").text
    assert len(re.findall(r'href="/runs/r', me.get("/?risky=true&after=r099").text)) == 30


def test_an_empty_inbox_says_what_is_going_on(web: Site, me: Person) -> None:
    told = text(me.get("/"))
    assert "Nothing waits for you. Nothing is at work, and nothing is left failed." in told
    assert "failed. Start a run of a tenant" in told
    assert "your role looks on" in text(web.person(ada(VIEWER, subject="vera")).get("/"))
    me.post("/start", tenants=[TENANT])
    assert "At work, or about to be" in text(me.get("/"))


def test_runs_are_filtered_and_go_on_to_older_ones(web: Site, me: Person) -> None:
    for number in range(120):
        web.store.runs.create(a_run(f"r{number:03}", f"t{number}", landing_zone="ab"[number % 2]))
    first = me.get("/runs?status=pending").text
    (older,) = re.findall(r'href="(/runs\?[^"]*)" rel="next"', first)
    assert len(re.findall(r'href="/runs/r', me.get(older.replace("&amp;", "&")).text)) == 20
    assert len(re.findall(r'href="/runs/r', me.get("/runs?zone=b").text)) == 60
    assert "No such runs" in text(me.get("/runs?tenant=nobody"))


def test_tenants_are_narrowed_to_what_somebody_may_see(web: Site) -> None:
    filling.many_tenants(web, 40)
    everybody = web.person(ada()).get("/tenants").text
    assert "41 tenants" in everybody
    of_sap = web.person(ada(Grant(role=Role.VIEWER, zones=("sap",)), subject="sam")).get("/tenants").text
    assert "10 tenants" in of_sap
    assert 'name="tenants"' not in of_sap  # whoever looks on chooses nothing
    assert "No such tenants" in web.person(ada()).get("/tenants?text=nobody").text


def test_an_order_and_its_filters_are_in_the_address(web: Site, me: Person) -> None:
    filling.many_tenants(web, 240)
    page = me.get("/tenants?zone=sap&order=updated").text
    assert 'aria-sort="ascending"' in page
    assert 'href="/tenants?zone=sap&amp;order=updated&amp;descending=true"' in page
    second = me.get("/tenants?order=updated&begin=100").text
    assert 'href="/tenants?order=updated" rel="prev"' in second
    assert 'href="/tenants?order=updated&amp;begin=200" rel="next"' in second


# --- A run -----------------------------------------------------------------------------------------------------------


def test_a_run_tells_everything_that_its_approval_would_mean(web: Site, me: Person) -> None:
    run = a_plan(web, contents=(Contents(resource_group="rg-legacy", resources=("vm1",)),), adopts={"shop": "99"})
    told = text(me.get(f"/runs/{run.id}"))
    for expected in (
        "+ 5 to add ~ 3 to change − 1 to destroy 3 people",
        "Gives Owner on the subscription",
        "dev2@partner.example into payments.checkout-dev-user is invited as a guest first, mail sent",
        "former@corp.example out of payments.checkout-dev-reader",
        "shop that exists already (99)",
        "rg-legacy holds 1 resource",
        "POST https://lz-hooks.azurewebsites.net/api/onboard as 7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0002, in a way that was not approved",
        run.digest,
        "Nothing happens until somebody decides.",
    ):
        assert expected in told, expected


def test_what_a_policy_and_checks_said_is_on_the_review(web: Site, me: Person) -> None:
    run = a_plan(web)
    review = web.store.runs.review(run.id)
    assert review is not None
    check = {
        "name": "conftest",
        "blocks": True,
        "outcome": "failed",
        "summary": "2 wrong",
        "findings": ["no <b>"],
        "more": 1,
    }
    check |= {"cost": 12.5, "currency": "EUR"}
    verdict = {"rule": "no-owners", "then": "deny", "message": "Nobody is Owner here."}
    web.store.runs.keep_review(run.id, digest=run.digest, review=review | {"checks": [check], "verdict": verdict})
    told = text(me.get(f"/runs/{run.id}"))
    assert "conftest failed blocks 2 wrong 12.50 EUR a month no &lt;b&gt; and 1 more" in told
    assert "The rule no-owners says: nobody may approve it. Nobody is Owner here." in told
    assert "Nobody may approve this." in told
    assert "Approve exactly this" not in told
    assert "Reject" in told


def test_a_plan_of_old_documents_says_so(tmp_path: Path) -> None:
    where = documents(tmp_path)
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store, paths=(where,)) as web:
        run = waiting(web)
        assert "say something else now" not in text(web.person(ada()).get(f"/runs/{run.id}"))
        file = next((where / "tenants").iterdir())
        file.write_text(file.read_text().replace("4711", "4712"))
        web.server.shelf.look()
        assert "say something else now" in text(web.person(ada()).get(f"/runs/{run.id}"))


def test_wrong_documents_are_told_on_every_page_to_whoever_can_mend_them(tmp_path: Path) -> None:
    where = documents(tmp_path)
    with opened(tmp_path / "store", tmp_path / "key") as store, site(store, paths=(where,)) as web:
        (where / "landing-zone.yaml").write_text("kind: LandingZone\nspec: [")
        web.server.shelf.look()
        for path in ("/", "/runs", "/tenants", "/zones", f"/tenants/{TENANT}"):
            assert "What is wrong" in text(web.person(ada()).get(path)), path
            assert "What is wrong" not in text(web.person(ada(VIEWER, subject="vera")).get(path)), path


def test_a_failure_is_told_with_whose_turn_it_is(web: Site, me: Person) -> None:
    me.post("/start", tenants=[TENANT])
    (run,) = web.store.runs.find(tenant=TENANT)
    web.store.runs.move(run.id, Status.PLANNING, now=web.server.now, executor="tests")
    web.store.runs.append(run.id, Kind.STEP_STARTED, {"name": "initialise"}, now=web.server.now)
    failed = {"name": "initialise", "seconds": 1.25, "summary": "No way"}
    web.store.runs.append(run.id, Kind.STEP_FAILED, failed, now=web.server.now)
    failure = Failure(family="engine", code="x", summary="No way", detail="line\x1b[2J", hint="try", step="initialise")
    web.store.runs.move(run.id, Status.FAILED, now=web.server.now, executor="tests", failure=failure)
    told = text(me.get(f"/runs/{run.id}"))
    assert "No way in the step “initialise” line&lt;U+001B&gt;[2J Terraform could not do it" in told
    assert "initialise failed 1.2 s No way" in told
    assert "It was never planned." in told
    assert "Failed, and not run again since" in text(me.get("/"))
    assert "Run it again" in told
    assert "Run it again" not in text(web.person(ada(VIEWER, subject="vera")).get(f"/runs/{run.id}"))


def test_a_failure_after_which_the_tenant_was_run_again_says_where_it_goes_on(web: Site, me: Person) -> None:
    me.post("/start", tenants=[TENANT])
    (run,) = web.store.runs.find(tenant=TENANT)
    web.store.runs.move(run.id, Status.FAILED, now=web.server.now)
    again = me.post("/start", tenants=[TENANT], plan_only="true", reason="once more")
    told = text(me.get(f"/runs/{run.id}"))
    assert "It was run again since: pending" in told
    assert "Run it again" not in told
    assert again.headers["location"] in me.get(f"/runs/{run.id}").text
    assert "Failed, and" not in text(me.get("/"))


def test_a_building_blocks_run_is_decided_in_meshstack(web: Site, me: Person) -> None:
    block = filling.a_block("b1", "a bucket", filling.thing("x", ["create"], after={"a": 1}))
    run = a_run(new_id(), "b1", landing_zone="Storage", options={"meshstack": {"run": "m"}}, workspace="w")
    web.store.runs.create(run)
    web.store.runs.move(run.id, Status.PLANNING, now=web.server.now, executor="tests")
    web.store.runs.keep_review(run.id, digest=block.digest, review=block.model_dump(mode="json"))
    web.store.runs.note(run.id, digest=block.digest)
    web.store.runs.move(run.id, Status.WAITING, now=web.server.now, executor="tests")
    told = text(me.get(f"/runs/{run.id}"))
    assert "Building block Storage" in told
    assert "It is made in meshStack." in told
    assert "a bucket" in told
    assert "Approve exactly this" not in told
    assert me.post(f"/runs/{run.id}/reject").status_code == 409
    assert "a bucket" in text(me.get(f"/runs/{run.id}/changes/0"))
    assert block.digest in text(me.get(f"/runs/{run.id}/record"))


def test_parts_of_a_run_are_asked_for_alone(web: Site, me: Person) -> None:
    run = a_plan(web)
    web.store.runs.append(run.id, Kind.STEP_STARTED, {"name": "plan"}, now=web.server.now)
    verdict = me.get(f"/runs/{run.id}?part=verdict").text
    assert "<html" not in verdict
    assert 'id="steps" hx-swap-oob="true"' in verdict
    assert "Approve exactly this" in me.get(f"/runs/{run.id}?part=decision&comment=mine").text
    rows = me.client.get(f"/runs/{run.id}/changes/1", headers={"hx-request": "true"}).text
    assert "<html" not in rows
    assert "tags.owner" in rows


def test_changes_are_searched_and_gone_through(web: Site, me: Person) -> None:
    run = waiting(web, filling.a_large_plan(web.server.shelf.documents().placed(TENANT), many=450))
    first = me.get(f"/runs/{run.id}").text
    assert first.count("<details><summary>") == 200
    assert "250 more changes" in first
    assert me.get(f"/runs/{run.id}?begin=400").text.count("<details><summary>") == 50
    assert "1 of 450" in text(me.get(f"/runs/{run.id}?q=RG-0007"))
    assert "150 of 450" in text(me.get(f"/runs/{run.id}?sign=%2B"))
    assert "No such changes" in text(me.get(f"/runs/{run.id}?q=nothing"))


def test_a_record_holds_every_attribute_and_what_it_is_bound_to(web: Site, me: Person) -> None:
    run = a_plan(web)
    me.post(f"/runs/{run.id}/approve", digest=run.digest, comment="as agreed")
    told = text(me.get(f"/runs/{run.id}/record"))
    for expected in (
        "Approved by Ada (oidc:https://id.example#ada)",
        "as agreed",
        run.digest,
        "p" * 64,
        "tags.owner",
        "x-mesh",
    ):
        assert expected in told, expected
    assert "location same" not in told
    assert "location same" in text(me.get(f"/runs/{run.id}/record?everything=true"))
    assert "hunter2" not in told
    assert me.get(f"/runs/{run.id}").text.count("/record") == 1


def test_a_log_is_shown_from_its_end_and_whole_as_text(web: Site, me: Person) -> None:
    run = a_plan(web)
    say(web, run, *(f"line {number}" for number in range(700)), "\x1b[31mred\x1b[0m \u202etxt <script>")
    page = me.get(f"/runs/{run.id}").text
    assert "These are the last lines." in page
    assert "line 10\n" not in re.sub(r"<[^>]*>", "", page)
    assert "red &lt;U+202E&gt;txt &lt;script&gt;" in page
    log = me.get(f"/runs/{run.id}/log")
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    lines = log.text.splitlines()
    assert len(lines) == 701
    assert lines[10].endswith("Z line 10")
    assert lines[-1].endswith("red <U+202E>txt <script>")


def test_a_decision_that_comes_too_late_shows_the_run_as_it_is(web: Site, me: Person) -> None:
    run = waiting(web, a_review(change("groups", Action.CREATE, key="a")))
    me.post(f"/runs/{run.id}/reject")
    for what in ("approve", "reject", "apply", "cancel"):
        answer = me.post(f"/runs/{run.id}/{what}", digest=run.digest, comment="my words")
        assert answer.status_code == 409, what
        assert 'role="alert"' in answer.text
        assert TENANT in answer.text


def test_a_plan_that_is_other_only_in_its_making_says_so(web: Site, me: Person) -> None:
    review = a_review(change("groups", Action.CREATE, key="a"))
    run = waiting(web, review)
    reviewed(web, run, review.model_copy(update={"warnings": (Warn(code="w", text="w"),)}))
    answer = me.post(f"/runs/{run.id}/approve", digest=run.digest)
    assert "Nothing that happens: only what it was planned with." in answer.text


@pytest.mark.parametrize(
    "path",
    ["/runs/{id}/changes/99", "/runs/nothing", "/runs/nothing/record", "/tenants/nobody", "/zones/none", "/nowhere"],
)
def test_where_there_is_nothing_a_page_says_so(web: Site, me: Person, path: str) -> None:
    run = a_plan(web)
    answer = me.get(path.format(id=run.id))
    assert answer.status_code == 404
    assert "<h1>" in answer.text
    assert "Inbox" in answer.text


def test_a_run_that_was_not_planned_has_no_record(web: Site, me: Person) -> None:
    me.post("/start", tenants=[TENANT])
    (run,) = web.store.runs.find(tenant=TENANT)
    assert me.get(f"/runs/{run.id}/record").status_code == 404
    assert me.get(f"/runs/{run.id}/changes/0").status_code == 404


# --- Tenants and landing zones ---------------------------------------------------------------------------------------


def test_a_tenant_is_shown_as_it_should_be_and_as_far_as_it_is_known(web: Site, me: Person) -> None:
    run = a_plan(web)
    review = filling.a_plan(web.server.shelf.documents().placed(TENANT))
    moved = filling.thing("tags", ["update"], before={"a": "1"}, after={"a": "2"})
    reviewed(
        web, run, review.model_copy(update={"drift": (moved,), "warnings": (Warn(code="w", text="look at this"),)})
    )
    told = text(me.get(f"/tenants/{TENANT}"))
    for expected in (
        "payments.checkout-dev-admin: Owner",
        "dev1@corp.example: Project Admin",
        "look at this",
        "module.tags",
    ):
        assert expected in told, expected
    assert "Ask for its deletion" in told
    assert "Ask for its deletion" not in text(web.person(ada(VIEWER, subject="vera")).get(f"/tenants/{TENANT}"))


def test_azure_that_does_not_answer_is_told_and_not_an_error(web: Site, me: Person) -> None:
    assert "Azure is not here" in text(me.get(f"/tenants/{TENANT}/azure"))
    part = me.client.get(f"/tenants/{TENANT}/azure", headers={"hx-request": "true"})
    assert "<html" not in part.text


def test_two_versions_of_a_state_are_compared(web: Site, me: Person) -> None:
    attempt = web.store.states.open_attempt(TENANT, "r1", now=web.server.now)
    for serial in (1, 2, 3):
        secret = [[{"type": "get_attr", "value": "password"}]]
        attributes = {"size": serial, "password": f"hunter{serial}"}
        instance = {"attributes": attributes, "sensitive_attributes": secret}
        resource = {"mode": "managed", "type": "t", "name": "n", "instances": [instance]}
        web.store.states.write(attempt, a_state(serial, resources=[resource]), lock_id=None, now=web.server.now)
    newest = text(me.get(f"/tenants/{TENANT}/states/3"))
    assert "Compared with version 2" in newest
    assert "size changed 2 3" in newest
    assert "hunter" not in newest
    assert "size changed 1 3" in text(me.get(f"/tenants/{TENANT}/states/3?since=1"))
    assert "There is no older one." in text(me.get(f"/tenants/{TENANT}/states/1"))
    assert "since version 2" in text(me.get(f"/tenants/{TENANT}"))


def test_a_version_of_a_state_names_the_run_that_wrote_it(web: Site, me: Person) -> None:
    me.post("/start", tenants=[TENANT])
    (run,) = web.store.runs.find(tenant=TENANT)
    attempt = web.store.states.open_attempt(TENANT, run.id, now=web.server.now)
    web.store.states.write(attempt, a_state(1), lock_id=None, now=web.server.now)
    assert f'<a href="/runs/{run.id}">the run of ' in me.get(f"/tenants/{TENANT}").text


def test_outputs_of_a_run_are_shown_as_json(web: Site, me: Person) -> None:
    me.post("/start", tenants=[TENANT])
    (run,) = web.store.runs.find(tenant=TENANT)
    for name, value in (("groups", {"admin": None}), ("subscription", "4f1c")):
        web.store.runs.append(run.id, Kind.OUTPUT, {"name": name, "value": value}, now=web.server.now)
    assert "groups {&#34;admin&#34;: null} subscription 4f1c" in text(me.get(f"/runs/{run.id}"))


def test_a_landing_zone_is_drawn_with_its_tenants_and_who_decides(web: Site, me: Person) -> None:
    page = me.get(f"/zones/{ZONE}")
    assert 'role="img" aria-labelledby="picture-title picture-words"' in page.text
    told = text(page)
    assert "a person, every time something changes" in told
    assert TENANT in told
    assert ZONE in text(me.get("/zones"))


def test_a_landing_zone_tells_which_versions_its_tenants_have(web: Site, me: Person) -> None:
    for number, version in enumerate(("3.0", "3.1", "3.1")):
        options = {"versions": {"blueprint <network>": version}}
        web.store.runs.create(a_run(f"r{number}", f"t{number}", landing_zone=ZONE, options=options))
        for status in (Status.PLANNING, Status.UNCHANGED):
            web.store.runs.move(f"r{number}", status, now=web.server.now)
    told = text(me.get(f"/zones/{ZONE}"))
    assert "blueprint &lt;network&gt; no longer 3.1 (2 tenants), 3.0 (1 tenant)" in told
    answer = web.program().get(f"/api/v1/zones/{ZONE}").json()
    assert answer["versions"] == {"blueprint <network>": {"3.1": 2, "3.0": 1}}


def test_a_landing_zone_that_is_documented_no_longer_still_has_its_tenants(web: Site, me: Person) -> None:
    filling.many_tenants(web, 8)
    told = text(me.get("/zones/sap"))
    assert "It is documented no longer." in told
    assert "ws03.project-00003" in told


# --- Around pages ----------------------------------------------------------------------------------------------------


def test_files_of_pages_are_kept_by_browsers_and_named_by_their_content(web: Site, me: Person) -> None:
    page = me.get("/").text
    found = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(found) == 4
    for path in found:
        answer = web.client().get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert web.client().get("/static/page.css").status_code == 404
    assert web.client().get("/static/..%2fbase.html").status_code == 404


def test_nothing_in_a_page_needs_more_than_the_policy_allows(web: Site, me: Person) -> None:
    run = a_plan(web)
    for path in ("/", f"/runs/{run.id}", f"/runs/{run.id}/record", "/tenants", f"/tenants/{TENANT}", f"/zones/{ZONE}"):
        page = me.get(path).text
        assert not re.search(r"<script(?![^>]* src=\"/static/)|<style| style=| on[a-z]+=|https?://[^ ]*\.js", page), (
            path
        )
        assert '<html lang="en">' in page
        assert page.count("<h1") == 1
        assert 'href="#main"' in page
