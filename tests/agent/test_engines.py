"""Which engine executes a run: the exact version, from the store, or downloaded and compared with its checksum."""

from __future__ import annotations

import functools
import hashlib
import io
import platform
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner.agent.engines import Engines, _machine
from runner.errors import InputError, RemoteFailed
from runner.terraform import engine
from runner.terraform.engine import Engine

HERE = Engine(("/usr/bin/terraform",), "terraform", "1.11.4")
PROGRAM = """#!/bin/sh
echo '{"terraform_version": "%s"%s}'
"""


def program(name: str, version: str) -> bytes:
    """A program that answers as this engine does when it is asked for its version."""
    return (PROGRAM % (version, ', "terraform_outdated": false' if name == "terraform" else "")).encode()


def engines(directory: Path, *, mapping: Mapping[str, str] = {}, mirror: str = "") -> Engines:
    return Engines(
        directory=directory / "engines",
        installed=lambda: (HERE,),
        check=lambda path: engine.at(path, wanted_by="test"),
        mapping=mapping,
        download=bool(mirror),
        mirror=mirror,
        client=lambda: httpx.Client(trust_env=False),
        lock=lambda path: nullcontext(),
    )


def stored(directory: Path, name: str, version: str) -> None:
    place = directory / "engines" / name / version / name
    place.parent.mkdir(parents=True)
    place.write_bytes(program(name, version))
    place.chmod(0o700)


def test_up_to_1_5_5_a_version_is_terraforms_and_above_it_tofus(tmp_path: Path) -> None:
    for name, version in (("terraform", "1.5.5"), ("tofu", "1.5.6"), ("tofu", "1.9.0")):
        stored(tmp_path, name, version)
    found = engines(tmp_path)
    assert found.find("1.5.5").label == "terraform 1.5.5"
    assert found.find("v1.5.6").label == "tofu 1.5.6"
    assert found.find(" 1.9.0 ").label == "tofu 1.9.0"


def test_the_operator_maps_versions_to_what_there_is(tmp_path: Path) -> None:
    stored(tmp_path, "tofu", "1.10.2")
    own = tmp_path / "own"
    own.write_bytes(program("tofu", "9.9.9"))
    own.chmod(0o700)
    mapping = {"1.9.*": "terraform 1.11.4", "1.8.0": "1.10.2", "1.7.*": str(own), "*": "terraform@1.11.4"}
    found = engines(tmp_path, mapping=mapping)
    assert found.find("1.9.3") is HERE
    assert found.find("1.8.0").label == "tofu 1.10.2"
    assert found.find("1.7.9").label == "tofu 9.9.9"
    assert found.find("") is HERE


def test_a_version_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    stored(tmp_path, "tofu", "1.9.0")
    with pytest.raises(InputError) as missing:
        engines(tmp_path).find("1.9.1")
    assert missing.value.detail == "The building block wants tofu 1.9.1. Present: terraform 1.11.4, tofu 1.9.0."


@pytest.mark.parametrize("version", ["latest", "1.9", "", "1.9.0; rm -rf /", "../../x", "1.9.0/../.."])
def test_what_is_no_version_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(InputError):
        engines(tmp_path).find(version)


def packed(name: str, version: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(name, program(name, version))
        file.writestr("LICENSE.txt", "…")
    return content.getvalue()


@contextmanager
def releases(root: Path) -> Iterator[str]:
    """A mirror of releases, as a real server."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def released(root: Path, name: str, version: str, *, checksum: str | None = None) -> None:
    folder = root / name / version
    folder.mkdir(parents=True)
    archive = f"{name}_{version}_{platform.system().lower()}_{_machine()}.zip"
    content = packed(name, version)
    (folder / archive).write_bytes(content)
    listed = checksum or hashlib.sha256(content).hexdigest()
    (folder / f"{name}_{version}_SHA256SUMS").write_text(f"{'0' * 64}  other.zip\n{listed}  {archive}\n")


def test_a_release_is_downloaded_once_and_kept(tmp_path: Path) -> None:
    released(tmp_path / "releases", "tofu", "1.9.0")
    with releases(tmp_path / "releases") as mirror:
        assert engines(tmp_path, mirror=mirror).find("1.9.0").label == "tofu 1.9.0"
    assert engines(tmp_path, mirror="http://127.0.0.1:9").find("1.9.0").label == "tofu 1.9.0"
    assert [path.name for path in (tmp_path / "engines").iterdir() if not path.name.endswith(".lock")] == ["tofu"]


def test_a_release_with_another_checksum_is_not_kept(tmp_path: Path) -> None:
    released(tmp_path / "releases", "tofu", "1.9.0", checksum="1" * 64)
    with releases(tmp_path / "releases") as mirror, pytest.raises(RemoteFailed) as wrong:
        engines(tmp_path, mirror=mirror).find("1.9.0")
    assert wrong.value.code == "engine-checksum-wrong"
    assert not (tmp_path / "engines" / "tofu").exists()


def test_a_release_that_nobody_has_or_a_mirror_that_is_away_is_a_missing_engine(tmp_path: Path) -> None:
    (tmp_path / "releases").mkdir()
    with releases(tmp_path / "releases") as mirror, pytest.raises(InputError) as missing:
        engines(tmp_path, mirror=mirror).find("1.9.0")
    assert "does not have it for this machine" in missing.value.detail
    with pytest.raises(InputError) as away:
        engines(tmp_path, mirror="http://127.0.0.1:9").find("1.9.0")
    assert "ConnectError" in away.value.detail
