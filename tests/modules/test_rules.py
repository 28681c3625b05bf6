"""The modules' own tests: plans with a mocked provider, one for each rule."""

import shutil
from pathlib import Path

from tests.modules.workbench import every_module, run_terraform


@every_module
def test_the_modules_own_tests_pass(module: Path, tmp_path: Path, providers: Path) -> None:
    copy = shutil.copytree(module, tmp_path / module.name)
    environment = {"TF_CLI_CONFIG_FILE": str(providers)}

    prepared = run_terraform(["init", "-no-color"], cwd=copy, environment=environment)
    tested = run_terraform(["test", "-no-color"], cwd=copy, environment=environment)

    assert prepared.returncode == 0, prepared.stdout + prepared.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr
