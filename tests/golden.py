"""Rewrites what is generated: the tables of settings and permissions in the README, and the golden configurations. Run by `make docs`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from runner import documents, packaged, settings
from runner.domain import permissions
from runner.domain.configuration import Leaving, compose
from runner.terraform import workspace

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GOLDEN = ROOT / "tests" / "cases" / "configurations"
TENANTS = {
    "subscription": (ROOT / "examples" / "demo", None),
    "subscription-leaving": (ROOT / "examples" / "demo", Leaving()),
    "subscription-leaving-moved": (ROOT / "examples" / "demo", Leaving(move_to="decommissioned")),
}


def readme() -> str:
    """The README with its generated parts as they should be."""
    text = README.read_text(encoding="utf-8")
    for name, made in (("settings", settings.table()), ("permissions", permissions.table())):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, made=made: found[1] + made + found[2],  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


def render(name: str, directory: Path) -> None:
    """The root module of one golden configuration; the modules themselves are not golden."""
    where, leaving = TENANTS[name]
    read = documents.read([where])
    configuration = compose(read.placed(read.chosen[0]), leaving=leaving)
    workspace.write(
        workspace.render(configuration, workspace.Sources(packaged.templates(), packaged.modules())), directory
    )
    shutil.rmtree(directory / "modules", ignore_errors=True)


def main() -> None:
    README.write_text(readme(), encoding="utf-8")
    for name in TENANTS:
        shutil.rmtree(GOLDEN / name, ignore_errors=True)
        render(name, GOLDEN / name)


if __name__ == "__main__":
    main()
