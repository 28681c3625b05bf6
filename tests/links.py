"""Dead links in what people read here: files that are not there and headings that are not. Run by `make check`.

Links that leave the repository are not followed: a check must not fail because somebody else's server is down.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"\]\(([^)\s]+)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def texts(root: Path) -> list[Path]:
    """The Markdown files that are checked."""
    return [root / "README.md", *sorted(root.glob("modules/*/README.md")), *sorted(root.glob("examples/**/*.md"))]


def dead(file: Path) -> Iterator[str]:
    """The targets of links in this file that lead nowhere."""
    for target in _LINK.findall(file.read_text(encoding="utf-8")):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, heading = target.partition("#")
        there = file.parent / path if path else file
        if not there.exists() or (heading and heading not in _anchors(there)):
            yield target


def _anchors(file: Path) -> set[str]:
    """What GitHub makes of the headings: small letters, no punctuation, hyphens for spaces."""
    headings = _HEADING.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main() -> None:
    found = [f"{file.relative_to(ROOT)}: {target} leads nowhere\n" for file in texts(ROOT) for target in dead(file)]
    sys.stderr.writelines(found)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
