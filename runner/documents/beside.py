"""What landing zones name by file, read beside the document: ARM templates and Terraform modules. So a snapshot of it has all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.documents.problems import Path as Path_
from runner.documents.problems import shown
from runner.documents.violations import Wrong

LARGEST = (
    4 * 1024 * 1024
)  # of a template, by https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices


MOST_CODE = 512 * 1024  # of one module; it is kept with each run
MOST_FILES = 200


def put_in(file: str, data: Any) -> tuple[Any, list[Wrong]]:
    """The document with the content of each `templateFile` as `template` beside it and the files of each module beside it as its `code`,
    and what is wrong with those files."""
    spec = data.get("spec") if isinstance(data, dict) and data.get("kind") == "LandingZone" else None
    if not isinstance(spec, dict):
        return data, []
    wrong: list[Wrong] = []
    filled = dict(spec)
    for name, put in (("deploymentStacks", _with_template), ("buildingBlocks", _with_code)):
        listed = spec.get(name)
        if isinstance(listed, list):
            filled[name] = [
                put(file, one, ("spec", name, index), wrong) if isinstance(one, dict) else one
                for index, one in enumerate(listed)
            ]
    return {**data, "spec": filled}, wrong


def named(data: Any) -> list[str]:
    """The files and folders that a document as it is written names beside it."""
    spec = data.get("spec") if isinstance(data, dict) and data.get("kind") == "LandingZone" else None
    found = []
    for name, field in (("deploymentStacks", "templateFile"), ("buildingBlocks", "source")):
        listed = spec.get(name) if isinstance(spec, dict) else None
        values = [one.get(field) for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        found += [one for one in values if isinstance(one, str) and (field != "source" or one.startswith("./"))]
    return found


def _with_template(file: str, stack: dict[str, Any], path: Path_, wrong: list[Wrong]) -> dict[str, Any]:
    named = stack.get("templateFile")
    if not isinstance(named, str) or not named:
        return stack
    if "template" in stack:
        wrong.append(Wrong((*path, "templateFile"), "templateFile and template are both given.", "Keep one of them."))
        return stack
    found = _read(Path(file).parent, named)
    if isinstance(found, Wrong):
        wrong.append(Wrong((*path, "templateFile"), found.message, found.hint))
    return {**stack, "template": {} if isinstance(found, Wrong) else found}


def _with_code(file: str, block: dict[str, Any], path: Path_, wrong: list[Wrong]) -> dict[str, Any]:
    source = block.get("source")
    if "code" in block:
        wrong.append(Wrong((*path, "code"), "code is not to be written: it is read from source.", "Remove it."))
        return {key: value for key, value in block.items() if key != "code"}
    if not isinstance(source, str) or not source.startswith("./"):
        return block
    found = _module(Path(file).parent, source)
    if isinstance(found, Wrong):
        wrong.append(Wrong((*path, "source"), found.message, found.hint))
        return block
    return {**block, "code": found}


def _module(folder: Path, named: str) -> dict[str, str] | Wrong:
    """The files of a module by their paths in it, those of modules inside of it as well; its tests are left out."""
    base = folder.resolve()
    root = (base / named).resolve()
    if not root.is_relative_to(base):
        return Wrong((), f"{shown(named)} leads out of the document's folder.", "Put the module below the document.")
    if not root.is_dir():
        return Wrong((), f"There is no folder {shown(named)} beside the document.", "Check the path.")
    code: dict[str, str] = {}
    size = 0
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if any(part.startswith(".") for part in inside.parts) or inside.parts[0] == "tests" or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            return Wrong(
                (), f"{shown(str(inside))} of the module is a link that leads out of it.", "Put the file itself there."
            )
        try:
            code[inside.as_posix()] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = "is no text" if isinstance(error, UnicodeDecodeError) else f"cannot be read ({error.strerror})"
            return Wrong((), f"{shown(str(inside))} of the module {why}.", "A module beside a document is text alone.")
        size += len(code[inside.as_posix()])
        if size > MOST_CODE or len(code) > MOST_FILES:
            return Wrong(
                (), f"The module {shown(named)} is larger than 512 KiB or 200 files.", "Put it into a git repository."
            )
    if not any(name.endswith(".tf") and "/" not in name for name in code):
        return Wrong((), f"{shown(named)} is no Terraform module: it has no .tf file.", "Check the path.")
    return code


def _read(folder: Path, named: str) -> dict[str, Any] | Wrong:
    if named.lower().endswith(".bicep"):
        return Wrong(
            (), f"{shown(named)} is Bicep; a template is JSON.", f"az bicep build --file {named}, and name the .json."
        )
    base = folder.resolve()
    path = (base / named).resolve()
    if Path(named).is_absolute() or not path.is_relative_to(base):
        return Wrong((), f"{shown(named)} leads out of the document's folder.", "Put the template beside the document.")
    try:
        if not path.is_file():
            return Wrong((), f"There is no file {shown(named)} beside the document.", "Check the path.")
        content = path.read_bytes()[: LARGEST + 1] if path.stat().st_size <= LARGEST else None
    except OSError as error:
        return Wrong((), f"{shown(named)} cannot be read: {error.strerror or type(error).__name__}.", "Check the file.")
    if content is None:
        return Wrong(
            (), f"{shown(named)} is larger than 4 MiB, which is what Azure takes.", "Split it, or use a template spec."
        )
    try:
        template = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Wrong((), f"{shown(named)} is not UTF-8.", "Save it as UTF-8.")
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        return Wrong(
            (), f"{shown(named)} is not JSON{where}.", "An ARM template without comments: az bicep build makes one."
        )
    if not isinstance(template, dict) or "resources" not in template:
        return Wrong(
            (),
            f"{shown(named)} is no ARM template: it has no resources.",
            "It begins with $schema, contentVersion, resources.",
        )
    return template
