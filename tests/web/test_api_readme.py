"""What the README says of the API is pasted into a shell here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from runner.domain.run import Status
from tests import golden
from tests.web.api_server import Served
from tests.web.serving import reviewed

pytest_plugins = ("tests.web.api_fixtures",)

NEEDED = ("bash", "curl", "jq")


@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}")
def test_the_lines_of_the_readme_start_a_run_and_approve_what_it_would_do(served: Served, tmp_path: Path) -> None:
    found = re.search(r"<!-- api -->\n```sh\n(.*?)```", golden.README.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    over = threading.Event()

    def plan() -> None:
        from runner.domain.plan import Action
        from tests.domain.test_review import change, made

        while not over.wait(0.02):
            for run in served.ports.runs.unclaimed(limit=1):
                served.moved(run, Status.PLANNING)
                reviewed(served.site, run, made(change("resource_group_network", Action.CREATE, after={"name": "rg"})))
                served.moved(run, Status.WAITING)

    thread = threading.Thread(target=plan, daemon=True)
    thread.start()
    token = served.client().headers["authorization"].removeprefix("Bearer ")
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", found[1]],
        env={"PATH": os.environ["PATH"], "LZR_SERVER": served.url, "LZR_SERVER_TOKEN": token},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    over.set()
    thread.join()
    assert ran.stdout.splitlines()[-1:] == ["approved"], ran.stdout + ran.stderr
    assert "+ " in ran.stdout
    (run,) = served.ports.runs.find()
    assert (run.status, run.reason) == (Status.APPROVED, "new cost centre")
