"""Rewrites what is generated: tables of the README (settings, permissions, behaviours) and golden configurations. Run by `make docs`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

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
    for name, made in (
        ("settings", settings.table()),
        ("permissions", permissions.table()),
        ("behaviours", behaviour_table()),
    ):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, made=made: found[1] + made + found[2],  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


def behaviours() -> list[tuple[str, list[dict[str, Any]]]]:
    """By source document, what it asks for and which tests prove it."""
    read = yaml.safe_load((ROOT / "tests" / "behaviours.yaml").read_text(encoding="utf-8"))
    return [(part["document"], part["behaviours"]) for part in read]


def behaviour_table() -> str:
    """The README's table of them."""
    lines = ["| what the documents say | proved by |", "|---|---|"]
    for document, rows in behaviours():
        lines.append(f"| **{document}** | |")
        for row in rows:
            proofs = [f"`{test.partition('::')[2]}`" for test in row.get("tests", ())]
            proved = ", ".join(proofs) or f"not yet: {row['missing']}"
            lines.append(f"| {row['says'].replace('|', chr(92) + '|')} | {proved} |")
    return "\n".join(lines) + "\n"


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
