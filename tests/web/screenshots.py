"""The pictures of pages in the README, taken of a server that shows an estate made up for them: `make screenshots`."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any

from runner.domain.events import Kind
from runner.domain.review import Contents
from tests.store.making import opened
from tests.web import filling
from tests.web.browser import browser, signed_in
from tests.web.serving import TENANT, ZONE, Site, ada, documents, site, waiting

WHERE = Path(__file__).parent.parent.parent / "examples" / "screenshots"
DEPLOYMENTS = Path(__file__).parent.parent.parent / "examples" / "documents" / "deployments"
_WORKSPACES = ("payments", "logistics", "risk", "retail", "people", "data")
_PROJECTS = ("ledger", "routing", "scoring", "shop", "payroll", "lake", "search", "mobile", "portal", "reports")
_STAGES = ("dev", "test", "prod")


def main() -> None:
    with tempfile.TemporaryDirectory() as name, chdir(name):  # so that pages name no place of this machine
        directory = Path()
        paths = (documents(directory), Path(shutil.copytree(DEPLOYMENTS, "baseline")))
        with opened(directory / "store", directory / "key") as store, site(store, paths=paths) as web:
            fill(web)
            take(web)


def fill(web: Site) -> None:
    """Some hundred tenants, and a plan that waits."""
    stages = [f"{project}-{stage}" for project in _PROJECTS for stage in _STAGES]
    names = [f"{workspace}.{stage}" for stage in stages for workspace in _WORKSPACES]
    filling.many_tenants(web, len(names), named=lambda number: names[number])
    placed = web.server.shelf.documents().placed(TENANT)
    held = (Contents(resource_group="rg-legacy", resources=("vm-build-01", "disk-build-01")),)
    run = waiting(
        web, filling.a_plan(placed, contents=held), reason="the team moves to the new network", by="Bela (oidc:x#bela)"
    )
    for step, seconds in (("read documents", 0.02), ("look people up", 0.31), ("initialise", 0.42), ("plan", 2.12)):
        web.store.runs.append(run.id, Kind.STEP_STARTED, {"name": step}, now=web.server.now)
        web.store.runs.append(run.id, Kind.STEP_SUCCEEDED, {"name": step, "seconds": seconds}, now=web.server.now)


def take(web: Site) -> None:
    WHERE.mkdir(exist_ok=True)
    run = web.store.runs.find(tenant=TENANT, limit=1)[0]
    with browser() as found:
        with signed_in(found, web, ada(), viewport={"width": 1100, "height": 980}) as page:
            page.goto(f"{web.address}/runs/{run.id}")
            page.get_by_text("Change the resource group rg-network-checkout-dev").click()
            page.locator(".lazy table").wait_for()
            keep(page, "review")
        with signed_in(found, web, ada(), viewport={"width": 1100, "height": 560}) as page:
            page.goto(web.address)
            keep(page, "inbox")
            page.goto(f"{web.address}/tenants?order=updated&descending=true")
            keep(page, "tenants")
        with signed_in(found, web, ada(), viewport={"width": 1100, "height": 560}, color_scheme="dark") as page:
            page.goto(f"{web.address}/zones/{ZONE}")
            keep(page, "landing-zone")


def keep(page: Any, name: str) -> None:
    """Small enough for a repository."""
    file = WHERE / f"{name}.png"
    page.screenshot(path=file)
    assert file.stat().st_size < 200_000, name


if __name__ == "__main__":
    main()
