"""Sources over https and SSH, fetched by the real git."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from runner.sandbox.meshstack.server import MeshStack

FILES: dict[str, str | bytes] = {"main.tf": "# one\n", "deep/down/run.sh": "#!/bin/sh\n", "picture.png": b"\x00\xff"}


@pytest.fixture
def mesh(tmp_path: Path) -> MeshStack:
    """Not shared: repositories stay in the directory."""
    return MeshStack(tmp_path / "meshstack")


def git(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", *arguments],
        env={**clean, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def over_https(mesh: MeshStack) -> dict[str, str]:
    return {"GIT_SSL_CAINFO": str(mesh.ca_file)}


def over_ssh(mesh: MeshStack, *, key: Path | None = None, host: str = "") -> dict[str, str]:
    known = mesh.directory / "known_hosts"
    known.write_text(f"{host or mesh.known_hosts_line}\n", encoding="utf-8")
    options = "-F /dev/null -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o BatchMode=yes"
    command = f"ssh {options} -o UserKnownHostsFile={known} -i {key or mesh.git_client_key}"
    return {"GIT_SSH_COMMAND": command, "SSH_AUTH_SOCK": ""}


@pytest.mark.parametrize("way", ["https", "ssh"])
def test_a_repository_is_cloned(mesh: MeshStack, tmp_path: Path, way: str) -> None:
    with mesh:
        commit = mesh.git.repository("team/blocks", FILES, tag="v1")
        base, env = (mesh.git_https_url, over_https(mesh)) if way == "https" else (mesh.git_ssh_url, over_ssh(mesh))
        ran = git("clone", "--quiet", f"{base}/team/blocks.git", str(tmp_path / "clone"), env=env)
        assert ran.returncode == 0, ran.stderr
        assert mesh.git.fetches == 1
        git("ls-remote", f"{base}/team/blocks.git", env=env)
        assert mesh.git.fetches == 1
    assert git("-C", str(tmp_path / "clone"), "rev-parse", "HEAD", "v1").stdout.split() == [commit, commit]
    assert (tmp_path / "clone" / "picture.png").read_bytes() == b"\x00\xff"
    assert os.access(tmp_path / "clone" / "deep" / "down" / "run.sh", os.X_OK)


@pytest.mark.parametrize("way", ["https", "ssh"])
def test_what_was_committed_later_is_fetched(mesh: MeshStack, tmp_path: Path, way: str) -> None:
    with mesh:
        first = mesh.git.repository("blocks", FILES)
        base, env = (mesh.git_https_url, over_https(mesh)) if way == "https" else (mesh.git_ssh_url, over_ssh(mesh))
        clone = str(tmp_path / "clone")
        git("clone", "--quiet", f"{base}/blocks.git", clone, env=env)
        second = mesh.git.repository("blocks", {"other.tf": ""})
        side = mesh.git.repository("blocks.git", {"side.tf": ""}, branch="side")
        assert git("-C", clone, "fetch", "--quiet", env=env).returncode == 0
        assert mesh.git.fetches == 2
    told = git("-C", clone, "rev-parse", "origin/main", "origin/main^", "origin/side").stdout.split()
    assert told == [second, first, side]
    assert git("-C", clone, "ls-tree", "--name-only", "-r", second).stdout.split() == ["other.tf"]


def test_a_long_request_arrives_although_git_packs_it(mesh: MeshStack, tmp_path: Path) -> None:
    with mesh:
        for number in range(40):  # git compresses what it asks for from 1,024 bytes
            mesh.git.repository("blocks", {"a": str(number)}, branch=f"branch-{number}")
        url = f"{mesh.git_https_url}/blocks.git"
        asked = {**over_https(mesh), "GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"}
        ran = git("clone", "--bare", url, str(tmp_path / "clone"), env=asked)
    assert ran.returncode == 0, ran.stderr
    assert "content-encoding: gzip" in ran.stderr.lower()


def test_a_commit_can_be_fetched_by_its_id(mesh: MeshStack, tmp_path: Path) -> None:
    with mesh:
        first = mesh.git.repository("blocks", FILES)
        mesh.git.repository("blocks", {})
        git("init", "--quiet", str(tmp_path / "here"))
        url = f"{mesh.git_https_url}/blocks.git"
        ran = git("-C", str(tmp_path / "here"), "fetch", "--quiet", "--depth=1", url, first, env=over_https(mesh))
    assert ran.returncode == 0, ran.stderr


def test_https_is_trusted_by_its_own_authority_alone(mesh: MeshStack) -> None:
    with mesh:
        mesh.git.repository("blocks", FILES)
        assert "certificate" in git("ls-remote", f"{mesh.git_https_url}/blocks.git").stderr


@pytest.mark.parametrize("path", ["blocks.git/../../runner-private.pem", "../runner-private.pem", "nothing.git"])
def test_nothing_beside_the_repositories_is_served(mesh: MeshStack, path: str) -> None:
    with mesh:
        mesh.git.repository("blocks", FILES)
        raw = path.replace("..", "%2e%2e")
        where = f"{mesh.git_https_url}/{raw}/info/refs?service=git-upload-pack"
        with httpx.Client(verify=ssl.create_default_context(cafile=str(mesh.ca_file)), trust_env=False) as client:
            assert client.get(where).status_code == 404
        ran = git("ls-remote", f"{mesh.git_ssh_url}/{path}", env=over_ssh(mesh))
        assert ran.returncode != 0
        assert "only git-upload-pack" in ran.stderr


def test_a_link_out_of_the_root_leads_nowhere(mesh: MeshStack, tmp_path: Path) -> None:
    with mesh:
        outside = tmp_path / "outside.git"
        git("init", "--quiet", "--bare", str(outside))
        (mesh.git.root / "inside.git").symlink_to(outside)
        assert git("ls-remote", f"{mesh.git_https_url}/inside.git", env=over_https(mesh)).returncode != 0
        assert git("ls-remote", f"{mesh.git_ssh_url}/inside.git", env=over_ssh(mesh)).returncode != 0
        with pytest.raises(ValueError, match="not below the root"):
            mesh.git.repository("../elsewhere", FILES)


def test_nobody_can_push(mesh: MeshStack, tmp_path: Path) -> None:
    with mesh:
        mesh.git.repository("blocks", FILES)
        clone = str(tmp_path / "clone")
        git("clone", "--quiet", f"{mesh.git_https_url}/blocks.git", clone, env=over_https(mesh))
        git("-C", clone, "branch", "mine")
        for base, env in ((mesh.git_https_url, over_https(mesh)), (mesh.git_ssh_url, over_ssh(mesh))):
            assert git("-C", clone, "push", f"{base}/blocks.git", "mine", env=env).returncode != 0


def test_only_the_clients_key_comes_in_and_only_one_command_runs(mesh: MeshStack, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    with mesh:
        mesh.git.repository("blocks", FILES)
        url = f"{mesh.git_ssh_url}/blocks.git"
        assert "Permission denied" in git("ls-remote", url, env=over_ssh(mesh, key=tmp_path / "key")).stderr
        host, port = mesh.git_ssh_url.removeprefix("ssh://git@").split(":")
        shell = [*over_ssh(mesh)["GIT_SSH_COMMAND"].split(), "-p", port, f"git@{host}"]
        for command in ("id", "git-upload-pack", "git-upload-pack '/blocks.git' --help", "git-upload-pack 'a"):
            ran = subprocess.run([*shell, command], capture_output=True, text=True, check=False, timeout=60)
            assert ran.returncode == 1
            assert "only git-upload-pack" in ran.stderr


def test_a_server_that_shows_another_key_is_noticed(mesh: MeshStack, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    with mesh:
        mesh.git.repository("blocks", FILES)
        other = f"{mesh.known_host['host']} {(tmp_path / 'key.pub').read_text(encoding='utf-8')}"
        ran = git("ls-remote", f"{mesh.git_ssh_url}/blocks.git", env=over_ssh(mesh, host=other))
        assert "Host key verification failed" in ran.stderr


def test_the_client_key_is_openssh_without_a_passphrase(mesh: MeshStack) -> None:
    assert mesh.git_client_key.name == "git-client-key"
    assert mesh.git_client_key.read_text(encoding="utf-8").startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    ran = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", str(mesh.git_client_key)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("ssh-ed25519 ")


def test_it_stops_although_somebody_is_connected(mesh: MeshStack) -> None:
    with mesh:
        ports = [int(url.rpartition(":")[2]) for url in (mesh.url, mesh.git_https_url, mesh.git_ssh_url)]
        idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for port in ports]
        idle[2].recv(4)  # the greeting: the connection has been taken
    for one in idle:
        with one, contextlib.suppress(ConnectionError):
            while one.recv(1024):
                pass


def test_files_and_keys_stay_from_one_start_to_the_next(mesh: MeshStack, tmp_path: Path) -> None:
    with mesh:
        commit, host = mesh.git.repository("blocks", FILES), mesh.known_host["keyValue"]
    with MeshStack(tmp_path / "meshstack") as again:
        assert again.known_host["keyValue"] == host
        told = git("ls-remote", f"{again.git_ssh_url}/blocks.git", "HEAD", env=over_ssh(again))
        assert told.stdout.split() == [commit, "HEAD"]
