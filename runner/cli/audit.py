"""Commands about the record of who did what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli import UNWELL
from runner.cli.telling import as_json_option, opened, print_json
from runner.errors import InputError

if TYPE_CHECKING:
    from runner.domain.audit import Entry, Head


@click.group
def audit() -> None:
    """The record of who did what: look at it, take it elsewhere, see whether it was changed."""


@audit.command("list")
@click.option("--about", metavar="ID", help="Only about this run (its whole id), tenant or token.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
@as_json_option
def list_(about: str | None, limit: int, as_json: bool) -> int:
    """List entries, oldest first.

    \b
    Example:
      lzr audit list --about payments.checkout-dev
    """
    from runner.cli import words

    with opened() as runner:
        trail = runner.store.audit
        after = 0 if about else max(0, trail.head().number - limit)
        found = list(trail.entries(after=after, about=about))[-limit:]
        if as_json:
            print_json([entry.model_dump(mode="json") for entry in found])
            return 0
        for entry in found:
            details = "  ".join(f"{name} {words.plain(value)}" for name, value in entry.details.items() if value)
            who = words.plain(entry.by) or "-"
            click.echo(
                f"{entry.number:>6}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.what:<20} {words.plain(entry.about)}  by {who}  {details}"
            )
    return 0


@audit.command
def head() -> int:
    """Print the end of the record, to be kept where nobody who writes into the store can write: with it `verify` sees a cut-off end.

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
    """Write all entries as JSON lines, the last of which is the head.

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
    help="An export instead of the store.",
)
@click.option("--head", "heads", multiple=True, metavar="NUMBER:MAC", help="A head that was kept; may be repeated.")
@as_json_option
def verify(file: Path | None, heads: tuple[str, ...], as_json: bool) -> int:
    """Find out whether any entry was changed, left out, added, moved or cut off. Needs the audit's key.

    \b
    Exit codes: 0 all is whole, 7 something was changed.

    \b
    Example:
      lzr audit verify --head "$(lzr audit head)"
    """
    from runner.domain import audit as domain

    known = tuple(_head(text) for text in heads)
    with opened() as runner:
        trail = runner.store.audit
        if file is None:
            end: Head | None = trail.head()
            entries = (entry for entry in trail.entries() if end is not None and entry.number <= end.number)
            found = list(domain.verify(entries, trail.mac, head=end, known=known))
        else:
            exported = _Export(file)
            found = list(domain.verify(exported.entries(), trail.mac, head=None, known=known))
            end = exported.head
            if not found and (end is None or end.number != exported.last or end.mac != exported.mac):
                found = [domain.Wrong(number=exported.last + 1, text="the export does not end where its own head says")]
    if as_json:
        print_json({"whole": not found, "head": str(end), "wrong": [one.model_dump() for one in found]})
    elif found:
        click.echo(click.style(f"Entry {found[0].number}: {found[0].text}.", fg="red"))
    else:
        click.echo(f"All {end.number if end else 0} entries are as they were written.")
    return UNWELL if found else 0


class _Export:
    """An export, read line by line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.head: Head | None = None
        self.last, self.mac = 0, ""

    def entries(self) -> Iterator[Entry]:
        from pydantic import ValidationError

        from runner.domain.audit import Entry, Head

        with self._file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    if self.head is not None:
                        raise ValueError
                    if '"what"' not in line:
                        self.head = Head.model_validate_json(line)
                        continue
                    entry = Entry.model_validate_json(line)
                except (ValidationError, ValueError):
                    raise InputError(
                        "This is no export of an audit",
                        code="export-unreadable",
                        detail=f"{self._file}, line {number} is neither an entry nor the head at the end.",
                        hint="lzr audit export FILE writes one.",
                    ) from None
                self.last, self.mac = entry.number, entry.mac
                yield entry


def _head(text: str) -> Any:
    from runner.domain.audit import Head

    number, _, mac = text.strip().partition(":")
    if not number.isdigit() or (number != "0" and len(mac) != 64):
        raise InputError(
            "This is no head",
            code="audit-head-wrong",
            detail=f"{text!r} is no NUMBER:MAC.",
            hint="lzr audit head prints one.",
        )
    return Head(number=int(number), mac=mac)
