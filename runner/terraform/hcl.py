"""Text as HCL, for the few places where a value is written into code."""

from __future__ import annotations

import json
import re
from pathlib import Path

_ESCAPE = re.compile(r"\\.")
_UNKNOWN_TO_HCL = {"\\b": "\\u0008", "\\f": "\\u000c"}


def quoted(text: str) -> str:
    """`text` as an HCL string in which nothing is evaluated. HCL knows fewer escapes than JSON."""
    escaped = _ESCAPE.sub(lambda found: _UNKNOWN_TO_HCL.get(found[0], found[0]), json.dumps(text, ensure_ascii=False))
    return escaped.replace("${", "$${").replace("%{", "%%{")


def filesystem_mirror(path: Path) -> str:
    """The part of a CLI configuration by which providers come from this folder alone."""
    return f"provider_installation {{\n  filesystem_mirror {{\n    path = {quoted(str(path))}\n  }}\n}}\n"
