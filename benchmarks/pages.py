"""How soon a browser has the first byte of the pages that are largest, and how soon it shows what just happened in a run.

`python -m benchmarks.pages` ends with one line of JSON, in milliseconds.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from runner.domain.events import Kind
from runner.domain.run import Run, Status
from runner.durable import new_id
from tests.store.making import opened
from tests.web import filling
from tests.web.browser import browser, signed_in
from tests.web.serving import TENANT, Site, ada, site, waiting

TIMES = 20
EVENTS = 20
CHANGES = 3_000
TENANTS = 10_000


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        opened(Path(name) / "store", Path(name) / "key") as store,
        site(store) as web,
    ):
        filling.many_tenants(web, TENANTS)
        run = waiting(web, filling.a_large_plan(web.server.shelf.documents().placed(TENANT), many=CHANGES))
        print(json.dumps(first_bytes(web, run) | {"event_to_browser": event_to_browser(web)}))


def first_bytes(web: Site, run: Run) -> dict[str, float]:
    """Medians from the request to the first byte of the answer's body."""
    client = web.person(ada()).client
    pages = {
        "run": f"/runs/{run.id}",
        "run_searched": f"/runs/{run.id}?q=rg-2999",
        "run_verdict": f"/runs/{run.id}?part=verdict",
        "change": f"/runs/{run.id}/changes/2999",
        "record": f"/runs/{run.id}/record",
        "inbox": "/",
        "fleet": "/tenants",
        "fleet_last": f"/tenants?begin={TENANTS - 100}",
        "fleet_by_update": "/tenants?order=updated&descending=true",
        "fleet_filtered": "/tenants?zone=sap&text=project-00&only=drifted",
    }
    return {name: timed(client, path) for name, path in pages.items()}


def timed(client: httpx.Client, path: str) -> float:
    """The median time to the first byte."""
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        with client.stream("GET", path) as answer:
            next(answer.iter_raw())
            took.append(time.perf_counter() - began)
            assert answer.status_code == 200, path
    return round(1000 * median(took), 1)


def event_to_browser(web: Site) -> dict[str, float]:
    """From the journal to the text in a page."""
    at_work = web.store.runs.find(statuses=(Status.UNCHANGED,), limit=1)[0].model_copy(
        update={"id": new_id(), "status": Status.PENDING, "options": {}}
    )
    web.store.runs.create(at_work)
    web.store.runs.move(at_work.id, Status.PLANNING, now=web.server.now, executor="benchmark")
    with browser() as found, signed_in(found, web, ada()) as page:
        page.goto(f"{web.address}/runs/{at_work.id}")
        took = [shown(web, at_work, page, number) for number in range(EVENTS)]
    return {"median": round(1000 * median(took), 1), "worst": round(1000 * max(took), 1)}


def shown(web: Site, run: Run, page: Any, number: int) -> float:
    """How long a line took."""
    line: dict[str, Any] = {"step": "plan", "level": "info", "text": f"line {number}."}
    began = time.perf_counter()
    web.store.runs.append(run.id, Kind.LOG, line, now=web.server.now)
    page.wait_for_function("text => document.getElementById('log').textContent.includes(text)", arg=line["text"])
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
