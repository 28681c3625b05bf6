"""What the agent adds to the bare engine: N runs of one building block queued at once, at 1 and at 4 concurrent runs.

`python -m benchmarks.agent [N]` ends with one line of JSON; `… soak [N]` executes runs in a row and looks for growth.
The bare engine does what a run needs of it in the same machine and minute: init, plan, apply of that plan, output, with the state in the
same meshStack.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import psutil

from runner.agent.backends import USERNAME, rendered
from runner.terraform.engine import discover
from tests.agent.mesh import BLOCK, Mesh, opened_mesh

RUNS = 20
SOAK = 300
_LIMITS = {"overhead_s_1": 0.6, "overhead_s_4": 0.6, "first_report_s": 0.5, "idle_rss_mb": 100}


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["soak"]:
        print(json.dumps(soak(int(arguments[1]) if len(arguments) > 1 else SOAK)))
        return
    runs = int(arguments[0]) if arguments else RUNS
    with tempfile.TemporaryDirectory() as directory, opened_mesh(Path(directory)) as mesh:
        bare = [bare_run(mesh, Path(directory) / f"bare-{number}") for number in range(5)]
        told: dict[str, Any] = {"bare_s": round(median(bare), 3)}
        for slots in (1, 4):
            mesh.configure(maxConcurrentRuns=slots)
            told |= queued(mesh, runs, slots, median(bare))
        told["idle_rss_mb"] = idle(mesh)
    told["limits"] = _LIMITS
    print(json.dumps(told))


def bare_run(mesh: Mesh, directory: Path) -> float:
    """Seconds that the engine alone needs for a run of the block."""
    run = mesh.stack.enqueue(definition=mesh.terraform())
    claimed = claim(mesh)
    block = claimed["spec"]["buildingBlock"]["uuid"]
    directory.mkdir()
    address = f"{mesh.stack.url}/api/terraform/state/workspace/payments/buildingBlock/{block}"
    (directory / "main.tf").write_text(BLOCK + rendered(address, ""), encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "CHECKPOINT_DISABLE": "1",
        "TF_VAR_meshstack_building_block_id": block,
        "TF_HTTP_USERNAME": USERNAME,
        "TF_HTTP_PASSWORD": claimed["spec"]["runToken"],
    }
    started = time.monotonic()
    for line in ("init -input=false", "plan -input=false -out=p", "apply -input=false p", "output -json"):
        subprocess.run(
            [*discover(None).argv, *line.split()], cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    seconds = time.monotonic() - started
    mesh.stack.abort(run)
    return seconds


def claim(mesh: Mesh) -> dict[str, Any]:
    """A run taken from the queue as an agent does, and given to the bare engine."""
    with mesh.opened() as agent:
        content = agent.kit.tools.api.claim()
        assert content is not None
        agent.kit.tools.api.register(_claim_of(content, mesh), [])
        found: dict[str, Any] = json.loads(content)
        return found


def _claim_of(content: bytes, mesh: Mesh) -> Any:
    from runner.agent.meshapi import claimed

    return claimed(json.loads(content), base=mesh.stack.url, source=mesh.stack.runner_uuid)


def queued(mesh: Mesh, runs: int, slots: int, bare: float) -> dict[str, Any]:
    """An agent's figures for runs that are all queued before it starts."""
    process = mesh.start()
    assert process.stdout is not None
    process.stdout.readline()
    first = [mesh.stack.enqueue(definition=mesh.terraform()) for _ in range(slots)]  # fills caches and mirrors
    for uuid in first:
        mesh.stack.wait(uuid)
    begun = time.monotonic()
    ids = [mesh.stack.enqueue(definition=mesh.terraform()) for _ in range(runs)]
    found = [mesh.stack.wait(uuid, timeout=600) for uuid in ids]
    whole = time.monotonic() - begun
    assert {run["status"] for run in found} == {"SUCCEEDED"}
    process.terminate()
    process.communicate()
    each = [moment(run["finalOn"]) - moment(run["claimedOn"]) for run in found]
    reports = [moment(run["patches"][0]["receivedOn"]) - moment(run["claimedOn"]) for run in found]
    return {
        f"queue_to_last_report_s_{slots}": round(whole, 2),
        f"run_s_{slots}": round(mean(each), 3),
        # what the machine spends on a run: with several at once the engine's own work of the others is in a run's time
        f"overhead_s_{slots}": round(whole / runs - bare / min(slots, os.cpu_count() or 1), 3),
        "first_report_s": round(max(reports), 3),
    }


def moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def idle(mesh: Mesh) -> float:
    """Memory of an agent that has executed a run and waits, in MB."""
    process = mesh.start()
    mesh.stack.wait(mesh.stack.enqueue(definition=mesh.terraform()))
    time.sleep(2)
    resident: int = psutil.Process(process.pid).memory_info().rss
    process.terminate()
    process.communicate()
    return round(resident / 1_000_000, 1)


def soak(runs: int) -> dict[str, Any]:
    """Runs in a row by one agent; what it holds after the first tenth and at the end."""
    with tempfile.TemporaryDirectory() as directory, opened_mesh(Path(directory)) as mesh:
        mesh.configure(maxConcurrentRuns=2)
        process = mesh.start()
        looks = []
        for number in range(1, runs + 1):
            mesh.stack.wait(mesh.stack.enqueue(definition=mesh.terraform()))
            if number in (max(runs // 10, 1), runs):
                time.sleep(1)
                looks.append(held(process.pid, Path(directory)))
        process.terminate()
        process.communicate()
    return {"runs": runs, "early": looks[0], "late": looks[-1]}


def held(pid: int, directory: Path) -> dict[str, float]:
    """What an agent holds: memory, file handles, threads, children, and files on disk beside its database."""
    one = psutil.Process(pid)
    children = one.children(recursive=True)
    work = directory / "store" / "work"
    return {
        "rss_mb": round(one.memory_info().rss / 1_000_000, 1),
        "handles": one.num_fds(),
        "threads": one.num_threads(),
        "children": len(children),
        "zombies": sum(child.status() == psutil.STATUS_ZOMBIE for child in children),
        "work_files": sum(1 for path in work.rglob("*") if path.is_file()),
        "store_mb": round((directory / "store" / "store.db").stat().st_size / 1_000_000, 2),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
