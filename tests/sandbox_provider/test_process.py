"""A provider as a process: how it starts, what it costs, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.sandbox_provider.double import Answer, Azure, Store
from tests.sandbox_provider.engine import TERRAFORM, Workspace
from tests.sandbox_provider.test_azapi import THING, thing

COOKIE = {"TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"}
CREATING = Answer(201, {"id": THING, "properties": {"provisioningState": "Creating"}})


def executable(mirror: Path, name: str) -> Path:
    return next(mirror.glob(f"registry.terraform.io/*/{name}/*/*/terraform-provider-{name}_*"))


def start(mirror: Path, name: str = "azapi", **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [executable(mirror, name)],
        env={"PATH": os.environ["PATH"], **COOKIE, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    """Look until something is so, or not in time."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.parametrize("name", ["azapi", "azuread"])
def test_a_provider_shakes_hands_and_leaves_on_sigterm(mirror: Path, name: str) -> None:
    process = start(mirror, name)
    assert process.stdout is not None
    core, protocol, network, socket, kind, certificate = process.stdout.readline().strip().split("|")
    assert (core, protocol, network, kind) == ("1", "6", "unix", "grpc")
    assert certificate
    assert Path(socket).parent.stat().st_mode & 0o777 == 0o700
    process.terminate()
    assert process.wait(5) == 0
    process.communicate()
    assert not Path(socket).parent.exists()


def test_a_provider_costs_little_to_start(mirror: Path) -> None:
    """Processor time, not wall time: that is what a busy machine leaves comparable. Measured: 0.12 s and 42 MB."""
    process = start(mirror)
    assert process.stdout is not None
    process.stdout.readline()
    running = psutil.Process(process.pid)
    used, memory = running.cpu_times(), running.memory_info().rss
    finish(process)
    assert used.user + used.system < 0.5
    assert memory < 60_000_000


def test_an_interrupt_of_the_terminal_is_the_engines_business(mirror: Path) -> None:
    process = start(mirror)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.terminate()
    assert process.wait(5) == 0  # not the interrupt's -2: the orderly end of SIGTERM
    process.communicate()


LONGEST = (103 if sys.platform == "darwin" else 107) - len("/plugin0123456789")
"""Of a TMPDIR in which a real provider, on go-plugin, can make its socket."""


def directory_of(length: int) -> Path:
    path = Path(f"/tmp/lzr-test-{os.getpid()}-".ljust(length, "d"))
    path.mkdir()
    return path


def test_a_provider_starts_in_every_directory_in_which_a_real_one_starts(mirror: Path) -> None:
    directory = directory_of(LONGEST)
    process = start(mirror, TMPDIR=str(directory))
    assert process.stdout is not None
    assert process.stdout.readline().split("|")[3].startswith(f"{directory}/plugin")
    process.terminate()
    process.communicate()
    directory.rmdir()  # and it leaves nothing behind


def test_a_provider_does_not_start_where_its_sockets_path_is_too_long(mirror: Path) -> None:
    directory = directory_of(LONGEST + 1)
    output, errors = start(mirror, TMPDIR=str(directory)).communicate(timeout=10)
    directory.rmdir()
    assert output == ""
    assert f"cannot listen on {directory}/plugin" in errors
    assert "Set TMPDIR" in errors
    assert "Traceback" not in errors


def test_started_by_hand_it_says_what_it_is(mirror: Path) -> None:
    done = subprocess.run([executable(mirror, "azapi")], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Terraform provider of the sandbox" in done.stderr


def applying(terraform: Workspace) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [TERRAFORM, "apply", "-input=false", "-auto-approve", "-no-color"],
        cwd=terraform.directory,
        env=terraform.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def stuck(store: Store) -> None:
    """Let a create begin and never end."""
    store.answer_next("PUT", "things", CREATING)
    store.answer_next("GET", "things", Answer(404), *[Answer(200, CREATING.body)] * 500)


def test_no_provider_outlives_an_engine_that_is_killed(terraform: Workspace, store: Store, azure: Azure) -> None:
    stuck(store)
    terraform.write(thing())
    engine = applying(terraform)
    assert within(30, lambda: len(azure.sent("GET")) > 3)
    children = psutil.Process(engine.pid).children(recursive=True)
    assert children
    engine.kill()
    engine.communicate()
    assert within(
        10, lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    )


def test_an_engine_that_is_asked_to_stop_keeps_what_was_being_made(
    terraform: Workspace, store: Store, azure: Azure
) -> None:
    stuck(store)
    terraform.write(thing())
    engine = applying(terraform)
    assert within(30, lambda: len(azure.sent("GET")) > 3)
    engine.send_signal(signal.SIGINT)
    output, _ = engine.communicate(timeout=30)
    assert engine.returncode == 1
    assert "Stopped" in output
    assert terraform.is_tainted("azapi_resource.thing")
