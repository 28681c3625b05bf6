"""The repository that documents are in, brought up to a commit that somebody pushed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runner.errors import RemoteFailed

_PATIENCE = 60.0  # seconds
_KEPT = ("PATH", "HOME", "LANG", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY")


def brought(path: Path, commit: str) -> None:
    """Have the branch that is checked out at the path follow its upstream until it has the commit; fast-forward only, so nothing that lies
    there is lost. RemoteFailed (`commit-not-there`, temporary) where it does not get that far."""
    where = path if path.is_dir() else path.parent
    if _has(where, commit):
        return
    _git(where, "pull", "--ff-only", "--quiet")
    if not _has(where, commit):
        raise RemoteFailed(
            "The commit is not there yet",
            code="commit-not-there",
            detail=f"The documents' repository on this server does not come to {commit[:12]} by git pull --ff-only.",
            hint="Check that its folder is a clone of that repository with an upstream that git may read, or wait for what updates it.",
            temporary=True,
        )


def _has(where: Path, commit: str) -> bool:
    """Whether what is checked out comes from the commit, or is it."""
    return _git(where, "merge-base", "--is-ancestor", commit, "HEAD")


def _git(where: Path, *arguments: str) -> bool:
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    try:
        ran = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments],  # noqa: S607 - on PATH
            cwd=where,
            env={**kept, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0
