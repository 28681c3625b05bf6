"""The main job, from documents to a reviewed, applied landing zone, against an Azure on this machine.

Every line that begins with `$` is a command you can type yourself; what follows is its real output. Nothing here is acted: it is the
real terraform, the real command line, and HTTPS calls to a sandbox. Run it with `make demo`. Everything it makes is in `.demo` (or
the directory given).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import create_default_context
from time import monotonic, sleep
from typing import Any

HERE = Path(__file__).parent
PLACE = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / ".demo"
LZR = Path(sys.executable).with_name("lzr")
TENANT = "payments.checkout-dev"
SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
COLOUR = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def main() -> None:
    began = monotonic()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(mode=0o700)
    with sandbox() as environment:
        say(
            "An Azure is running on this machine. The documents of a platform, a landing zone and a tenant are checked first."
        )
        lzr("validate", "examples/demo", environment=environment)

        say("What would happen? Nothing is changed by a plan.")
        lzr("plan", "examples/demo", environment=environment, code=6)
        run = waiting(environment)

        say("It reads right. The approval names the digest: it is for exactly this plan and no other.")
        lzr("approve", run["id"], "--digest", run["digest"][:12], environment=environment)
        lzr("apply", run["id"], environment=environment)

        say("Again: nothing changes, and the function is still called, for it was approved before.")
        lzr("reconcile", "examples/demo", environment=environment)

        say("Somebody moves the subscription, takes a tag away and gives a colleague access, behind the runner's back.")
        meddle(environment)
        lzr("reconcile", "examples/demo", environment=environment, code=6)
        run = waiting(environment)
        lzr("approve", run["id"], "--digest", run["digest"][:12], environment=environment)
        lzr("apply", run["id"], environment=environment)

        say("This is what the Azure on this machine looks like now.")
        lzr("sandbox", "show", environment=environment)

        say("A meshStack orders a building block, and the agent executes it like meshcloud's own runner.")
        building_block(environment)
    say(
        f"Done in {monotonic() - began:.0f} seconds. Next: lzr init my-landing-zones, and the README's quick start on real Azure."
    )


def building_block(environment: dict[str, str]) -> None:
    """Order one from a meshStack on this machine, execute it, and show what meshStack was told."""
    directory = PLACE / "meshstack"
    with serving("sandbox", "meshstack", "--dir", str(directory), until=directory / "meshstack.json"):
        order = [sys.executable, str(HERE / "meshstack" / "order.py"), str(directory)]
        subprocess.run([*order, "block"], check=True, env=environment, stdout=subprocess.DEVNULL)
        trusting = {**environment, "LZR_CA_FILE": str(directory / "git-certificates" / "ca.pem")}
        lzr("agent", "--config", str(directory / "runner-config.yml"), "--once", environment=trusting)
        subprocess.run(order, check=True, env=environment)


@contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    """A sandbox in a process of its own, and the environment that points `lzr` to it."""
    directory = PLACE / "sandbox"
    with serving("sandbox", "--dir", str(directory), until=directory / "sandbox.json"):
        yield {
            **{name: value for name, value in os.environ.items() if not name.startswith(("LZR_", "ARM_", "AZURE_"))},
            "LZR_SANDBOX": str(directory),
            "LZR_STORE": str(PLACE / "store"),
            "LZ_CLIENT_SECRET": "sandbox-runner-secret",
        }


@contextmanager
def serving(*arguments: str, until: Path) -> Iterator[None]:
    """A command that serves meanwhile, from when this file is there."""
    process = subprocess.Popen([LZR, *arguments], stdout=subprocess.DEVNULL, cwd=HERE.parent)
    try:
        while not until.exists():
            if process.poll() is not None:
                raise SystemExit(f"lzr {' '.join(arguments)} did not start")
            sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def lzr(*arguments: str, environment: dict[str, str], code: int = 0) -> None:
    """Show and run a command; anything but the expected exit code ends the demo."""
    print(paint(f"\n$ lzr {' '.join(arguments)}", "1;36"), flush=True)
    ended = subprocess.run([LZR, *arguments], cwd=HERE.parent, env=environment, check=False)
    if ended.returncode != code:
        raise SystemExit(f"lzr {arguments[0]} ended with {ended.returncode}, expected was {code}")


def waiting(environment: dict[str, str]) -> dict[str, str]:
    """The run that waits for approval."""
    told = subprocess.run(
        [LZR, "runs", "--status", "waiting", "--json"],
        cwd=HERE.parent,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    found: dict[str, str] = json.loads(told.stdout)[0]
    return found


def meddle(environment: dict[str, str]) -> None:
    """Change things in the sandbox as somebody with all rights would."""
    handle = json.loads((Path(environment["LZR_SANDBOX"]) / "sandbox.json").read_text(encoding="utf-8"))
    (group,) = change(handle, "GET", f"/v1.0/groups?$filter=displayName eq '{TENANT}-user'")["value"]
    (colleague,) = change(handle, "GET", "/v1.0/users?$filter=userPrincipalName eq 'emergency@workloads.example'")[
        "value"
    ]
    change(handle, "PUT", f"/providers/Microsoft.Management/managementGroups/sandbox/subscriptions/{SUBSCRIPTION}", {})
    tag = {"operation": "Delete", "properties": {"tags": {"lz_costCenter": ""}}}
    change(handle, "PATCH", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Resources/tags/default", tag)
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{colleague['id']}"}
    change(handle, "POST", f"/v1.0/groups/{group['id']}/members/$ref", reference)


def change(handle: dict[str, str], method: str, path: str, body: object = None) -> Any:
    """One call to the sandbox's Azure as somebody who may do everything; what it answered."""
    request = urllib.request.Request(
        f"{handle['url']}/sandbox/drift",
        data=json.dumps({"method": method, "path": path, "body": body}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, context=create_default_context(cafile=handle["ca_file"])) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def say(text: str) -> None:
    print(paint(f"\n# {text}", "2"), flush=True)


def paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR else text


if __name__ == "__main__":
    main()
