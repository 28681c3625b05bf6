"""`lzr serve` as a real process, and somebody who uses it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.estate import Estate

QUIET = {"LZR_LOG_LEVEL": "warning"}  # nobody reads its log meanwhile, and a pipe has an end
_LINE = re.compile(r"lzr serves.*   (http\S+)   Ctrl-C stops it")
_CODE = re.compile(r"Sign in once, within 15 minutes:   (http\S+)/sign-in#(\S+)")
_CSRF = re.compile(r'<meta name="csrf" content="([^"]+)">')


@dataclass
class Served:
    """A server that answers at `address`; `code` is what its terminal showed, empty where it has a configuration."""

    process: subprocess.Popen[str]
    address: str
    code: str
    client: httpx.Client

    def sign_in(self) -> None:
        """Be whoever sits at the machine."""
        answer = self.client.post("/sign-in", data={"code": self.code}, headers={"origin": self.address})
        assert answer.status_code == 303, answer.text
        found = _CSRF.search(self.client.get("/", headers={"accept": "text/html"}).text)
        assert found is not None
        self.client.headers["x-csrf-token"] = found[1]

    def get(self, path: str) -> Any:
        answer = self.client.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, wish: Any = None, *, status: int = 200) -> Any:
        answer = self.client.post(f"/api/v1{path}", json=wish)
        assert answer.status_code == status, answer.text
        return answer.json()


@contextmanager
def served(estate: Estate, *arguments: object, token: str = "", **settings: str) -> Iterator[Served]:
    """`lzr serve` of the estate's documents on a free port, until the end of the block at the latest."""
    process = estate.start("serve", estate.documents, "--port", 0, *arguments, settings=QUIET | settings)
    assert process.stdout is not None
    first = _LINE.search(process.stdout.readline())
    assert first is not None, process.stderr.read() if process.stderr is not None else ""
    code = ""
    if "--config" not in arguments:
        shown = _CODE.search(process.stdout.readline())
        assert shown is not None
        code = shown[2]
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=first[1], headers=headers, timeout=60, trust_env=False) as client:
        yield Served(process, first[1], code, client)
    if process.poll() is None:
        process.terminate()
        estate.ended(process, code=None)


def a_token(estate: Estate, role: str = "admin") -> str:
    """An API token, made as administrators do."""
    found: str = estate.lzr("token", "create", "tests", "--role", role, "--json").json()["token"]
    return found
