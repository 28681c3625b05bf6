"""What changed since a commit, whatever the repository is like: attributes, links, submodules, Git LFS, strange names, other owners."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from runner import documents
from runner.documents.past import Git, Past
from runner.documents.since import Changed, changed_since
from runner.errors import InputError
from tests.cli.test_changed_since import DEMO, EXAMPLE, changed, committed, edit, git, repository

__all__ = ["repository"]  # the fixture
BLOCKS = DEMO.parent / "documents" / "building-blocks"
BOTH = {"payments.checkout-dev", "payments.second"}


def again(where: Path, ref: str, paths: Sequence[str]) -> Changed:
    """As a job of a pipeline that only has its own clone."""
    return changed(where, ref, paths)


def output(where: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def test_attributes_neither_hide_documents_nor_fill_them_in(repository: Path) -> None:
    (repository / ".gitattributes").write_text("*.yaml export-ignore export-subst\n", encoding="utf-8")
    edit(repository / "zones" / "landing-zone.yaml", displayName="$Format:%H$")
    committed(repository)
    assert changed(repository) == Changed(())
    edit(repository / "zones" / "tenants" / "second.yaml", projectName="Another")
    assert changed(repository, "HEAD").tenants == ("payments.second",)


def test_a_link_to_documents_elsewhere_in_the_repository_is_followed(repository: Path) -> None:
    shared = repository / "shared"
    shared.mkdir()
    (repository / "zones" / "landing-zone.yaml").rename(shared / "zone.yaml")
    (repository / "zones" / "linked").symlink_to("../shared")
    (shared / "back").symlink_to("zone.yaml")
    committed(repository)
    assert changed(repository, "HEAD") == Changed(())
    edit(shared / "zone.yaml", displayName="Other")
    found = changed(repository, "HEAD")
    assert (set(found.tenants), found.unreadable) == (BOTH, False)


def test_a_link_that_leaves_the_repository_leads_where_it_leads_now(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (repository / "zones" / "landing-zone.yaml").rename(tmp_path / "outside" / "zone.yaml")
    (repository / "zones" / "absolute").symlink_to(tmp_path / "outside")
    committed(repository)
    assert changed(repository, "HEAD") == Changed(())
    (repository / "zones" / "absolute").unlink()
    (repository / "zones" / "relative.yaml").symlink_to("../../outside/zone.yaml")
    committed(repository)
    assert changed(repository, "HEAD") == Changed(())


def test_a_module_beside_the_documents_counts_as_the_tenants_of_its_zone(tmp_path: Path) -> None:
    where = tmp_path / "repository"
    shutil.copytree(BLOCKS, where / "zones")
    zone = next(
        one
        for one in yaml.safe_load_all((where / "zones" / "documents.yaml").read_text("utf-8"))
        if one["kind"] == "LandingZone"
    )
    named = [block["source"] for block in zone["spec"]["buildingBlocks"] if block["source"].startswith("./")]
    git(where, "init", "-q", "-b", "main")
    committed(where)
    assert changed(where) == Changed(())
    module = where / "zones" / named[0]
    (module / "more.tf").write_text("# something\n", encoding="utf-8")
    assert changed(where).tenants == documents.read([where / "zones"]).chosen
    assert not changed(where).unreadable


def test_only_documents_and_what_they_name_are_read_of_a_large_repository(tmp_path: Path) -> None:
    where = tmp_path / "repository"
    shutil.copytree(EXAMPLE, where / "zones")
    for name in ("data.bin", "zones/beside.bin", "zones/other.json", ".hidden/x.yaml"):
        (where / name).parent.mkdir(exist_ok=True)
        (where / name).write_text("not needed", encoding="utf-8")
    git(where, "init", "-q", "-b", "main")
    committed(where)
    there = tmp_path / "there"
    past = Past(Git(where), Git(where).base("HEAD"), there)
    assert past.put("")
    past.finish()
    found = {str(file.relative_to(there)) for file in there.rglob("*") if file.is_file()}
    assert found == {"zones/documents.yaml", "zones/baseline.json"}


@pytest.mark.parametrize(
    "name", ["a b.yaml", "ä€😀.yaml", "-n.yaml", "a\nb.yaml", "a\tb\"'$(x).yaml", ":(top)x.yaml", "a:b.yaml"]
)
def test_a_file_may_have_any_name(name: str, repository: Path) -> None:
    (repository / "zones" / "tenants" / "second.yaml").rename(repository / "zones" / "tenants" / name)
    committed(repository)
    assert changed(repository, "HEAD") == Changed(())
    assert changed(
        repository, "HEAD", ["zones/platform.yaml", "zones/landing-zone.yaml", f"zones/tenants/{name}"]
    ) == Changed(())
    edit(repository / "zones" / "tenants" / name, projectName="Another")
    assert changed(repository, "HEAD").tenants == ("payments.second",)


def test_a_name_that_is_no_unicode_is_no_obstacle(repository: Path) -> None:
    file = os.fsencode(repository / "zones" / "tenants") + b"/\xff.yaml"
    Path(os.fsdecode(file)).write_bytes((repository / "zones" / "platform.yaml").read_bytes())
    (repository / "zones" / "platform.yaml").unlink()
    committed(repository)
    assert changed(repository, "HEAD") == Changed(())


def test_documents_in_a_submodule_are_read_at_the_commit_they_were_at(repository: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q", "-b", "main")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repository), "estate")
    committed(outer)
    assert changed(outer, "HEAD", ["."]) == Changed(())
    edit(outer / "estate" / "zones" / "tenants" / "second.yaml", projectName="Another")
    committed(outer / "estate")
    assert changed(outer, "HEAD", ["."]).tenants == ("payments.second",)
    assert changed(outer / "estate", "HEAD^").tenants == (
        "payments.second",
    )  # within, it is a repository like any other


def test_a_submodule_that_cannot_be_looked_into_makes_every_tenant_changed(repository: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "-b", "main")
    (empty / "README").touch()
    committed(empty)
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(empty), "zones/more")
    committed(repository)
    shutil.rmtree(repository / "zones" / "more")
    found = changed(repository, "HEAD")
    assert (set(found.tenants), found.unreadable) == (BOTH, True)


def pointer(content: bytes) -> str:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\nsize {len(content)}\n"


def test_a_template_in_git_lfs_is_compared_by_its_content(tmp_path: Path) -> None:
    where = tmp_path / "repository"
    shutil.copytree(EXAMPLE, where)
    template = where / "baseline.json"
    content = template.read_bytes()
    template.write_text(pointer(content), encoding="utf-8")
    git(where, "init", "-q", "-b", "main")
    committed(where)
    template.write_bytes(content)  # as git-lfs checks it out
    assert changed(where, paths=["."]) == Changed(())
    template.write_bytes(content.replace(b'"contentVersion": "1', b'"contentVersion": "2'))
    assert changed(where, paths=["."]).unreadable  # what it was is nowhere here
    digest = hashlib.sha256(content).hexdigest()
    kept = where / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    kept.parent.mkdir(parents=True)
    kept.write_bytes(content)
    found = changed(where, paths=["."])
    assert (found.tenants, found.unreadable) == (documents.read([where]).chosen, False)


def test_a_shallow_clone_says_how_to_fetch_the_rest(repository: Path, tmp_path: Path) -> None:
    first = output(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "-b", "feature")
    edit(repository / "zones" / "tenants" / "second.yaml", projectName="Another")
    committed(repository)
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", "-b", "feature", f"file://{repository}", str(shallow))
    for ref in (first, "origin/main"):
        with pytest.raises(InputError) as refused:
            changed(shallow, ref)
        assert refused.value.code == "changes-unknown"
        assert "fetch --unshallow" in refused.value.hint
    git(shallow, "fetch", "-q", "origin", "main:refs/remotes/origin/main", "--depth", "1")
    with pytest.raises(InputError, match="no commit in common"):
        changed(shallow, "origin/main")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to somebody else takes root")
def test_a_repository_of_another_user_is_told_with_the_remedy(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "SUDO_UID"):
        monkeypatch.delenv(variable, raising=False)
    for path in (repository, repository / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(InputError) as refused:
        changed(repository)
    assert "belongs to another user" in refused.value.detail
    subprocess.run(
        ["/bin/sh", "-c", refused.value.hint], check=True, env=os.environ | {"HOME": str(tmp_path)}, capture_output=True
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    assert changed(repository) == Changed(())


def test_a_document_that_was_too_large_then_makes_every_tenant_changed(repository: Path) -> None:
    large = repository / "zones" / "large.yaml"
    large.write_text("# large\n" * 200_000, encoding="utf-8")
    committed(repository)
    large.unlink()
    assert changed(repository, "HEAD").unreadable


def test_a_second_work_tree_is_as_good_as_the_first(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "second", str(tmp_path / "second"))
    edit(tmp_path / "second" / "zones" / "tenants" / "second.yaml", projectName="Another")
    assert changed(tmp_path / "second").tenants == ("payments.second",)


def test_nothing_is_written_outside_of_the_folder_whatever_a_tree_says(repository: Path, tmp_path: Path) -> None:
    """Trees that git itself never makes: a name that leads out, and a link that a file of the same tree would be written through."""
    blob = output(repository, "hash-object", "-w", "zones/platform.yaml")
    link = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=repository, input=str(tmp_path / "away").encode(), capture_output=True, check=True
    ).stdout.decode().strip()  # fmt: skip
    below = tree(repository, (b"100644", b"x.yaml", blob))
    outer = tree(repository, (b"120000", b"a", link), (b"40000", b"a", below), (b"40000", b"..", below))
    commit = output(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", outer, "-m", "x")
    (tmp_path / "away").mkdir()
    past = Past(Git(repository), commit, tmp_path / "there" / "inside")
    past.put("")
    past.finish()
    assert not list((tmp_path / "away").iterdir())
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["inside"]


def tree(where: Path, *entries: tuple[bytes, bytes, str]) -> str:
    content = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(number) for mode, name, number in entries)
    ran = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=where,
        input=content,
        capture_output=True,
        check=True,
    )
    return ran.stdout.decode().strip()


def test_a_repository_that_lost_an_object_is_told(repository: Path) -> None:
    blob = output(repository, "rev-parse", "HEAD:zones/platform.yaml")
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    chosen = [repository / "zones"]
    with pytest.raises(InputError) as refused:
        changed_since("main", documents.read(chosen), chosen)
    assert refused.value.code == "changes-unknown"
