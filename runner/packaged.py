"""Where the files that belong to the program are: in an installed wheel or in a checkout of the sources."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def modules() -> Path:
    """The folder of Terraform modules, one folder each."""
    return _folder("modules")


def templates() -> Path:
    """The folder of templates: `terraform`, `web` and `init`."""
    return _folder("templates")


def _folder(name: str) -> Path:
    """A wheel has it under `_data`, a checkout beside the package."""
    installed = _HERE / "_data" / name
    return installed if installed.is_dir() else _HERE.parent / name
