"""What the runner costs on top of the bare engine, both measured in one go; ends with one line of JSON.

Pairs of runs take turns, each on a fresh sandbox and store; medians are given. Times of look-ups and of the function call, which the
bare engine does not do, are taken off the runner's (they are in the last line too, as `outside_s_per_tenant`).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import psutil

from benchmarks import estate

WORKERS = 2
AT_ONCE = 2 * WORKERS  # runs that go on at once: look-ups of some while the engines of others work
OUTSIDE = {
    "look around",
    "look people up",
    "look for what exists already",
    "compare access",
    "change access",
    "call the function",
}


@dataclass(frozen=True)
class Measured:
    """One reconcile: wall seconds, seconds spent on look-ups and function, peak memory of the runner's own process."""

    wall: float
    outside: float
    rss_mb: float


def reconcile(where: Path, environment: dict[str, str]) -> Measured:
    began = monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "runner", "reconcile", "--json", str(where)], env=environment, stdout=subprocess.PIPE
    ) as process:
        peak = 0.0
        watched = psutil.Process(process.pid)
        assert process.stdout is not None
        import threading

        chunks: list[bytes] = []
        reader = threading.Thread(target=lambda: chunks.append(process.stdout.read()))  # type: ignore[union-attr]
        reader.start()
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss / 1e6)
            except psutil.Error:
                break
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        wall = monotonic() - began
        reader.join()
    runs = json.loads(b"".join(chunks))["runs"]
    failed = [run for run in runs if run["status"] not in ("applied", "unchanged")]
    if failed:
        raise SystemExit(f"{len(failed)} runs did not succeed: {failed[0]['failure']}")
    outside = sum(step["seconds"] for run in runs for step in run["steps"] if step["name"] in OUTSIDE)
    return Measured(wall=wall, outside=outside, rss_mb=peak)


def bare(where: Path, environment: dict[str, str]) -> float:
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.bare", str(where), str(WORKERS)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    return float(told.stdout)


def pair(tenants: int, base: Path) -> dict[str, float]:
    """First apply and no-op, the runner and the bare engine, each on its own sandbox."""
    where = estate.documents(base / "documents", tenants)
    found: dict[str, float] = {}
    with estate.sandbox(base / "a", tenants) as sandbox:
        environment = estate.environment(sandbox, base / "store-a") | {"LZR_WORKERS": str(WORKERS)}
        first, again = reconcile(where, environment), reconcile(where, environment)
    with estate.sandbox(base / "b", tenants) as sandbox:
        environment = estate.environment(sandbox, base / "store-b")
        found["bare_first"], found["bare_noop"] = bare(where, environment), bare(where, environment)
    parallel = min(AT_ONCE, tenants)
    found["first"], found["noop"] = first.wall - first.outside / parallel, again.wall - again.outside / parallel
    found["outside_per_tenant"] = (first.outside + again.outside) / 2 / tenants
    found["rss"] = max(first.rss_mb, again.rss_mb)
    return found


def measure(tenants: int, pairs: int) -> dict[str, float]:
    """Medians over pairs."""
    rows = []
    for number in range(pairs):
        with TemporaryDirectory() as temporary:
            rows.append(pair(tenants, Path(temporary)))
        shown = "  ".join(f"{name} {value:.2f}" for name, value in rows[-1].items())
        print(f"{tenants:>3} tenants, pair {number + 1}: {shown}", flush=True)
    ratios = [
        {"ratio_first": row["first"] / row["bare_first"], "ratio_noop": row["noop"] / row["bare_noop"]} for row in rows
    ]
    merged = [row | ratio for row, ratio in zip(rows, ratios, strict=True)]
    return {name: statistics.median(row[name] for row in merged) for name in merged[0]}


def help_seconds() -> float:
    times = []
    for _ in range(10):
        began = monotonic()
        subprocess.run([str(Path(sys.executable).with_name("lzr")), "--help"], check=True, stdout=subprocess.DEVNULL)
        times.append(monotonic() - began)
    return statistics.median(times)


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    many, one = measure(20, pairs), measure(1, pairs)
    print(
        json.dumps(
            {
                "ratio_first_apply_20": round(many["ratio_first"], 3),
                "ratio_noop_20": round(many["ratio_noop"], 3),
                "cold_overhead_s": round(max(one["first"] - one["bare_first"], one["noop"] - one["bare_noop"]), 3),
                "runner_rss_mb": round(many["rss"], 1),
                "help_s": round(help_seconds(), 3),
                "outside_s_per_tenant": round(many["outside_per_tenant"], 3),
            }
        )
    )


if __name__ == "__main__":
    main()
