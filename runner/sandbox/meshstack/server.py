"""A meshStack on loopback: its API in plain HTTP, and the git server that its definitions name, by https and SSH."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.sandbox import certificates
from runner.sandbox.meshstack.front import LARGEST_BODY, Front
from runner.sandbox.meshstack.git import Git
from runner.sandbox.meshstack.git_ssh import Keys, over_ssh
from runner.sandbox.meshstack.inside import Inside
from runner.sandbox.meshstack.places import CONFIG, remove_handle, runner_key, write_config, write_handle
from runner.sandbox.meshstack.serving import Http, in_thread
from runner.sandbox.meshstack.wire import Json
from runner.sandbox.meshstack.world import World
from runner.sandbox.serving import listen

_LARGEST_GIT_BODY = 64 * 1024 * 1024


class MeshStack(Inside):
    """A meshStack with one runner, from entering the context to leaving it. `directory` keeps keys and certificates between runs;
    what was queued is gone.

    Safe to use from any thread. What a client does wrong is refused as the real one refuses it, and told in `complaints`.
    """

    def __init__(self, directory: Path, *, port: int = 0, now: Callable[[], datetime] | None = None) -> None:
        super().__init__()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory.resolve()
        self._wanted = port
        self._now = now or (lambda: datetime.now(UTC))
        self._certificates = certificates.ensure(
            self.directory / "git-certificates", names=["localhost", "127.0.0.1"], now=datetime.now(UTC)
        )
        self._keys = Keys(self.directory)
        self.git = Git(self.directory / "git")
        self._public_key = runner_key(self.directory)
        self._sockets: list[socket.socket] = []
        self._running = ExitStack()

    # --- where it is

    @property
    def url(self) -> str:
        """The API's base, and that of `/sandbox`, `/github`, `/gitlab` and `/azure-devops`."""
        return f"http://127.0.0.1:{self._port(0)}"

    @property
    def git_https_url(self) -> str:
        """What the name of a repository follows: `{git_https_url}/blocks.git`."""
        return f"https://127.0.0.1:{self._port(1)}"

    @property
    def git_ssh_url(self) -> str:
        """The same over SSH."""
        return f"ssh://git@127.0.0.1:{self._port(2)}"

    @property
    def ca_file(self) -> Path:
        """The authority that clients of `git_https_url` have to trust."""
        return self._certificates.ca_file

    @property
    def git_client_key(self) -> Path:
        """The SSH key that the git server takes, without a passphrase."""
        return self._keys.client_file

    @property
    def known_host(self) -> dict[str, str]:
        """The git server's host key as `knownHost` of an implementation."""
        kind, value = self._keys.host_line.split()
        return {"host": f"[127.0.0.1]:{self._port(2)}", "keyType": kind, "keyValue": value}

    @property
    def known_hosts_line(self) -> str:
        """The same as a line of a known_hosts file."""
        return " ".join(self.known_host.values())

    @property
    def runner_uuid(self) -> str:
        """The one runner that is registered here."""
        return self._world.runner

    @property
    def client_id(self) -> str:
        """The id of the runner's API key."""
        return self._world.credentials.client_id

    @property
    def client_secret(self) -> str:
        """The secret of the runner's API key."""
        return self._world.credentials.client_secret

    @property
    def username(self) -> str:
        """The runner's user, which is deprecated and still works."""
        return self._world.credentials.username

    @property
    def password(self) -> str:
        """The password of that user."""
        return self._world.credentials.password

    @property
    def config_file(self) -> Path:
        """The configuration of a runner that works for this meshStack."""
        return self.directory / CONFIG

    def handle(self) -> Json:
        """What another process needs to find everything; no secret is in it."""
        return {
            "url": self.url,
            "gitHttpsUrl": self.git_https_url,
            "gitSshUrl": self.git_ssh_url,
            "gitRoot": str(self.git.root),
            "gitClientKey": str(self.git_client_key),
            "sshHostKey": self.known_hosts_line,
            "caFile": str(self.ca_file),
            "runnerUuid": self.runner_uuid,
            "clientId": self.client_id,
            "configFile": str(self.config_file),
            "pid": os.getpid(),
        }

    # --- how it runs

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._sockets = []
            for port in (self._wanted, 0, 0):
                self._sockets.append(starting.enter_context(listen(port)))
            self._world_or_none = World(self.url, self._public_key, self._now)
            starting.enter_context(in_thread("meshstack-sandbox", self._serving()))
            self._write_config()
            handle = self.handle()
            write_handle(self.directory, handle)
            starting.callback(remove_handle, self.directory, handle)
            self._running = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _port(self, place: int) -> int:
        if not self._sockets:
            raise RuntimeError("the sandbox has an address only while it runs")
        return int(self._sockets[place].getsockname()[1])

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        stopping = asyncio.Event()

        async def pause(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), seconds)

        api, https, ssh = self._sockets
        tls = (self._certificates.server_file, self._certificates.server_key_file)
        async with AsyncExitStack() as serving:
            await serving.enter_async_context(Http(Front(self._world, pause).respond, api, largest=LARGEST_BODY))
            await serving.enter_async_context(Http(self.git.over_https, https, largest=_LARGEST_GIT_BODY, tls=tls))
            await serving.enter_async_context(over_ssh(self.git, self._keys, ssh))
            yield
            stopping.set()

    def _write_config(self) -> None:
        write_config(
            self.directory,
            runner=self.runner_uuid,
            url=self.url,
            client_id=self.client_id,
            client_secret=self.client_secret,
        )
