"""Patterns in configuration: `*` stands for any characters, and nothing else for anything."""

from __future__ import annotations

from fnmatch import fnmatchcase


def like(text: str, pattern: str) -> bool:
    """Whether the text is as the pattern says, capitals included."""
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))
