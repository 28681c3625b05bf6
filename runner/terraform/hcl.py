"""Text as HCL, for the few places where a value is written into code."""

from __future__ import annotations

import json
import re

_ESCAPE = re.compile(r"\\.")
_UNKNOWN_TO_HCL = {"\\b": "\\u0008", "\\f": "\\u000c"}


def quoted(text: str) -> str:
    """`text` as an HCL string in which nothing is evaluated. HCL knows fewer escapes than JSON."""
    escaped = _ESCAPE.sub(lambda found: _UNKNOWN_TO_HCL.get(found[0], found[0]), json.dumps(text, ensure_ascii=False))
    return escaped.replace("${", "$${").replace("%{", "%%{")
