"""ARM templates that landing zones name by file: read beside the document, so that a snapshot of it has the whole template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.documents.problems import shown
from runner.documents.violations import Wrong

LARGEST = (
    4 * 1024 * 1024
)  # of a template, by https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices


def put_in(file: str, data: Any) -> tuple[Any, list[Wrong]]:
    """The document with the content of each `templateFile` as `template` beside it, and what is wrong with those files."""
    spec = data.get("spec") if isinstance(data, dict) and data.get("kind") == "LandingZone" else None
    stacks = spec.get("deploymentStacks") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(stacks, list):
        return data, []
    wrong: list[Wrong] = []
    filled: list[Any] = []
    for index, stack in enumerate(stacks):
        named = stack.get("templateFile") if isinstance(stack, dict) else None
        if not isinstance(stack, dict) or not isinstance(named, str) or not named:
            filled.append(stack)
            continue
        path = ("spec", "deploymentStacks", index, "templateFile")
        if "template" in stack:
            wrong.append(Wrong(path, "templateFile and template are both given.", "Keep one of them."))
            filled.append(stack)
            continue
        found = _read(Path(file).parent, named)
        if isinstance(found, Wrong):
            wrong.append(Wrong(path, found.message, found.hint))
        filled.append({**stack, "template": {} if isinstance(found, Wrong) else found})
    return {**data, "spec": {**spec, "deploymentStacks": filled}}, wrong


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
