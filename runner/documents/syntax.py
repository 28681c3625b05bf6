"""From YAML text to plain data, with bounds and with places to point at.

Types are not guessed: every scalar stays the text it was written as, and the document's schema says what it has to be. So `no`,
`on`, `0123`, `1.10`, `12:30` and `2024-01-01` are those very texts where a text belongs, and `no` is false where true or false
belongs. Only a bare `null`, `~` or nothing at all means "not given". YAML's events are read one by one, not composed, so depth,
number of nodes and what aliases expand to are bounded while reading, before anything large exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import yaml

from runner.documents.problems import Path, shown

DEEPEST = 32
MOST_NODES = 50_000  # of one document, aliases expanded
MOST_DOCUMENTS = 10_000  # of one file
MOST_FLAWS = 500  # of one document

Place = tuple[int, int]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")
_NOTHING = ("", "~", "null")
_REFUSED_CHARACTER = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A line of its own that begins with --- starts a document, in every context of YAML.
_DOCUMENT_START = re.compile(r"^---(?=[ \t\n]|\Z)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with the text itself. Line and column count from 1."""

    line: int
    column: int
    message: str
    hint: str = ""
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One document's text and the number of lines before it in its file."""

    text: str
    before: int

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where the value (or the key) at the path stands; of what is not there, the nearest thing around it."""
        places = _places(self)
        while path and path not in places:
            path, key = path[:-1], True
        value, name = places.get(path, ((self.before + 1, 1), None))
        return name if key and name else value


@dataclass(frozen=True, slots=True)
class Raw:
    """One document as plain data (mappings, lists, texts, None) and what is wrong with its text."""

    source: Source
    data: Any
    flaws: tuple[Flaw, ...]
    line: int


class _Stop(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, mark: Any, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.mark, self.message, self.hint = mark, message, hint


def documents(text: str) -> Iterator[Raw]:
    """The documents of a file's text; each is read whatever is wrong with the others."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if found := _REFUSED_CHARACTER.search(text):
        yield _unreadable(text, found)
        return
    starts = [match.start() for match in _DOCUMENT_START.finditer(text)]
    if len(starts) > MOST_DOCUMENTS:
        flaw = Flaw(0, 0, f"The file has more than {MOST_DOCUMENTS} documents.", "Put them into several files.")
        yield Raw(Source("", 0), None, (flaw,), 1)
        return
    line = 0
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        part = text[start:end]
        if not _empty(part):
            yield _read(Source(part, line))
        line += part.count("\n")


def _empty(part: str) -> bool:
    """Whether there is nothing but comments, directives and document ends."""
    lines = (line.strip() for line in part.removeprefix("---").split("\n"))
    return all(not line or line[0] in "#%" or line.startswith("...") for line in lines)


def _unreadable(text: str, found: re.Match[str]) -> Raw:
    before = text[: found.start()]
    flaw = Flaw(
        before.count("\n") + 1,
        len(before) - before.rfind("\n"),
        f"The character U+{ord(found.group()):04X} cannot be in a document.",
        "Remove it; perhaps this is not a text file.",
    )
    return Raw(Source("", 0), None, (flaw,), flaw.line)


def _read(source: Source) -> Raw:
    reader = _Reader(source.before, {})
    try:
        data = reader.read(source.text)
    except _Stop as stop:
        reader.flaws = reader.flaws[: MOST_FLAWS - 1]
        reader.flaw(stop.mark, stop.message, stop.hint)
        return Raw(source, None, tuple(reader.flaws), source.before + 1)
    except yaml.YAMLError as error:
        _not_yaml(error, source, reader)
        return Raw(source, None, tuple(reader.flaws), source.before + 1)
    return Raw(source, data, tuple(reader.flaws), reader.first or source.before + 1)


def _not_yaml(error: yaml.YAMLError, source: Source, reader: _Reader) -> None:
    problem, around = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    reader.flaws = reader.flaws[: MOST_FLAWS - 1]
    words = getattr(error, "problem", None) or type(error).__name__
    context = (
        f" ({getattr(error, 'context', '')} that begins in line {source.before + around.line + 1})" if around else ""
    )
    reader.flaw(problem or around, f"This is not YAML: {words}{context}.", _hint(source.text, problem or around))


def _hint(text: str, mark: Any) -> str:
    lines = text.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "The line is indented with a tab; use spaces."
    return "Check the indentation and the quotes here and in the line before."


