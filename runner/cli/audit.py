"""Commands about the record of who did what."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli import UNWELL
from runner.cli.telling import as_json_option, opened, print_json
from runner.errors import InputError

if TYPE_CHECKING:
    from runner.domain.audit import Entry, Head, KnownHead, Wrong


@click.group
def audit() -> None:
    """The record of who did what: look at it, take it elsewhere, see whether it was changed."""


@audit.command("list")
@click.option("--about", metavar="ID", help="Only about this run (its whole id), tenant (its runs included) or token.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Only from then on, in UTC.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
@as_json_option
def list_(about: str | None, since: datetime | None, limit: int, as_json: bool) -> int:
    """List entries, oldest first.

    \b
    Example:
      lzr audit list --about payments.checkout-dev
    """
    with opened() as runner:
        trail = runner.store.audit
        after = 0 if about or since else max(0, trail.head().number - limit)
        moment = since.replace(tzinfo=UTC) if since is not None else None
        found = deque(trail.entries(after=after, about=about, since=moment), maxlen=limit)
        if as_json:
            print_json([entry.model_dump(mode="json") for entry in found])
            return 0
        if not found:
            click.echo("No entries.")
        for entry in found:
            click.echo(_line(entry))
    return 0


@audit.command
def head() -> int:
    """Print the end of the record, to be kept where nobody who writes into the store can write: `verify` compares it.

    \b
    Example:
      lzr audit head
    """
    with opened() as runner:
        click.echo(str(runner.store.audit.head()))
    return 0


@audit.command
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def export(file: Path) -> int:
    """Write all entries as JSON lines, the last of which is the head. Whoever has the audit's key can verify it without the store.

    \b
    Example:
      lzr audit export /tmp/audit.jsonl
    """
    with opened() as runner:
        trail = runner.store.audit
        end = trail.head()
        try:
            with file.open("w", encoding="utf-8") as out:
                for entry in trail.entries():
                    if entry.number > end.number:  # it goes on meanwhile
                        break
                    out.write(entry.as_json() + "\n")
                out.write(end.model_dump_json() + "\n")
        except OSError as error:
            raise InputError(
                "The export cannot be written",
                code="export-unwritable",
                detail=f"{file}: {error.strerror}.",
                hint="Give another place.",
            ) from None
        click.echo(f"Wrote {file}: {end.number} entries.", err=True)
    return 0


@audit.command
@click.option(
    "--export",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="An export instead of the store, which is not needed then.",
)
@click.option("--head", "heads", multiple=True, metavar="NUMBER:MAC", help="A head that was kept; may be repeated.")
@as_json_option
def verify(file: Path | None, heads: tuple[str, ...], as_json: bool) -> int:
    """Find out whether any entry was changed, left out, added, moved or cut off. Needs the audit's key.

    \b
    Exit codes: 0 all is whole, 7 something is wrong: the first number that is, and what.

    \b
    Example:
      lzr audit verify --head "$(lzr audit head)"
    """
    from runner.cli import words

    known = tuple(_known(text) for text in heads)
    found = _in_export(file, known) if file is not None else _in_store(known)
    if as_json:
        print_json({"whole": not found, "wrong": [one.model_dump() for one in found]})
    elif not found:
        click.echo("The audit is whole: every entry is as it was written.")
    for one in found if not as_json else ():
        click.echo(click.style("✗ ", fg="red") + words.plain(one.text))
    return UNWELL if found else 0


def _in_store(known: tuple[KnownHead, ...]) -> list[Wrong]:
    with opened() as runner:
        return list(runner.store.audit.verify(known))


def _in_export(file: Path, known: tuple[KnownHead, ...]) -> list[Wrong]:
    from runner import settings, wiring
    from runner.domain import audit as domain
    from runner.store.audit import macs

    read = _Export(file)
    return list(domain.verify(read.entries(), macs(wiring.audit_keyring(settings.read())), head=read.end, known=known))


class _Export:
    """An export, read line by line; its last line is the head."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._head: Head | None = None

    def end(self) -> Head | None:
        """The head, once all entries were read; None where the export has none."""
        return self._head

    def entries(self) -> Iterator[Entry]:
        """The entries; InputError at a line that is neither one nor the head at the end."""
        from pydantic import ValidationError

        from runner.domain.audit import Entry, Head

        with self._file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if self._head is not None:
                    raise _no_export(self._file, number)
                try:
                    entry = Entry.model_validate_json(line)
                except ValidationError:
                    try:
                        self._head = Head.model_validate_json(line)
                    except ValidationError:
                        raise _no_export(self._file, number) from None
                else:
                    yield entry


def _no_export(file: Path, line: int) -> InputError:
    return InputError(
        "This is no export of an audit",
        code="export-unreadable",
        detail=f"{file}, line {line} is neither an entry nor the head at the end.",
        hint="lzr audit export FILE writes one.",
    )


def _known(text: str) -> KnownHead:
    from runner.domain.audit import KnownHead

    number, _, mac = text.strip().partition(":")
    if not (number.isascii() and number.isdigit()) or (number != "0" and not re.fullmatch("[0-9a-f]{64}", mac)):
        raise InputError(
            "This is no head",
            code="audit-head-wrong",
            detail=f"{text!r} is no NUMBER:MAC.",
            hint="lzr audit head prints one.",
        )
    return KnownHead(number=int(number), mac=mac)


def _line(entry: Entry) -> str:
    from runner.cli import words
    from runner.domain.harmless import written

    told = "  ".join(f"{name} {written(value)}" for name, value in entry.details.items() if value)
    about = " ".join(dict.fromkeys(words.plain(one) for one in (entry.about, entry.tenant) if one))
    by = f"by {words.plain(entry.by)}" if entry.by else ""
    parts = [f"{entry.number:>6}", f"{entry.at:%Y-%m-%d %H:%M:%S}", f"{entry.what:<20}", about, by, told]
    return "  ".join(part for part in parts if part).rstrip()
