"""Git over https on loopback for tests: the sandbox's git server with a private certificate authority."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runner.sandbox.certificates import ensure
from runner.sandbox.meshstack.git import Git
from runner.sandbox.meshstack.serving import Http, in_thread
from runner.sandbox.serving import listen

_LARGEST_BODY = 64 * 1024 * 1024


@contextmanager
def served(root: Path, certificates: Path) -> Iterator[tuple[str, Path]]:
    """The host (with its port) that serves the repositories below `root`, and the authority to trust."""
    files = ensure(certificates, names=["localhost", "127.0.0.1"], now=datetime.now(UTC))
    tls = (files.server_file, files.server_key_file)
    with (
        listen(0) as listener,
        in_thread("git-server", Http(Git(root).over_https, listener, largest=_LARGEST_BODY, tls=tls)),
    ):
        yield f"127.0.0.1:{listener.getsockname()[1]}", files.ca_file
