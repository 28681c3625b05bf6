"""Pages in a real browser: deciding with mouse and keyboard, what goes on before one's eyes, and that nothing is wrong for anybody.

Every page that is opened here fails its test where the browser complains: of an error, of content that the policy refuses, of a dialog
or of a request to elsewhere.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runner.domain.access import Warn
from runner.domain.actor import Grant, Role
from runner.domain.events import Kind
from runner.domain.plan import Action
from runner.domain.review import Contents
from runner.domain.run import Failure, Run, Status
from runner.store.opening import Store
from tests.domain.test_review import change
from tests.domain.test_review import made as a_review
from tests.estate import Estate
from tests.served import served
from tests.store.making import a_state, opened
from tests.web import filling
from tests.web.browser import AXE, browser, needs_browser, signed_in
from tests.web.serving import TENANT, ZONE, Site, ada, documents, reviewed, site, waiting

pytestmark = needs_browser

APPROVER = Grant(role=Role.APPROVER)
DEPLOYMENTS = Path(__file__).parent.parent.parent / "examples" / "documents" / "deployments"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as found:
        yield found


def a_plan(web: Site, **fields: Any) -> Run:
    return waiting(web, filling.a_plan(web.server.shelf.documents().placed(TENANT), **fields))


def shows(page: Any, text: str) -> None:
    """Wait until the page has this text."""
    page.get_by_text(text).first.wait_for()


def test_a_plan_is_looked_into_and_approved(web: Site, chrome: Any) -> None:
    run = a_plan(web)
    with signed_in(chrome, web, ada(APPROVER)) as page:
        page.goto(web.address)
        page.get_by_role("link", name=TENANT).click()
        page.get_by_text("Change the resource group rg-network-checkout-dev").click()
        row = page.get_by_role("row", name="tags.owner")
        row.wait_for()
        assert "nobody" in row.inner_text()
        assert "platform" in row.inner_text()
        assert page.locator(".lines .plus").inner_text().strip() == '+     "effect": "deny"'
        page.get_by_text("Set the tags lz_zone").click()
        shows(page, "sensitive, not shown")
        assert "hunter2" not in page.content()
        page.get_by_role("link", name="everything").first.click()
        page.get_by_role("row", name="location same").first.wait_for()
        page.get_by_label("Comment").fill("as agreed")
        page.get_by_role("button", name="Approve exactly this").click()
        shows(page, "Approved by Ada")
        shows(page, "as agreed")
    assert web.store.runs.get(run.id).status is Status.APPROVED


def test_a_plan_is_rejected_with_a_comment(web: Site, chrome: Any) -> None:
    run = a_plan(web)
    with signed_in(chrome, web, ada(APPROVER)) as page:
        page.goto(f"{web.address}/runs/{run.id}")
        page.get_by_label("Comment").fill("wrong zone")
        page.get_by_role("button", name="Reject").click()
        shows(page, "wrong zone")
        assert page.get_by_role("button", name="Approve exactly this").count() == 0
    assert web.store.runs.get(run.id).status is Status.REJECTED


def test_a_plan_is_approved_with_nothing_but_the_keyboard(web: Site, chrome: Any) -> None:
    run = a_plan(web, contents=(Contents(resource_group="rg-legacy", resources=("vm",)),))
    with signed_in(chrome, web, ada(APPROVER)) as page:
        page.goto(f"{web.address}/runs/{run.id}")
        keys = page.keyboard

        def focused() -> str:
            found: str = page.evaluate("document.activeElement.id + ' ' + document.activeElement.innerText")
            return found

        def tab_to(text: str) -> None:
            for _ in range(60):
                keys.press("Tab")
                if text in focused():
                    return
            raise AssertionError(f"no way to {text}")

        keys.press("Tab")
        assert "Skip to the content" in focused()
        keys.press("Enter")
        tab_to("Change the resource group")
        keys.press("Enter")
        page.get_by_role("row", name="tags.owner").wait_for()
        tab_to("comment")
        keys.type("looked at")
        tab_to("confirmed")
        keys.type("rg-legacy")
        tab_to("Approve exactly this")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        keys.press("Enter")
        shows(page, "looked at")
    assert web.store.runs.get(run.id).status is Status.APPROVED


def test_a_page_left_open_shows_what_is_different_and_keeps_the_comment(web: Site, chrome: Any) -> None:
    run = waiting(web, a_review(change("groups", Action.CREATE, key="a"), change("groups", Action.CREATE, key="b")))
    with signed_in(chrome, web, ada(APPROVER), expected=("409",)) as page:
        page.goto(f"{web.address}/runs/{run.id}")
        page.get_by_label("Comment").fill("my words")
        reviewed(web, run, a_review(change("groups", Action.DELETE, key="a"), change("groups", Action.CREATE, key="c")))
        page.get_by_role("button", name="Approve exactly this").click()
        alert = page.get_by_role("alert")
        alert.wait_for()
        told = alert.inner_text()
        assert "What is different from what you saw" in told
        assert re.search(r"other - Delete the group a", told)
        assert "new + Create the group c" in told
        assert "gone + Create the group b" in told
        assert page.get_by_label("Comment").input_value() == "my words"
        page.get_by_role("button", name="Approve exactly this").click()
        shows(page, "my words")
        assert web.store.runs.get(run.id).status is Status.APPROVED


def test_of_two_plans_the_newer_one_is_led_to_with_the_comment(web: Site, chrome: Any) -> None:
    older = waiting(web, a_review(change("groups", Action.CREATE, key="a")))
    with signed_in(chrome, web, ada(APPROVER), expected=("409",)) as page:
        page.goto(f"{web.address}/runs/{older.id}")
        page.get_by_label("Comment").fill("my words")
        newer = waiting(web, a_review(change("groups", Action.CREATE, key="b")))
        page.get_by_role("button", name="Approve exactly this").click()
        assert "new + Create the group b" in page.get_by_role("alert").inner_text()
        page.get_by_role("link", name="Look at the plan that took its place").click()
        page.wait_for_url(f"**/runs/{newer.id}?**")
        assert page.get_by_label("Comment").input_value() == "my words"


def test_what_happens_shows_without_a_reload_and_moves_nothing(web: Site, chrome: Any) -> None:
    run = a_plan(web)
    with signed_in(chrome, web, ada(APPROVER)) as page:
        page.goto(f"{web.address}/runs/{run.id}")
        page.get_by_label("Comment").fill("half a sentence")
        summary = page.get_by_text("Create the group payments.checkout-dev-user")
        summary.hover()
        before = summary.bounding_box()
        line = {"step": "plan", "level": "info", "text": "\x1b[1mhello\x1b[0m \u202etxt <b>"}
        web.store.runs.append(run.id, Kind.LOG, line, now=web.server.now)
        shows(page, "hello <U+202E>txt <b>")
        web.store.runs.move(run.id, Status.REJECTED, now=web.server.now, failure=_failure())
        page.locator("#verdict .status.is-rejected").wait_for()
        page.locator("#moved").wait_for()  # the form is being filled in, and stays
        assert page.get_by_label("Comment").input_value() == "half a sentence"
        assert abs(summary.bounding_box()["y"] - before["y"]) < 2


def _failure() -> Failure:
    return Failure(family="refused", code="rejected", summary="Rejected by Bert", detail="not today")


def test_a_run_that_is_being_planned_shows_its_plan_when_there_is_one(web: Site, chrome: Any) -> None:
    run = waiting(web)
    web.store.runs.move(run.id, Status.REJECTED, now=web.server.now, failure=_failure())
    with signed_in(chrome, web, ada()) as page:
        page.goto(f"{web.address}/tenants/{TENANT}")
        page.get_by_label("Why").first.fill("another try")
        page.get_by_role("button", name="Plan").click()
        shows(page, "Begins as soon as there is room.")
        run = web.store.runs.find(tenant=TENANT, limit=1)[0]
        web.store.runs.move(run.id, Status.PLANNING, now=web.server.now, executor="tests")
        web.store.runs.append(run.id, Kind.STEP_STARTED, {"name": "initialise"}, now=web.server.now)
        page.locator("#steps li", has_text="initialise").wait_for()
        page.locator("#verdict .now", has_text="initialise").wait_for()
        reviewed(web, run, filling.a_plan(web.server.shelf.documents().placed(TENANT)))
        web.store.runs.move(run.id, Status.WAITING, now=web.server.now, executor="tests")
        page.get_by_role("button", name="Approve exactly this").wait_for()
        shows(page, "Delete the resource group rg-legacy")


def test_the_log_goes_on_after_the_server_was_killed_and_started_again(estate: Estate, chrome: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = chrome.new_context()
    page = context.new_page()
    with served(estate, "--no-work", "--port", port) as first, estate.store() as store:
        first.sign_in()
        cookies = [{"name": one.name, "value": one.value, "url": first.address} for one in first.client.cookies.jar]
        context.add_cookies(cookies)
        (told,) = first.post("/runs", {"tenants": [TENANT]}, status=201)["runs"]
        store.runs.move(told["id"], Status.PLANNING, now=datetime.now(UTC), executor="tests")
        page.goto(f"{first.address}/runs/{told['id']}")
        _say(store, told["id"], "before")
        shows(page, "before")
        estate.kill(first.process)
        _say(store, told["id"], "while nobody served")
        with served(estate, "--no-work", "--port", port):
            _say(store, told["id"], "after")
            shows(page, "after")
            assert page.locator("#log .line").all_inner_texts() == ["before", "while nobody served", "after"]
            page.reload()
            assert page.locator("#log .line").all_inner_texts() == ["before", "while nobody served", "after"]
    context.close()


def _say(store: Store, run_id: str, text: str) -> None:
    store.runs.append(run_id, Kind.LOG, {"step": "plan", "level": "info", "text": text}, now=datetime.now(UTC))


def test_a_plan_that_wants_to_do_harm_is_text(web: Site, chrome: Any) -> None:
    placed = web.server.shelf.documents().placed(TENANT)
    run = waiting(web, filling.a_hostile_plan(placed), reason="<script>alert(0)</script>\u202e", by="\u202e<b>Eve</b>")
    _say(web.store, run.id, "</pre><script>alert(6)</script>")
    with signed_in(chrome, web, ada()) as page:
        page.goto(f"{web.address}/runs/{run.id}")
        shows(page, "<U+202E>")
        assert page.locator("script:not([src]), svg[onload], img[onerror]").count() == 0
        page.locator("#change-0 summary").click()
        page.locator("#change-0").get_by_text("more characters").first.wait_for()
        for number in (0, 1, 4, 6):
            page.goto(f"{web.address}/runs/{run.id}/changes/{number}?everything=true")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.goto(f"{web.address}/runs/{run.id}#change-2999")
        page.wait_for_url("**/changes/2999")
        page.goto(f"{web.address}/runs/{run.id}?q=0777")
        assert page.locator("#changes ul.changes details").count() == 1
        page.goto(f"{web.address}/?zone=%22%3E%3Cscript%3Ealert(7)%3C/script%3E")
        page.goto(f"{web.address}/tenants?text=%22%3E%3Cscript%3Ealert(8)%3C/script%3E")


def test_ten_thousand_tenants_are_filtered_sorted_and_started(web: Site, chrome: Any) -> None:
    filling.many_tenants(web)
    with signed_in(chrome, web, ada()) as page:
        page.goto(f"{web.address}/tenants")
        shows(page, "10001 tenants, 1 to 100")
        page.get_by_role("link", name="Next").click()
        shows(page, "101 to 200")
        page.get_by_label("Landing zone").select_option("sap")
        page.get_by_label("Name").fill("project-0012")
        page.get_by_role("button", name="Show").click()
        shows(page, "2 tenants")
        page.get_by_role("link", name="Last run").click()
        page.wait_for_url("**order=updated**")
        page.goto(f"{web.address}/tenants?text=payments")
        page.get_by_label("Choose all that are shown").check()
        page.get_by_role("button", name="Plan").click()
        shows(page, "Begins as soon as there is room.")
        page.goto(web.address)
        shows(page, "At work, or about to be")
    (run,) = web.store.runs.find(tenant=TENANT)
    assert (run.status, run.options["plan_only"]) == (Status.PENDING, True)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, str]]]:
    """A site with something on every page, and where the pages are."""
    where = tmp_path_factory.mktemp("filled")
    with (
        opened(where / "store", where / "key") as store,
        site(store, paths=(documents(where), DEPLOYMENTS)) as web,
    ):
        filling.many_tenants(web, 40)
        attempt = store.states.open_attempt(TENANT, "r1", now=web.server.now)
        for serial in (1, 2):
            resource = {"mode": "managed", "type": "t", "name": "n", "instances": [{"attributes": {"size": serial}}]}
            store.states.write(attempt, a_state(serial, resources=[resource]), lock_id=None, now=web.server.now)
        run = a_plan(web, contents=(Contents(resource_group="rg-legacy", resources=("vm",)),))
        review = filling.a_plan(web.server.shelf.documents().placed(TENANT))
        drifted = filling.thing("tags", ["update"], before={"tags": {"a": "1"}}, after={"tags": {"a": "2"}})
        reviewed(web, run, review.model_copy(update={"drift": (drifted,), "warnings": (Warn(code="w", text="look"),)}))
        store.runs.append(run.id, Kind.STEP_STARTED, {"name": "plan"}, now=web.server.now)
        _say(store, run.id, "hello")
        yield (
            web,
            {
                "inbox": "/",
                "runs": "/runs",
                "run": f"/runs/{run.id}",
                "change": f"/runs/{run.id}/changes/1",
                "record": f"/runs/{run.id}/record",
                "fleet": "/tenants",
                "tenant": f"/tenants/{TENANT}",
                "azure": f"/tenants/{TENANT}/azure",
                "state": f"/tenants/{TENANT}/states/2",
                "zones": "/zones",
                "zone": "/zones/corp-baseline",
                "zone with a function": f"/zones/{ZONE}",
                "api": "/api/docs",
                "sign-in": "/sign-in",
                "nothing": "/runs/nothing",
            },
        )


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is needed: make servers")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(filled: tuple[Site, dict[str, str]], chrome: Any, scheme: str) -> None:
    web, pages = filled
    axe = AXE.read_text()
    found: dict[str, Any] = {}
    with signed_in(chrome, web, ada(), expected=("404",), color_scheme=scheme) as page:
        for name, path in pages.items():
            page.goto(web.address + path)
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            page.wait_for_function("() => document.querySelectorAll('.lazy:not(:has(table))').length === 0")
            page.evaluate(axe)
            told = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            if told["violations"]:
                found[name] = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in told["violations"]]
    assert found == {}, json.dumps(found, indent=2)


def test_pages_fit_a_narrow_screen(filled: tuple[Site, dict[str, str]], chrome: Any) -> None:
    web, pages = filled
    with signed_in(chrome, web, ada(), expected=("404",), viewport={"width": 360, "height": 740}) as page:
        for path in pages.values():
            page.goto(web.address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_a_review_is_printed_with_everything_that_was_approved(
    filled: tuple[Site, dict[str, str]], chrome: Any
) -> None:
    web, pages = filled
    with signed_in(chrome, web, ada()) as page:
        page.goto(web.address + pages["record"])
        page.emulate_media(media="print")
        text = page.locator("main").inner_text()
        run = web.store.runs.find(tenant=TENANT, limit=1)[0]
        for told in (
            run.digest,
            "tags.owner",
            '"effect": "deny"',
            "dev2@partner.example",
            "x-mesh",
            "sensitive, not shown",
        ):
            assert told in text, told
        assert page.locator("details:not([open])").count() == 0
        assert not page.locator("header.top").is_visible()
        assert len(page.pdf()) > 10_000


def test_pages_are_used_without_scripts(web: Site, chrome: Any) -> None:
    run = a_plan(web)
    with signed_in(chrome, web, ada(), java_script_enabled=False) as page:
        page.goto(web.address)
        page.get_by_role("link", name=TENANT).click()
        page.get_by_text("Change the resource group rg-network-checkout-dev").click()
        page.get_by_role("link", name="module.resource_group_network").click()
        page.get_by_role("row", name="tags.owner").wait_for()
        page.get_by_role("link", name=f"Run of {TENANT}").click()
        page.get_by_role("button", name="Approve exactly this").click()
        shows(page, "Approved by Ada")
    assert web.store.runs.get(run.id).status is Status.APPROVED
