"""How quickly a server answers with 10,000 tenants and as many runs, and how soon an event reaches whoever watches a run.

`python -m benchmarks.web` ends with one line of JSON, in milliseconds.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx

from runner.domain.events import Kind
from runner.domain.run import Status
from runner.ports import Documented
from tests.store.making import a_run, opened
from tests.web.api_server import Served
from tests.web.serving import documents, site

MANY = 10_000
TIMES = 10
EVENTS = 40


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        where = documents(directory)
        with opened(directory / "store", directory / "key") as store, site(store, paths=(where,)) as found:
            served = Served(found, where)
            fill(served)
            print(json.dumps(lists(served.client()) | {"event_to_client": latency(served)}))


def fill(served: Served) -> None:
    """Tenants of 300 workspaces in 20 zones, each with a run."""
    names = [f"ws{number % 300}.t{number:05}" for number in range(MANY)]
    served.store.fleet.know(
        [
            Documented(
                tenant=name,
                landing_zone=f"zone{number % 20}",
                platform="azure",
                workspace=f"ws{number % 300}",
                digest=f"{number:064}",
            )
            for number, name in enumerate(names)
        ]
    )
    for number, name in enumerate(names):
        fields = {"landing_zone": f"zone{number % 20}", "workspace": f"ws{number % 300}"}
        served.store.runs.create(a_run(f"r{number:05}", name, **fields))


def lists(client: httpx.Client) -> dict[str, float]:
    """Medians of whole requests."""
    far = client.get("/tenants", params={"limit": 500}).json()["next"]
    for _ in range(18):
        far = client.get("/tenants", params={"limit": 500, "cursor": far}).json()["next"]
    asked: dict[str, tuple[str, dict[str, str | int | bool]]] = {
        "tenants_first": ("/tenants", {}),
        "tenants_last": ("/tenants", {"limit": 100, "cursor": far}),
        "tenants_by_update": ("/tenants", {"order": "updated", "descending": True}),
        "tenants_filtered": ("/tenants", {"text": "t00", "zone": "zone1", "status": "pending"}),
        "runs_first": ("/runs", {}),
        "runs_of_zone": ("/runs", {"zone": "zone1", "status": "pending"}),
    }
    return {name: timed(lambda a=a: client.get(a[0], params=a[1]).raise_for_status()) for name, a in asked.items()}  # type: ignore[misc]


def timed(work: Callable[[], object]) -> float:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return round(1000 * median(took), 1)


def latency(served: Served) -> dict[str, float]:
    """From the journal to whoever reads the stream."""
    run = served.moved(served.ports.runs.get("r00000"), Status.PLANNING)
    took = []
    with served.client().stream("GET", f"/runs/{run.id}/events/stream", params={"after": 2}) as answer:
        lines = answer.iter_lines()
        for number in range(EVENTS):
            began = time.perf_counter()
            line = {"step": "plan", "level": "info", "text": str(number)}
            served.ports.runs.append(run.id, Kind.LOG, line, now=served.ports.now())
            while not next(lines).startswith("data: "):
                pass
            took.append(time.perf_counter() - began)
    return {"median": round(1000 * median(took), 1), "worst": round(1000 * max(took), 1)}


if __name__ == "__main__":
    main()
