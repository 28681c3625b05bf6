"""Orders a building block of this folder from a meshStack on loopback, or tells what became of the orders.

    python examples/meshstack/order.py DIRECTORY [block | landing-zone]

DIRECTORY is that of `lzr sandbox meshstack`.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from runner.sandbox.meshstack.git import Git

HERE = Path(__file__).parent
REPOSITORY = "landing-zones"


def main(directory: Path, wanted: str = "") -> None:
    """Order, or tell."""
    handle = json.loads((directory / "meshstack.json").read_text(encoding="utf-8"))
    if not wanted:
        for run in asked(f"{handle['url']}/sandbox/runs"):
            told = asked(f"{handle['url']}/sandbox/runs/{run['uuid']}")
            print(f"{told['uuid']}  {told['status']}")
            for step in told["steps"]:
                print(f"  {step['status']:<12} {step['displayName']}   {step.get('userMessage', '')}".rstrip())
        return
    files = {
        str(path.relative_to(HERE)): path.read_bytes()
        for folder in ("block", "landing-zone")
        for path in (HERE / folder).iterdir()
    }
    Git(Path(handle["gitRoot"])).repository(REPOSITORY, files)
    address = f"{handle['gitHttpsUrl']}/{REPOSITORY}.git"
    trust(directory / "runner-config.yml", address)
    order = json.loads((HERE / "orders" / f"{wanted}.json").read_text(encoding="utf-8"))
    order["definition"]["repositoryUrl"] = address
    print(asked(f"{handle['url']}/sandbox/runs", order)["uuid"])


def trust(config: Path, address: str) -> None:
    """Let the runner take a folder of this repository for landing zones, and its own engine for every version."""
    found = yaml.safe_load(config.read_text(encoding="utf-8"))
    config.write_text(
        yaml.safe_dump({**found, "landingZones": [f"{address}//landing-zone"], "engines": {"*": "terraform 1.11.4"}}),
        encoding="utf-8",
    )


def asked(url: str, body: Any = None) -> Any:
    """A call to the meshStack on loopback."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
