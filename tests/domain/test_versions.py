"""Which versions a landing zone's document says, and which its tenants have."""

from __future__ import annotations

from pathlib import Path

from runner import documents
from runner.domain import versions
from runner.domain.configuration import Placed
from runner.domain.facts import BlockFacts, BlueprintFacts, Facts, StackFacts

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"


def a_tenant(example: str) -> Placed:
    """The first tenant of an example."""
    read = documents.read([EXAMPLES / example])
    return read.placed(next(iter(read.tenants)))


def test_what_a_tenant_has_goes_by_the_names_of_what_is_documented() -> None:
    placed = a_tenant("deployments")
    said = versions.documented(placed.zone)
    assert said["blueprint network"] == "up to 3.1"
    facts = Facts(
        blueprints={"network": BlueprintFacts(version="3.0")}, stacks={"baseline": StackFacts(), "gone": StackFacts()}
    )
    had = versions.planned(placed, facts)
    assert had == {
        "blueprint network": "3.0",
        "deployment stack baseline": said["deployment stack baseline"],
    }


def test_a_building_blocks_version_is_the_commit_or_the_digest_of_its_code() -> None:
    def block(called: str, source: str, commit: str = "", digest: str = "") -> BlockFacts:
        return BlockFacts(called=called, source=source, commit=commit, digest=digest)

    placed = a_tenant("building-blocks")
    facts = Facts(
        blocks={
            "a": block("Monthly budget", "budget"),
            "b": block("Archive", "./modules/log-archive", digest="d" * 64),
            "c": block("Network", "git::https://git.example/net.git?ref=v1", commit="c" * 40, digest="d" * 64),
        }
    )
    assert versions.planned(placed, facts) == {
        "building block Monthly budget": "budget",
        "building block Archive": f"./modules/log-archive {'d' * 12}",
        "building block Network": f"git::https://git.example/net.git?ref=v1 {'c' * 12}",
    }
    assert versions.documented(placed.zone)["building block Monthly budget"] == "budget"
