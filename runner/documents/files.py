"""Which files documents are read from, and their text. Nothing a folder may hold stops this or makes it read without end.

Folders are walked for `*.yaml` and `*.yml`; names that begin with a dot are left out, links are followed, each file is read once.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.documents.problems import Problem

LARGEST_FILE = 1024 * 1024
MOST_FILES = 50_000
SUFFIXES = (".yaml", ".yml")


@dataclass
class Reading:
    """What was found on the way, and which files and folders have been seen (by device and inode).

    `broken_off`: some documents have not been looked at, so what refers to them cannot be judged.
    """

    problems: list[Problem] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)
    files: int = 0
    broken_off: bool = False

    def note(self, path: Path | str, message: str, hint: str = "", line: int = 0, column: int = 0) -> None:
        """Keep a problem with a file as a whole, or with its text."""
        self.problems.append(Problem(str(path), line, column, "", message, hint))


def texts(paths: Sequence[Path], reading: Reading) -> Iterator[tuple[str, str]]:
    """Each file's name as given and its text; what cannot be read becomes a problem of `reading`."""
    for path in paths:
        for file in _files(path, reading, chosen=True, above=()):
            reading.files += 1
            if reading.files > MOST_FILES:
                reading.broken_off = True
                reading.note(
                    path, f"There are more than {MOST_FILES} files here.", "Name the folders that hold documents."
                )
                return
            text = _text(file, reading)
            if text is not None:
                yield str(file), text


def _files(path: Path, reading: Reading, *, chosen: bool, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """The files under a path. `chosen`: a person named it, so it is read whatever its name is; `above`: the folders it is in."""
    try:
        status = path.stat()
    except OSError as error:
        reading.note(path, *_why(error))
        return
    identity = (status.st_dev, status.st_ino)
    if stat.S_ISDIR(status.st_mode):
        if identity in above:
            reading.note(path, "This link leads back to a folder that it is in.", "Remove the link.")
        elif identity not in reading.seen:
            reading.seen.add(identity)
            yield from _in_folder(path, reading, above=(*above, identity))
    elif not stat.S_ISREG(status.st_mode):
        reading.note(path, "This is neither a file nor a folder.", "Documents are read from files; save it as one.")
    elif (chosen or path.suffix.lower() in SUFFIXES) and identity not in reading.seen:
        reading.seen.add(identity)
        yield path


def _in_folder(folder: Path, reading: Reading, *, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  names alone are needed, and half as slow as Paths
    except OSError as error:
        reading.note(folder, *_why(error))
        return
    for name in names:
        if name.startswith("."):
            continue
        path = folder / name
        if path.suffix.lower() in SUFFIXES or path.is_dir() or path.is_symlink():
            yield from _files(path, reading, chosen=False, above=above)


def _text(file: Path, reading: Reading) -> str | None:
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        reading.note(file, *_why(error))
        return None
    if len(content) > LARGEST_FILE:
        reading.note(
            file,
            f"The file has {max(size, len(content)) / LARGEST_FILE:.1f} MiB; at most 1 MiB is read.",
            "Put the documents into several files; a folder of files is read as one.",
        )
        return None
    return _decoded(file, content, reading)


def _decoded(file: Path, content: bytes, reading: Reading) -> str | None:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        reading.note(file, "The file is UTF-16; documents are UTF-8.", "Save it as UTF-8.")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        reading.note(
            file,
            f"The byte 0x{content[error.start]:02x} is not UTF-8.",
            "Save the file as UTF-8.",
            before.count(b"\n") + 1,
            column,
        )
        return None


def _why(error: OSError) -> tuple[str, str]:
    match error.errno:
        case errno.ENOENT:
            return "There is no such file or folder.", "Check the path, or where a link leads."
        case errno.ELOOP:
            return "This link leads back to itself.", "Remove the link."
        case errno.EACCES | errno.EPERM:
            return "The file may not be read by this user.", "Give the runner's user the right to read it."
        case _:
            return f"It cannot be read: {error.strerror or type(error).__name__}.", "Check the disk and the path."
