"""A runner that tells which engine it started and is then killed by the test. Run as a module with the directory to use."""

from __future__ import annotations

import os
import sys
import threading
from datetime import timedelta
from pathlib import Path

from runner.domain.run import EngineProcess
from runner.terraform import process

_ENGINE = """
import pathlib, time
for number in range(100000):
    print("line", number, flush=True)
    if pathlib.Path("go").exists():
        break
    time.sleep(0.01)
print("done", flush=True)
"""


def main() -> None:
    directory = Path(sys.argv[1])

    def tell(started: EngineProcess) -> None:
        print(started.model_dump_json(), flush=True)  # noqa: T201 - the test reads it

    process.run(
        [sys.executable, "-I", "-c", _ENGINE],
        cwd=directory,
        env={"PATH": os.defpath},
        output=directory / "output",
        on_lines=lambda lines: None,
        stop=threading.Event(),
        limit=timedelta(minutes=5),
        grace=timedelta(seconds=1),
        on_start=tell,
    )


if __name__ == "__main__":
    main()
