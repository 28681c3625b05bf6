"""Where building blocks come from, what is allowed, and the graph of what they need from each other."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.building_block import (
    SHIPPED,
    BlockInput,
    BuildingBlock,
    ChosenBlock,
    Git,
    Local,
    Registry,
    Shipped,
    Source,
    chosen,
    circle,
    is_allowed,
    provider,
    source_of,
)
from tests.modules.workbench import NAMES

KEYS = [f"k{number}" for number in range(6)]


def block(source: str, version: str | None = None) -> BuildingBlock:
    return BuildingBlock(key="x", source=source, version=version)


@pytest.mark.parametrize(
    ("source", "version", "expected"),
    [
        ("budget", None, Shipped("budget")),
        ("./modules/net", None, Local("./modules/net")),
        (
            "git::https://git.example/team/mods.git//net/hub?ref=v1.2",
            None,
            Git("https://git.example/team/mods.git", "net/hub", "v1.2"),
        ),
        ("git::ssh://git.example/mods.git?ref=main", None, Git("ssh://git.example/mods.git", "", "main")),
        ("Azure/naming/azurerm", "0.4.2", Registry("registry.terraform.io", "Azure/naming/azurerm", "0.4.2")),
        ("reg.example:8443/a/b/c", "1.0.0", Registry("reg.example:8443", "a/b/c", "1.0.0")),
    ],
)
def test_a_source_is_read_as_terraform_writes_it(source: str, version: str | None, expected: Source) -> None:
    assert source_of(block(source, version)) == expected


@pytest.mark.parametrize(
    "source",
    [
        "git::https://git.example/mods.git",
        "git::https://user:secret@git.example/mods.git?ref=v1",
        "git::https://git.example/mods.git//../up?ref=v1",
        "git::https://git.example/mods.git?ref=--upload-pack=id",
        "git::https://git.example/mods.git?ref=a..b",
        "git::ext::sh -c id?ref=v1",
        "https://git.example/mods.git",
        "../modules/net",
        "/modules/net",
        "Azure/naming/azurerm",
        "github.com/corp/mods",
        "${path.module}",
        "",
    ],
)
def test_everything_else_is_no_source(source: str) -> None:
    assert isinstance(source_of(BuildingBlock.model_construct(key="x", source=source, version=None)), tuple)


@given(st.text(max_size=80))
def test_no_source_leads_out_or_carries_a_user(source: str) -> None:
    found = source_of(BuildingBlock.model_construct(key="x", source=source, version=None))
    if isinstance(found, Git):
        assert "@" not in found.url
        assert ".." not in found.folder.split("/")
        assert not found.ref.startswith("-")


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (["git.example"], True),
        (["git.example/team"], True),
        (["https://git.example/Team/"], True),
        (["git.example/team/mods.git"], True),
        (["git.example/tea"], False),
        (["git.example/team/mods-other"], False),
        (["xgit.example"], False),
        (["git.example.evil.example"], False),
        ([], False),
    ],
)
def test_what_is_allowed_is_whole_parts_of_a_place(allowed: list[str], expected: bool) -> None:
    found = source_of(block("git::https://git.example/team/mods.git//net?ref=v1"))
    assert isinstance(found, Git)
    assert is_allowed(found, allowed) is expected


def test_what_comes_with_the_runner_or_lies_beside_the_documents_is_always_allowed() -> None:
    assert is_allowed(Shipped("budget"), [])
    assert is_allowed(Local("./x"), [])


def test_a_provider_is_the_same_with_and_without_the_engines_own_registry() -> None:
    same = {provider(f"{host}Hashicorp/random") for host in ("", "registry.terraform.io/", "registry.opentofu.org/")}
    assert same == {"hashicorp/random"}
    assert provider("registry.corp.example/a/b") == "registry.corp.example/a/b"


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=12))
def test_a_circle_is_found_exactly_where_there_is_one(edges: list[tuple[str, str]]) -> None:
    needs: dict[str, set[str]] = {key: {of for which, of in edges if which == key} for key in KEYS}
    blocks = [
        BuildingBlock(
            key=key, source="budget", inputs={f"i_{of}": BlockInput(output="id", of=of) for of in sorted(needs[key])}
        )
        for key in KEYS
    ]
    found = circle(blocks)
    left = dict(needs)
    while ready := [key for key, others in left.items() if not others & set(left)]:
        for key in ready:
            del left[key]
    assert bool(found) is bool(left)
    if found:
        assert found[0] == found[-1]
        assert all(following in needs[key] for key, following in itertools.pairwise(found))


def test_a_tenant_has_all_mandatory_blocks_and_those_it_chose() -> None:
    blocks = [
        BuildingBlock(key="a", source="budget"),
        BuildingBlock(key="b", source="budget", mandatory=False),
        BuildingBlock(key="c", source="budget", mandatory=False),
    ]
    assert [one.key for one in chosen(blocks, [ChosenBlock(key="c")])] == ["a", "c"]


def test_every_module_that_is_offered_comes_with_the_runner() -> None:
    assert set(SHIPPED) < set(NAMES)
