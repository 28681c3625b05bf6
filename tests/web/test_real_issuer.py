"""Signing in at a certified OpenID Connect server that runs on this machine, as a browser does: with forms, cookies and redirects."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from runner.domain.server_config import ServerConfig
from runner.store.opening import Store
from tests.store.making import opened
from tests.web.serving import Site, site

INSTALLED = Path(sys.prefix) / "oidc-provider"
_PROGRAM = Path(__file__).parent / "oidc_server.mjs"
_FORM = re.compile(r'<form[^>]* action="([^"]+)"')
_PROMPT = re.compile(r'name="prompt" value="([^"]+)"')

pytestmark = pytest.mark.skipif(
    not INSTALLED.exists() or shutil.which("node") is None, reason="there is no node, or `make servers` was not run"
)


@contextmanager
def real_issuer(port: int, redirect: str) -> Iterator[str]:
    """The address of a fresh server, which knows nobody and has a new key."""
    process = subprocess.Popen(
        ["node", str(_PROGRAM), str(INSTALLED), str(port), redirect],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), "it did not begin"
        yield address
    finally:
        process.kill()
        process.communicate()


def a_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@dataclass
class Stage:
    web: Site
    moment: datetime

    def passes(self, minutes: int) -> None:
        self.moment += timedelta(minutes=minutes)

    def signed_in(self, login: str) -> tuple[httpx.Client, httpx.Response]:
        """Somebody who signs in with this login at the issuer; the answer of the server at the end."""
        client = self.web.client(accept="text/html")
        answer = client.get("/sign-in/begin", params={"next": "/tenants"})
        for _ in range(12):
            address = str(answer.url)
            if answer.is_redirect:
                target = urljoin(address, answer.headers["location"])
                if not target.startswith(self.web.address) or target.startswith(f"{self.web.address}/sign-in/callback"):
                    answer = client.get(target)
                    continue
                return client, answer
            form = _FORM.search(answer.text)
            if form is None or address.startswith(self.web.address):
                return client, answer
            prompt = _PROMPT.search(answer.text)
            assert prompt is not None
            data = {"prompt": prompt[1]} | ({"login": login, "password": "x"} if prompt[1] == "login" else {})
            answer = client.post(urljoin(address, form[1]), data=data)
        raise AssertionError(f"it leads nowhere: {answer.url}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store", tmp_path / "key") as found:
        yield found


@contextmanager
def staged(store: Store, port: int, address: str, client_id: str) -> Iterator[Stage]:
    sign_in: dict[str, Any] = {"issuer": address, "clientId": client_id}
    if client_id == "confidential":
        sign_in["clientSecret"] = {"env": "SECRET"}
    config = ServerConfig.model_validate(
        {
            "publicUrl": f"http://127.0.0.1:{port}",
            "signIn": sign_in,
            "access": [
                {"role": "approver", "groups": ["approvers"], "zones": ["corp-online"]},
                {"role": "viewer", "groups": ["viewers"]},
            ],
        }
    )
    stage = Stage(web=None, moment=datetime.now(UTC))  # type: ignore[arg-type]
    with site(store, config=config, port=port, now=lambda: stage.moment, secrets={"SECRET": "s:cret %/"}) as stage.web:
        yield stage


@pytest.mark.parametrize("client_id", ["public", "confidential"])
def test_people_sign_in_with_the_rights_of_their_groups(store: Store, client_id: str) -> None:
    port = a_free_port()
    with (
        real_issuer(0, f"http://127.0.0.1:{port}/sign-in/callback") as address,
        staged(store, port, address, client_id) as stage,
    ):
        ada, answer = stage.signed_in("ada+viewers+approvers")
        assert (answer.status_code, answer.headers["location"]) == (303, "/tenants"), answer.text
        who = ada.get("/api/v1/whoami").json()
        assert (who["id"], who["name"], who["person"]) == (f"oidc:{address}#ada+viewers+approvers", "ada", True)
        assert [(one["role"], one["zones"]) for one in who["grants"]] == [("approver", ["corp-online"]), ("viewer", [])]
        bert, answer = stage.signed_in("bert+cooks")
        assert (answer.status_code, "has no right" in answer.text) == (403, True)
        assert bert.get("/api/v1/whoami").status_code == 401


def test_an_answer_that_is_used_again_lets_nobody_in(store: Store) -> None:
    port = a_free_port()
    with (
        real_issuer(0, f"http://127.0.0.1:{port}/sign-in/callback") as address,
        staged(store, port, address, "public") as stage,
    ):
        seen: list[tuple[str, str]] = []
        get = httpx.Client.get

        def recording(self: httpx.Client, url: Any, **options: Any) -> httpx.Response:
            if "/sign-in/callback" in str(url):
                seen.append((str(url), self.cookies["lzr-sign-in"]))
            return get(self, url, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(httpx.Client, "get", recording)
            stage.signed_in("ada+viewers")
        ((callback, kept),) = seen
        thief = stage.web.client(accept="text/html")
        assert thief.get(callback).status_code == 401  # another browser
        thief.cookies.set("lzr-sign-in", kept)
        answer = thief.get(callback)  # the same browser's cookie, and a code that was used
        assert (answer.status_code, "may have been used" in answer.text) == (401, True)


def test_an_issuer_with_a_new_key_lets_people_in_again(store: Store) -> None:
    port, at = a_free_port(), a_free_port()
    redirect = f"http://127.0.0.1:{port}/sign-in/callback"
    with staged(store, port, f"http://127.0.0.1:{at}", "public") as stage:
        with real_issuer(at, redirect):
            assert stage.signed_in("ada+viewers")[1].status_code == 303
        with real_issuer(at, redirect):  # another process with another key at the same address
            stage.passes(minutes=2)
            client, answer = stage.signed_in("ada+viewers")
            assert answer.status_code == 303, answer.text
            assert client.get("/api/v1/whoami").status_code == 200
