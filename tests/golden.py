"""Rewrites what is generated: tables of the README (settings, permissions, behaviours) and golden configurations. Run by `make docs`."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from runner import documents, packaged, settings
from runner.domain import permissions, policy
from runner.domain.configuration import NO_FACTS, Leaving, chosen_blocks, compose
from runner.domain.facts import BlueprintFacts, Facts, StackFacts
from runner.domain.parameters import Declared
from runner.terraform import workspace

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
GOLDEN = ROOT / "tests" / "cases" / "configurations"
TENANTS = {
    "subscription": (ROOT / "examples" / "demo", None),
    "subscription-leaving": (ROOT / "examples" / "demo", Leaving()),
    "subscription-leaving-moved": (ROOT / "examples" / "demo", Leaving(move_to="decommissioned")),
    "deployments": (ROOT / "examples" / "documents" / "deployments", None),
    "building-blocks": (ROOT / "examples" / "documents" / "building-blocks", None),
}
# What planning would have read in Azure: two versions of the example's blueprint, and its template spec.
READ = {
    "deployments": Facts(
        blueprints={
            "network": BlueprintFacts(
                version="3.1", before="3.0", declared={"hub": Declared(type="string", required=True)}, attempt=2
            )
        },
        released=("network-old",),
        stacks={
            "baseline": StackFacts(),
            "monitoring": StackFacts(declared={"SubscriptionId": Declared(type="string", required=True)}),
        },
    )
}


def readme() -> str:
    """The README with its generated parts as they should be."""
    text = README.read_text(encoding="utf-8")
    for name, made in (
        ("settings", settings.table()),
        ("permissions", permissions.table()),
        ("policy", policy.table()),
        ("behaviours", behaviour_table("behaviours.yaml")),
        ("meshstack", behaviour_table("meshstack.yaml")),
    ):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, made=made: found[1] + made + found[2],  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


PROVED = ("behaviours.yaml", "meshstack.yaml")


def behaviours(file: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """By source document, what it asks for and which tests prove it."""
    read = yaml.safe_load((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return [(part["document"], part["behaviours"]) for part in read]


def behaviour_table(file: str) -> str:
    """The README's table of them."""
    lines = ["| what the documents say | proved by |", "|---|---|"]
    for document, rows in behaviours(file):
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
    placed = read.placed(read.chosen[0])
    code = {block.key: block.code for block in chosen_blocks(placed) if block.code}
    configuration = replace(compose(placed, READ.get(name, NO_FACTS), leaving=leaving), code=code)
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
