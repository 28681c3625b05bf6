"""Which files are read: folders, links, and everything that is no document at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner import documents
from runner.documents import DocumentErrors, Problem, files
from tests.documents.golden import HERE
from tests.documents.test_reading import tenant

BASE = HERE / "base.yaml"


def problems(*paths: Path) -> tuple[Problem, ...]:
    with pytest.raises(DocumentErrors) as caught:
        documents.read(paths, around=[BASE])
    return caught.value.problems


def only(*paths: Path) -> Problem:
    (problem,) = problems(*paths)
    return problem


def test_folders_are_read_to_the_bottom_and_only_for_yaml(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "one.yaml").write_text(tenant("one", project="a"))
    (deep / "two.YML").write_text(tenant("two", project="b"))
    for ignored in ("notes.txt", "x.json", ".hidden.yaml", "yaml"):
        (deep / ignored).write_text("not: [a document")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("not: [a document")
    assert set(documents.read([tmp_path], around=[BASE]).chosen) == {"one", "two"}


def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "tenant.txt").write_text(tenant("one"))
    assert documents.read([tmp_path / "tenant.txt"], around=[BASE]).chosen == ("one",)


def test_a_file_is_read_once_however_often_it_is_met(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(tenant("one"))
    (tmp_path / "again.yaml").symlink_to("one.yaml")
    (tmp_path / "sub").mkdir()
    (tmp_path / "linked").symlink_to("sub")
    found = documents.read([tmp_path / "one.yaml", tmp_path, tmp_path], around=[BASE, BASE])
    assert found.chosen == ("one",)


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    """A ConfigMap in Kubernetes is mounted as links into a folder that begins with dots."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "one.yaml").write_text(tenant("one"))
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "one.yaml").symlink_to("..data/one.yaml")
    assert documents.read([tmp_path], around=[BASE]).chosen == ("one",)


def test_a_link_back_to_a_folder_above_is_told(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(tenant("one"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert "leads back to a folder" in only(tmp_path).message


def test_a_link_to_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert {p.message for p in problems(tmp_path)} == {"This link leads back to itself."}


def test_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("gone.yaml")
    assert only(tmp_path).message == "There is no such file or folder."


def test_a_path_that_does_not_exist_is_told(tmp_path: Path) -> None:
    problem = only(tmp_path / "nothing.yaml")
    assert (problem.place, problem.message) == (f"{tmp_path}/nothing.yaml", "There is no such file or folder.")


def test_an_empty_folder_holds_no_documents(tmp_path: Path) -> None:
    problem = only(tmp_path)
    assert (problem.message, problem.hint) == ("There are no documents here.", "lzr init writes a first set.")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "neither a file nor a folder" in only(tmp_path).message


def test_a_device_is_not_read() -> None:
    assert "neither a file nor a folder" in only(Path("/dev/zero")).message


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, for whom every file is readable: the system's refusal is given by opening."""
    file = tmp_path / "secret.yaml"
    file.write_text(tenant("one"))
    file.chmod(0)
    if os.geteuid() == 0:

        def refuse(path: Path, mode: str = "r") -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
    assert "may not be read" in problems(file)[0].message


def test_a_large_file_is_not_read_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as stream:
        stream.truncate(50 * 1024 * 1024)
    asked: list[int] = []
    real = Path.open

    def opened(path: Path, mode: str = "r"):  # type: ignore[no-untyped-def]
        stream = real(path, mode)
        if path != file:
            return stream
        return Counting(stream, asked)

    monkeypatch.setattr(Path, "open", opened)
    problem = only(file)
    assert asked == [files.LARGEST_FILE + 1]
    assert (problem.message, "several files" in problem.hint) == ("The file has 50.0 MiB; at most 1 MiB is read.", True)


class Counting:
    """A stream that keeps how much was asked of it."""

    def __init__(self, stream, asked: list[int]) -> None:  # type: ignore[no-untyped-def]
        self.stream, self.asked = stream, asked

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def read(self, size: int) -> bytes:
        self.asked.append(size)
        return bytes(self.stream.read(size))

    def fileno(self) -> int:
        return int(self.stream.fileno())


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"a: b\nc: \xe9t\xe9\n", 2, 4, "The byte 0xe9 is not UTF-8."),
        ("ä: \N{SNOWMAN}".encode() + b"\xff", 1, 5, "The byte 0xff is not UTF-8."),
        ("a: b".encode("utf-16"), 0, 0, "The file is UTF-16; documents are UTF-8."),
        (b"a: b\nc: \x00d", 2, 4, "The character U+0000 cannot be in a document."),
        (b"a: \x1b[2J", 1, 4, "The character U+001B cannot be in a document."),
        (b"\xed\xa0\x80", 1, 1, "The byte 0xed is not UTF-8."),
    ],
)
def test_what_is_not_text_is_told_where_it_is(
    tmp_path: Path, content: bytes, line: int, column: int, words: str
) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    problem = only(tmp_path)
    assert (problem.line, problem.column, problem.message) == (line, column, words)


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "b.yaml").write_text(tenant("b", "  contactMail: x\n"))
    assert [Path(p.file).name for p in problems(tmp_path)] == ["a.yaml", "b.yaml"]


def test_a_name_with_control_characters_is_printed_harmlessly(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2J.yaml").write_text("x")
    assert "\\x1b[2J.yaml:1:1" in str(only(tmp_path))


def test_a_folder_of_far_too_many_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.yaml").write_text(tenant(f"t{number}", project=f"p{number}"))
    with pytest.raises(DocumentErrors, match="more than 3 files"):
        documents.read([tmp_path])
