"""`--changed-since`: only tenants about which the documents say something else, told by what they say and not by which files changed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import documents
from runner.documents.since import Changed, changed_since
from runner.errors import InputError
from tests.estate import Estate

EXAMPLE = Path(__file__).parents[2] / "examples" / "documents" / "deployments"
DEMO = Path(__file__).parents[2] / "examples" / "demo"


def git(where: Path, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *author, *arguments], cwd=where, check=True, capture_output=True)


def committed(where: Path, message: str = "change") -> None:
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", message)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The demo's documents with a second tenant in a git repository, one commit on main."""
    where = tmp_path / "repository"
    shutil.copytree(DEMO, where / "zones")
    first = next((where / "zones" / "tenants").glob("*.yaml"))
    second = yaml.safe_load(first.read_text(encoding="utf-8"))
    second["metadata"]["name"] = "payments.second"
    second["spec"] |= {"projectIdentifier": "second", "platformTenantId": "4f1c2d30-0000-4000-8000-000000000002"}
    (where / "zones" / "tenants" / "second.yaml").write_text(yaml.safe_dump(second), encoding="utf-8")
    git(where, "init", "-q", "-b", "main")
    committed(where, "first")
    return where


def edit(file: Path, **spec: Any) -> None:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["spec"] |= spec
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


def changed(where: Path, ref: str = "main", paths: Sequence[str] = ("zones",)) -> Changed:
    chosen = [where / path for path in paths]
    return changed_since(ref, documents.read(chosen), chosen)


def test_nothing_changed_in_what_was_not_touched_or_only_written_differently(repository: Path) -> None:
    file = repository / "zones" / "tenants" / "second.yaml"
    file.write_text("# a comment\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    file.rename(repository / "zones" / "moved.yaml")
    assert changed(repository) == Changed(())


def test_a_tenant_whose_own_document_changed_also_where_that_is_not_committed(repository: Path) -> None:
    edit(repository / "zones" / "tenants" / "second.yaml", projectName="Another name")
    assert changed(repository).tenants == ("payments.second",)


@pytest.mark.parametrize(
    ("file", "spec"),
    [("landing-zone.yaml", {"displayName": "Other"}), ("platform.yaml", {"subscriptionNamePattern": "x"})],
)
def test_every_tenant_of_a_zone_or_platform_that_changed(repository: Path, file: str, spec: dict[str, Any]) -> None:
    edit(repository / "zones" / file, **spec)
    assert set(changed(repository).tenants) == {"payments.checkout-dev", "payments.second"}


def test_a_new_tenant_changed_and_one_that_is_gone_is_named(repository: Path) -> None:
    file = repository / "zones" / "tenants" / "second.yaml"
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["metadata"]["name"] = "payments.third"
    document["spec"] |= {"projectIdentifier": "third"}
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert changed(repository) == Changed(("payments.third",), ("payments.second",))


def test_a_branch_is_compared_with_where_it_left_and_not_with_what_came_after(repository: Path) -> None:
    git(repository, "checkout", "-q", "-b", "feature")
    edit(repository / "zones" / "tenants" / "second.yaml", projectName="On the branch")
    committed(repository)
    git(repository, "checkout", "-q", "main")
    edit(repository / "zones" / "landing-zone.yaml", displayName="On main")
    committed(repository)
    git(repository, "checkout", "-q", "feature")
    assert changed(repository).tenants == ("payments.second",)


def test_a_template_beside_a_document_counts_as_the_document(tmp_path: Path) -> None:
    where = tmp_path / "repository"
    shutil.copytree(EXAMPLE, where)
    git(where, "init", "-q", "-b", "main")
    committed(where)
    assert changed(where, paths=["."]).tenants == ()
    template = where / "baseline.json"
    template.write_text(
        template.read_text(encoding="utf-8").replace('"contentVersion": "1', '"contentVersion": "2'), encoding="utf-8"
    )
    assert changed(where, paths=["documents.yaml"]).tenants == documents.read([where]).chosen


def test_where_the_documents_could_not_be_read_then_every_tenant_changed(repository: Path) -> None:
    zone = repository / "zones" / "landing-zone.yaml"
    good = zone.read_text(encoding="utf-8")
    zone.write_text("kind: [", encoding="utf-8")
    committed(repository)
    zone.write_text(good, encoding="utf-8")
    found = changed(repository, "HEAD")
    assert found.unreadable
    assert len(found.tenants) == 2


def test_documents_that_are_new_altogether_changed(repository: Path) -> None:
    shutil.copytree(repository / "zones", repository / "more")
    assert len(changed(repository, paths=["more"]).tenants) == 2


@pytest.mark.parametrize("ref", ["no-such-branch", "--output=/tmp/x", "", "main:zones"])
def test_a_ref_that_is_none_is_refused(repository: Path, ref: str) -> None:
    with pytest.raises(InputError) as refused:
        changed(repository, ref)
    assert refused.value.code == "changes-unknown"


def test_without_a_repository_or_a_common_commit_it_cannot_be_told(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(DEMO, tmp_path / "plain")
    with pytest.raises(InputError) as outside:
        changed(tmp_path, paths=["plain"])
    assert "no git repository" in outside.value.detail
    git(repository, "checkout", "-q", "--orphan", "island")
    committed(repository)
    with pytest.raises(InputError) as apart:
        changed(repository)
    assert "no commit in common" in apart.value.detail


def test_only_what_changed_is_planned_and_nothing_is_fine(estate: Estate) -> None:
    second = estate.add_tenant(2)
    git(estate.documents, "init", "-q", "-b", "main")
    committed(estate.documents)
    nothing = estate.lzr("plan", estate.documents, "--changed-since", "main", "--json")
    assert nothing.json() == {"runs": []}
    assert "0 of 2 tenants changed since main." in nothing.stderr
    estate.edit("Tenant", lambda one: one["spec"].update(projectName="New"), name=second)
    planned = estate.lzr("plan", estate.documents, "--changed-since", "main", "--json", code=6)
    assert planned.run["tenant"] == second
    refused = estate.lzr("plan", estate.documents, "--changed-since", "nowhere", code=2)
    assert "no commit nowhere" in refused.stderr
