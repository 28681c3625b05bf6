"""Code of building blocks from real git repositories, and from registries that name one."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from runner.domain.building_block import BuildingBlock
from runner.errors import InputError, RemoteFailed
from runner.terraform.module_sources import MOST_FILES, ModuleSources
from tests.cli.test_building_blocks import GROUP, git, release, repository
from tests.terraform.git_server import served


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo")


@pytest.fixture
def sources(tmp_path: Path) -> ModuleSources:
    return ModuleSources(
        directory=tmp_path / "modules",
        surroundings={},
        client=lambda: httpx.Client(),
        lock=lambda _: nullcontext(),
        protocols="file",
    )


def block(repo: Path, ref: str = "v1", folder: str = "group") -> BuildingBlock:
    inside = f"//{folder}" if folder else ""
    return BuildingBlock(key="x", source=f"git::file://{repo}{inside}?ref={ref}")


def test_a_tag_is_the_commit_that_it_stands_for_now(repo: Path, sources: ModuleSources) -> None:
    first = git(repo, "rev-parse", "HEAD")
    found = sources.find(block(repo))
    assert found.commit == first
    assert dict(found.files) == {"main.tf": GROUP}

    second = release(repo, "v1", GROUP + "# two\n")
    assert sources.find(block(repo)).commit == second


def test_the_files_of_a_commit_stay_what_they_were_when_its_tag_has_moved(repo: Path, sources: ModuleSources) -> None:
    first = sources.find(block(repo)).commit
    release(repo, "v1", GROUP + "# two\n")
    sources.find(block(repo))

    assert sources.at(block(repo), first) == {"main.tf": GROUP}


def test_a_commit_is_fetched_again_by_a_machine_that_does_not_have_it(
    repo: Path, sources: ModuleSources, tmp_path: Path
) -> None:
    git(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
    first = sources.find(block(repo)).commit
    release(repo, "v1", GROUP + "# two\n")
    elsewhere = ModuleSources(tmp_path / "other", {}, sources.client, sources.lock, protocols="file")

    assert elsewhere.at(block(repo), first) == {"main.tf": GROUP}
    assert elsewhere.find(block(repo, ref=first)).commit == first


def test_a_branch_and_an_annotated_tag_are_refs_as_well(repo: Path, sources: ModuleSources) -> None:
    git(repo, "tag", "--annotate", "--message", "x", "annotated")
    head = git(repo, "rev-parse", "HEAD")
    assert sources.find(block(repo, ref="main")).commit == head
    assert sources.find(block(repo, ref="annotated")).commit == head


def test_links_hidden_files_and_tests_are_not_code(repo: Path, sources: ModuleSources) -> None:
    (repo / "group" / "secrets.tf").symlink_to("/etc/passwd")
    (repo / "group" / ".hidden.tf").write_text("x", encoding="utf-8")
    (repo / "group" / "tests").mkdir()
    (repo / "group" / "tests" / "a.tftest.hcl").write_text("x", encoding="utf-8")
    (repo / "group" / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    release(repo, "v2", GROUP)

    assert set(sources.find(block(repo, ref="v2")).files) == {"main.tf"}


@pytest.mark.parametrize(("ref", "folder"), [("v1", "nowhere"), ("nowhere", "group")])
def test_what_is_not_there_says_where_it_was_looked_for(
    repo: Path, sources: ModuleSources, ref: str, folder: str
) -> None:
    with pytest.raises(RemoteFailed) as failed:
        sources.find(block(repo, ref=ref, folder=folder))
    assert str(repo) in failed.value.detail


def test_a_folder_without_a_module_is_told(repo: Path, sources: ModuleSources) -> None:
    with pytest.raises(InputError, match="cannot be used") as refused:
        sources.find(block(repo, folder=""))
    assert "the repository itself" in refused.value.detail


def test_a_module_that_is_too_large_is_told(repo: Path, sources: ModuleSources) -> None:
    for number in range(MOST_FILES + 1):
        (repo / "group" / f"f{number}.txt").write_text("x", encoding="utf-8")
    release(repo, "big", GROUP)
    with pytest.raises(InputError, match="cannot be used"):
        sources.find(block(repo, ref="big"))


def test_no_repository_is_an_error_and_never_a_question(tmp_path: Path, sources: ModuleSources) -> None:
    with pytest.raises(RemoteFailed) as failed:
        sources.find(block(tmp_path / "no-such-repository"))
    assert failed.value.code == "module-not-fetched"


def test_a_repository_on_this_machine_is_nobodys_source_outside_of_tests(repo: Path, sources: ModuleSources) -> None:
    real = ModuleSources(sources.directory, {}, sources.client, sources.lock)
    with pytest.raises(RemoteFailed) as failed:
        real.find(block(repo))
    assert "transport 'file' not allowed" in failed.value.detail


def test_hooks_and_settings_of_a_repository_run_nothing(
    repo: Path, sources: ModuleSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = tmp_path / "touched"
    config = tmp_path / "home" / ".gitconfig"
    config.parent.mkdir()
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-rewrite"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {touched}\n", encoding="utf-8")
        (hooks / name).chmod(0o755)
    config.write_text(f"[core]\n\thooksPath = {hooks}\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(config.parent))

    sources.find(block(repo))

    assert not touched.exists()
    assert os.environ["HOME"] == str(config.parent)


# --- registries ------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry(repo: Path) -> dict[str, str]:
    """What a registry answers to the download of a version."""
    return {"where": f"git::file://{repo}//group?ref=v1"}


def registered(sources: ModuleSources, registry: dict[str, str]) -> ModuleSources:
    def answer(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/.well-known/terraform.json":
                return httpx.Response(200, json={"modules.v1": "/v1/modules/"})
            case "/v1/modules/corp/group/azure/1.2.3/download":
                return httpx.Response(204, headers={"X-Terraform-Get": registry["where"]})
            case _:
                return httpx.Response(404)

    def client() -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(answer))

    return ModuleSources(sources.directory, {}, client, sources.lock, protocols="file")


def test_a_registry_leads_to_a_repository(repo: Path, sources: ModuleSources, registry: dict[str, str]) -> None:
    wanted = BuildingBlock(key="x", source="registry.corp.example/corp/group/azure", version="1.2.3")
    found = registered(sources, registry).find(wanted)
    assert found.commit == git(repo, "rev-parse", "HEAD")
    assert dict(found.files) == {"main.tf": GROUP}
    assert registered(sources, registry).at(wanted, found.commit) == {"main.tf": GROUP}


def test_a_module_that_is_no_repository_is_told(sources: ModuleSources, registry: dict[str, str]) -> None:
    registry["where"] = "https://registry.corp.example/archive.tar.gz"
    with pytest.raises(InputError) as refused:
        registered(sources, registry).find(
            BuildingBlock(key="x", source="registry.corp.example/corp/group/azure", version="1.2.3")
        )
    assert refused.value.code == "module-not-in-git"


def test_a_version_that_a_registry_does_not_have_is_told(sources: ModuleSources, registry: dict[str, str]) -> None:
    with pytest.raises(RemoteFailed) as failed:
        registered(sources, registry).find(
            BuildingBlock(key="x", source="registry.corp.example/corp/group/azure", version="9.9.9")
        )
    assert "9.9.9" in failed.value.detail


# --- over https ------------------------------------------------------------------------------------------------------


def test_a_repository_is_fetched_over_https_with_a_private_authority_and_not_without(
    repo: Path, sources: ModuleSources, tmp_path: Path
) -> None:
    with served(repo.parent, tmp_path / "certificates") as (host, authority):
        wanted = BuildingBlock(key="x", source=f"git::https://{host}/repo//group?ref=v1")
        trusting = ModuleSources(tmp_path / "https", {"GIT_SSL_CAINFO": str(authority)}, sources.client, sources.lock)

        found = trusting.find(wanted)
        assert (found.commit, dict(found.files)) == (git(repo, "rev-parse", "HEAD"), {"main.tf": GROUP})
        assert trusting.at(wanted, found.commit) == {"main.tf": GROUP}

        with pytest.raises(RemoteFailed) as failed:
            ModuleSources(tmp_path / "other", {}, sources.client, sources.lock).find(wanted)
        assert "certificate" in failed.value.detail
