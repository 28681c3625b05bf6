"""Where a building block's code comes from: real git servers over https and SSH."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.agent.mesh import BLOCK, Mesh


def region(text: str) -> dict[str, str | bytes]:
    return {"main.tf": f'output "at" {{\n  value = "{text}"\n}}\n'}


def ssh(mesh: Mesh, **more: Any) -> dict[str, Any]:
    return mesh.terraform(
        repositoryUrl=f"{mesh.stack.git_ssh_url}/blocks.git",
        sshPrivateKey=mesh.stack.git_client_key.read_text(),
        knownHost=mesh.stack.known_host,
        **more,
    )


def failed_at_sources(run: dict[str, Any]) -> str:
    assert run["status"] == "FAILED"
    assert [step["status"] for step in run["steps"]] == ["FAILED"] * len(run["steps"])
    return str(run["steps"][0]["userMessage"]) + "\n" + str(run["steps"][0]["systemMessage"])


def test_ssh_with_the_runs_key_and_its_pinned_host_key(mesh: Mesh) -> None:
    run = mesh.done(definition=ssh(mesh))
    assert run["status"] == "SUCCEEDED"


def test_a_key_on_lines_of_windows_and_without_an_end_is_a_key_all_the_same(mesh: Mesh) -> None:
    key = mesh.stack.git_client_key.read_text().strip().replace("\n", "\r\n")
    assert mesh.done(definition={**ssh(mesh), "sshPrivateKey": key})["status"] == "SUCCEEDED"


def test_another_host_key_than_the_pinned_one_is_refused(mesh: Mesh) -> None:
    other = "AAAAC3NzaC1lZDI1NTE5AAAAIDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEy"
    definition = {**ssh(mesh), "knownHost": {**mesh.stack.known_host, "keyValue": other}}
    told = failed_at_sources(mesh.done(definition=definition))
    assert "The sources cannot be fetched" in told
    assert mesh.stack.git.fetches == 0


def test_without_a_known_host_the_agents_own_file_is_asked(mesh: Mesh) -> None:
    hosts = mesh.directory / "known_hosts"
    hosts.write_text(mesh.stack.known_hosts_line + "\n")
    definition = {name: value for name, value in ssh(mesh).items() if name != "knownHost"}
    refused = mesh.done(definition=definition)
    assert refused["status"] == "FAILED"
    mesh.configure(sshKnownHosts=str(hosts))
    assert mesh.done(definition=definition)["status"] == "SUCCEEDED"


def test_a_key_that_the_server_does_not_take_fails_the_run(mesh: Mesh) -> None:
    key = mesh.directory / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    told = failed_at_sources(mesh.done(definition={**ssh(mesh), "sshPrivateKey": key.read_text()}))
    assert "Permission denied" in told
    assert key.read_text().splitlines()[1] not in told


def test_a_ref_is_a_branch_a_tag_or_a_commit_also_a_short_one(mesh: Mesh) -> None:
    git = mesh.stack.git
    git.repository("refs", region("first"), tag="v1")
    second = git.repository("refs", region("second"))
    git.repository("refs", region("third"))
    git.repository("refs", region("side"), branch="feature/side")
    url = f"{mesh.stack.git_https_url}/refs.git"
    for ref, at in [
        ("v1", "first"),
        (second, "second"),
        (second[:9], "second"),
        ("main", "third"),
        (None, "third"),
        ("feature/side", "side"),
        ("refs/tags/v1", "first"),
    ]:
        run = mesh.done(definition=mesh.terraform(repositoryUrl=url, refName=ref))
        assert (run["status"], run["outputs"].get("at", {}).get("value")) == ("SUCCEEDED", at), (ref, run["steps"][0])


def test_the_second_run_of_a_block_does_not_fetch_again_and_a_new_commit_is_seen(mesh: Mesh) -> None:
    definition = mesh.terraform(region("one"), name="twice")
    assert mesh.done(definition=definition)["outputs"]["at"]["value"] == "one"
    fetched = mesh.stack.git.fetches
    assert mesh.done(definition=definition)["outputs"]["at"]["value"] == "one"
    assert mesh.stack.git.fetches == fetched
    mesh.terraform(region("two"), name="twice")
    assert mesh.done(definition=definition)["outputs"]["at"]["value"] == "two"


def test_a_path_leads_to_the_block_and_modules_beside_it_are_found(mesh: Mesh) -> None:
    files: dict[str, str | bytes] = {
        "blocks/one/main.tf": 'module "m" {\n  source = "../../modules/m"\n}\noutput "at" {\n  value = module.m.at\n}\n',
        "modules/m/main.tf": region("module")["main.tf"],
    }
    run = mesh.done(definition=mesh.terraform(files, name="deep", repositoryPath="blocks/one"))
    assert run["outputs"]["at"]["value"] == "module"


def test_a_module_in_another_repository_is_fetched_with_the_runs_own_key(mesh: Mesh) -> None:
    mesh.stack.git.repository("inner", region("inner"))
    files: dict[str, str | bytes] = {
        "main.tf": f'module "m" {{\n  source = "git::{mesh.stack.git_ssh_url}/inner.git"\n}}\noutput "at" {{\n  value = module.m.at\n}}\n'
    }
    mesh.terraform(files)
    run = mesh.done(definition=ssh(mesh))
    assert run["outputs"]["at"]["value"] == "inner"


@pytest.mark.parametrize("path", ["../..", "/etc", "a/../../b", "missing", ".git", "link"])
def test_a_path_that_is_no_folder_of_the_repository_is_refused(mesh: Mesh, path: str) -> None:
    told = failed_at_sources(mesh.done(definition=mesh.terraform(repositoryPath=path)))
    assert "source cannot be used" in told


def committed_link(mesh: Mesh, name: str, target: str) -> dict[str, Any]:
    """A repository with a symbolic link, made with git itself."""
    work = mesh.directory / "work"
    subprocess.run(["git", "clone", "-q", str(mesh.stack.git.root / "blocks.git"), str(work)], check=True)
    (work / name).symlink_to(target)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(work), "add", "-A"], check=True)
    subprocess.run(["git", *author, "-C", str(work), "commit", "-qm", "link"], check=True)
    subprocess.run(["git", "-C", str(work), "push", "-q", "origin", "HEAD:main"], check=True)
    return mesh.terraform()


@pytest.mark.parametrize("target", ["/etc", "../../..", "/etc/passwd"])
def test_a_link_out_of_the_repository_is_refused_wherever_it_lies(mesh: Mesh, target: str) -> None:
    mesh.terraform()
    told = failed_at_sources(mesh.done(definition=committed_link(mesh, "link", target)))
    assert "The link link leads out of the repository." in told


def test_a_link_within_the_repository_is_followed(mesh: Mesh) -> None:
    mesh.terraform({"shared/main.tf": BLOCK, "main.tf": ""})
    definition = {**committed_link(mesh, "linked", "shared"), "repositoryPath": "linked"}
    assert mesh.done(definition=definition)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("url", "ref"),
    [
        ("--upload-pack=touch /tmp/x", "main"),
        ("ext::sh -c id", "main"),
        ("file:///etc", "main"),
        ("/etc", "main"),
        ("http://127.0.0.1/blocks.git", "main"),
        ("ssh://-oProxyCommand=id/x", "main"),
        ("git@-oProxyCommand=id:x", "main"),
        ("https://127.0.0.1/a b", "main"),
        (None, "--upload-pack=id"),
        (None, "main:refs/heads/other"),
        (None, "a..b"),
        (None, "nothing-of-this-name"),
        (None, "0" * 40),
    ],
)
def test_an_address_or_ref_that_means_something_else_is_refused(mesh: Mesh, url: str | None, ref: str) -> None:
    definition = mesh.terraform(refName=ref)
    told = failed_at_sources(mesh.done(definition={**definition, "repositoryUrl": url or definition["repositoryUrl"]}))
    assert "source cannot be used" in told


def test_submodules_and_lfs_files_are_left_as_they_are(mesh: Mesh, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    files: dict[str, str | bytes] = {
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        ".gitmodules": '[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c "touch /tmp/never"\n',
        ".lfsconfig": "[lfs]\n\turl = https://127.0.0.1:1/never\n",
        "data.bin": pointer,
        "main.tf": 'output "at" {\n  value = file("${path.module}/data.bin")\n}\n',
    }
    run = mesh.done(definition=mesh.terraform(files, name="tricks"))
    assert run["outputs"]["at"]["value"] == pointer


def test_a_password_in_an_address_is_not_told(mesh: Mesh) -> None:
    url = f"{mesh.stack.git_https_url}/none.git".replace("https://", "https://user:pass-word-1@")
    told = failed_at_sources(mesh.done(definition={**mesh.terraform(), "repositoryUrl": url}))
    assert "pass-word-1" not in told
