"""A git server for sources: bare repositories below one directory, over https by git's own `http-backend` and over SSH."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from runner.sandbox.meshstack.wire import Answer, Call

_CONFIG = {
    "safe.directory": "*",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowReachableSHA1InWant": "true",  # as GitHub, GitLab and Azure DevOps allow
}
_AUTHOR = "Sandbox <sandbox@example.org>"


def environment() -> dict[str, str]:
    """What git sees: nothing of the settings of whoever runs the sandbox."""
    settings = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(_CONFIG)}
    settings |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(_CONFIG.values())}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(_CONFIG)),
        **settings,
    }


class Git:
    """The repositories below `root`, and how often something was fetched from them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fetches = 0
        root.mkdir(parents=True, exist_ok=True)

    def repository(
        self, name: str, files: dict[str, str | bytes], *, branch: str = "main", tag: str | None = None
    ) -> str:
        """Commit exactly these files to a branch of the repository, make it where it is not there, and return the commit."""
        place = self.root / f"{name.removesuffix('.git')}.git"
        if not self.contains(place):
            raise ValueError(f"{name} is not below the root")
        if not place.is_dir():
            self._git("init", "--quiet", "--bare", f"--initial-branch={branch}", str(place))
        known = self._git("-C", str(place), "for-each-ref", "--format=%(refname)").split()
        stream = _commit(files, branch, tag, follows=f"refs/heads/{branch}" in known)
        self._git("-C", str(place), "fast-import", "--quiet", "--force", "--date-format=now", given=stream)
        return self._git("-C", str(place), "rev-parse", f"refs/heads/{branch}").strip()

    def contains(self, place: Path) -> bool:
        """Whether a path, its links followed, leads below the root."""
        return place.resolve().is_relative_to(self.root.resolve()) and place.resolve() != self.root.resolve()

    async def over_https(self, call: Call) -> Answer:
        """One call of git's smart protocol, reading only."""
        parts = call.segments
        if ".." in parts or not self.contains(self.root.joinpath(*parts)):
            return Answer(404)
        if parts[-1] == "git-receive-pack" or call.query.get("service") == "git-receive-pack":
            return Answer(403, b"this server is for reading")
        wanted = environment() | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": call.path,
            "QUERY_STRING": call.raw_query,
            "REQUEST_METHOD": call.method,
            "CONTENT_TYPE": call.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(call.body)),
            "HTTP_CONTENT_ENCODING": call.headers.get("content-encoding", ""),  # git sends longer bodies gzip'ed
            "GIT_PROTOCOL": call.headers.get("git-protocol", ""),
        }
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=wanted,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            told, _ = await process.communicate(call.body)
        finally:
            await ended(process)
        head, _, content = told.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        status = int(fields.pop("Status", "200" if head else "500").split()[0])
        if parts[-1] == "git-upload-pack" and b"PACK" in content:
            self.fetches += 1
        return Answer(status, content, fields)

    def _git(self, *arguments: str, given: bytes = b"") -> str:
        ran = subprocess.run(
            ["git", *arguments],  # noqa: S607 - the git of whoever runs the sandbox
            env=environment(),
            input=given,
            capture_output=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"git {arguments[0]} failed: {ran.stderr.decode(errors='replace').strip()}")
        return ran.stdout.decode()


async def ended(process: asyncio.subprocess.Process) -> None:
    """See that a child does not outlive who started it."""
    if process.returncode is None:
        process.kill()
        await process.wait()


def _commit(files: dict[str, str | bytes], branch: str, tag: str | None, *, follows: bool) -> bytes:
    """A commit as `git fast-import` reads it."""
    ref = f"refs/heads/{branch}"
    lines = [f"commit {ref}", f"committer {_AUTHOR} now", "data 7", "Sources"]
    lines += [f"from {ref}^0"] if follows else []
    stream = ("\n".join([*lines, "deleteall"]) + "\n").encode()
    for path, given in files.items():
        content = given.encode() if isinstance(given, str) else given
        mode = "100755" if content.startswith(b"#!") else "100644"
        stream += f"M {mode} inline {path}\ndata {len(content)}\n".encode() + content + b"\n"
    return stream + (f"reset refs/tags/{tag}\nfrom {ref}\n".encode() if tag else b"")