@lru_cache(maxsize=16)
def _places(source: Source) -> Mapping[Path, tuple[Place, Place | None]]:
    """Places are worked out again only for documents with a problem: kept for all, they would need more memory than the data."""
    reader = _Reader(source.before, {}, places={})
    with suppress(_Stop, yaml.YAMLError):  # what was read until then has its places
        reader.read(source.text)
    return MappingProxyType(reader.places or {})


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read."""

    value: Any
    path: Path
    anchor: str | None
    nodes_before: int
    key: str | None = None
    dropped: bool = False  # the value that comes next belongs to a key that was refused
    lines: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Reader:
    """Reads one document's events. `anchors` maps a name to the value and its number of nodes; None while it is still open."""

    before: int
    anchors: dict[str, tuple[Any, int] | None]
    places: dict[Path, tuple[Place, Place | None]] | None = None
    flaws: list[Flaw] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    nodes: int = 0
    first: int = 0
    key_place: Place | None = None

    def flaw(self, mark: Any, message: str, hint: str = "") -> None:
        if len(self.flaws) == MOST_FLAWS:
            raise _Stop(mark, f"The document has more than {MOST_FLAWS} flaws.", "Mend those that are listed first.")
        line, column = (mark.line, mark.column) if mark else (0, 0)
        path: Path = self.stack[-1].path if self.stack else ()
        if self.stack and self.stack[-1].key:
            path = (*path, self.stack[-1].key)
        self.flaws.append(Flaw(self.before + line + 1, column + 1, message, hint, path))

    def read(self, text: str) -> Any:
        """The document's data; _Stop or a YAML error where it cannot be read on."""
        data: Any = None
        count = 0
        for event in yaml.parse(text, Loader=_LOADER):
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                    data = data if self.stack else event.value
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    opened = self._open(event)
                    data = data if len(self.stack) > 1 else opened
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close()
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentStartEvent():
                    count += 1
                    if count > 1:
                        raise _Stop(
                            event.start_mark, "Another document begins here.", "Begin each document with a line of ---."
                        )
                case _:
                    pass
        return data

    def _count(self, mark: Any, nodes: int = 1) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            raise _Stop(
                mark,
                f"The document has more than {MOST_NODES} values, those that aliases (*) repeat counted.",
                "Write smaller documents, and repeat less with aliases.",
            )

    def _scalar(self, event: Any) -> None:
        self._count(event.start_mark)
        parent = self.stack[-1] if self.stack else None
        if event.tag not in _STRING_TAGS:
            self.flaw(
                event.start_mark, f"The tag {shown(event.tag)} means nothing here.", "Remove it; values need no tags."
            )
        if parent and isinstance(parent.value, dict) and parent.key is None:
            self._key(parent, event)
            return
        plain = event.implicit[0] and event.tag is None
        value = None if plain and event.value in _NOTHING else event.value
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        self._add(value, event.start_mark)

    def _key(self, parent: _Open, event: Any) -> None:
        key, line = event.value, self.before + event.start_mark.line + 1
        parent.key, parent.dropped = key, True
        self.key_place = (line, event.start_mark.column + 1)
        if event.anchor:
            self.flaw(event.start_mark, "A key cannot be an anchor (&).", "Put the anchor before the value.")
        elif key == "<<" and event.implicit[0]:
            self.flaw(
                event.start_mark,
                "Merge keys (<<) are not read.",
                "Write the fields out, or use an alias (*) for a value as a whole.",
            )
        elif key == "":
            self.flaw(event.start_mark, "A key is empty.", "Write the field's name before the colon.")
        elif key in parent.lines:
            self.flaw(
                event.start_mark,
                f"The key {shown(key)} is given twice; the first is in line {parent.lines[key]}.",
                "Keep one of them.",
            )
        else:
            parent.lines[key] = line
            parent.dropped = False

    def _open(self, event: Any) -> Any:
        self._count(event.start_mark)
        parent = self.stack[-1] if self.stack else None
        if parent and isinstance(parent.value, dict) and parent.key is None:
            raise _Stop(event.start_mark, "A key must be plain text.", "Write one name before the colon.")
        if len(self.stack) >= DEEPEST:
            raise _Stop(
                event.start_mark, f"The document is nested deeper than {DEEPEST} levels.", "Check the indentation."
            )
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.tag is not None:
            self.flaw(
                event.start_mark, f"The tag {shown(event.tag)} means nothing here.", "Remove it; values need no tags."
            )
        path = self._add(value, event.start_mark)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Open(value, path, event.anchor, self.nodes - 1))
        return value

    def _close(self) -> None:
        closed = self.stack.pop()
        if closed.anchor:
            self.anchors[closed.anchor] = (closed.value, self.nodes - closed.nodes_before)

    def _alias(self, event: Any) -> None:
        parent = self.stack[-1] if self.stack else None
        if parent and isinstance(parent.value, dict) and parent.key is None:
            raise _Stop(event.start_mark, "A key must be plain text, not an alias (*).", "Write the field's name.")
        if event.anchor not in self.anchors:
            raise _Stop(
                event.start_mark, f"There is no anchor &{event.anchor} before this alias.", "Define it further up."
            )
        anchored = self.anchors[event.anchor]
        if anchored is None:
            raise _Stop(
                event.start_mark, f"The alias *{event.anchor} is inside its own anchor.", "Write the value out."
            )
        self._count(event.start_mark, anchored[1])
        self._add(anchored[0], event.start_mark)

    def _add(self, value: Any, mark: Any) -> Path:
        """Put a value where the reading stands; its path."""
        place = (self.before + mark.line + 1, mark.column + 1)
        self.first = self.first or place[0]
        path: Path = ()
        name: Place | None = None
        if self.stack:
            parent = self.stack[-1]
            if isinstance(parent.value, dict):
                key = parent.key or ""
                path, name = (*parent.path, key), self.key_place
                if not parent.dropped:
                    parent.value[key] = value
                parent.key = None
            else:
                path = (*parent.path, len(parent.value))
                parent.value.append(value)
        if self.places is not None:
            self.places.setdefault(path, (place, name))
        return path
