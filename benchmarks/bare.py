"""The bare engine on the same configurations: init, plan, show, apply, with nothing around them but the state service.

Run as a module with the documents' directory and the number of workers. It uses the runner's own pieces to write the directories
and to serve the state, so that only what the runner adds around the engine makes the difference. Prints the seconds spent.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from runner import documents, settings, wiring
from runner.domain.configuration import compose
from runner.terraform import workspace
from runner.terraform.engine import discover
from runner.terraform.infrastructure import base_environment
from runner.terraform.state_service import StateService


def main() -> None:
    where, workers = Path(sys.argv[1]), int(sys.argv[2])
    read = documents.read([where])
    engine = discover(None)
    with (
        wiring.open_runner(settings.read()) as runner,
        StateService(runner.store.states, now=wiring.now) as service,
        TemporaryDirectory() as temporary,
    ):

        def prepare(name: str) -> tuple[Path, dict[str, str]]:
            placed = read.placed(name)
            configuration = compose(placed)
            root = Path(temporary) / name
            workspace.write(workspace.render(configuration, wiring.sources()), root / "terraform")
            for path in ("home", "tmp"):
                (root / path).mkdir()
            attempt = runner.store.states.open_attempt(name, "bare", now=wiring.now())
            identity = runner.identity(placed.platform, str(configuration.inputs["subscription_id"]))
            environment = {
                **base_environment(root, runner.mirror, root / "tmp"),
                **identity,
                **service.environment(attempt),
            }
            return root / "terraform", environment

        def carry_out(prepared: tuple[Path, dict[str, str]]) -> None:
            directory, environment = prepared
            for command in (
                ["init", "-input=false", "-json"],
                ["plan", "-input=false", "-json", "-out=plan.tfplan"],
                ["show", "-json", "plan.tfplan"],
                ["apply", "-input=false", "-json", "plan.tfplan"],
            ):
                with (directory / "output").open("wb") as output:
                    subprocess.run(
                        [*engine.argv, *command],
                        cwd=directory,
                        env=environment,
                        stdout=output,
                        check=True,
                        stdin=subprocess.DEVNULL,
                    )

        ready = [prepare(name) for name in read.chosen]
        began = monotonic()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(carry_out, ready))
        print(f"{monotonic() - began:.3f}")


if __name__ == "__main__":
    main()
