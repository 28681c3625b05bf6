"""A run's inputs as the engine gets them: files, variables in a tfvars file, environment.

As the existing runner does it (github meshcloud/building-block-runner, tf-block-runner/tfrun/tfcmd.go): FILE becomes a file of that name,
everything else a value in `aaaaaa_meshstack-….auto.tfvars`, which the block's own tfvars come after; CODE is an HCL expression, or text
where it is none; what goes to a variable of type string is JSON where it is no string.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from runner.agent.contract import BlockRun, Input
from runner.errors import InputError
from runner.terraform.hcl import quoted

TFVARS = "aaaaaa_meshstack-7d1f0c36-4d0e-4c39-9f3a-0a51c1e6b2a7.auto.tfvars"
_CODE = frozenset({"CODE", "LIST"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,254}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TF_VAR = "TF_VAR_"


@dataclass(frozen=True)
class Prepared:
    """Inputs ready to be used. `files` by name; `variables` as HCL text by name; `environment` for every program of the run. All of it
    may be secret."""

    files: Mapping[str, bytes]
    variables: Mapping[str, str]
    environment: Mapping[str, str]

    def write(self, directory: Path) -> None:
        """Put files and variables into the block's directory, for the owner alone. InputError where a name is taken by a link."""
        content = "".join(f"{name} = {value}\n" for name, value in self.variables.items()).encode()
        for name, data in (*self.files.items(), (TFVARS, content)):
            path = directory / name
            if path.is_symlink() or path.is_dir():
                raise _wrong(name, "there is a link or a folder of that name in the block's code")
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(data)


def prepare(run: BlockRun, code: Mapping[str, str], *, extra: Mapping[str, str]) -> Prepared:
    """The inputs of a run whose secrets were decrypted, for a module with this `code` (its root files by name). `extra` are further
    variables, which inputs of the same name go before."""
    inputs = run.block.spec.inputs
    names = {one.key for one in inputs}
    needs_types = any(one.type in _CODE or not isinstance(one.value, str) for one in inputs)
    strings = strings_of(code) if needs_types else frozenset()
    files: dict[str, bytes] = {}
    variables: dict[str, str] = {}
    environment: dict[str, str] = {}
    for one in inputs:
        if one.type == "FILE":
            if one.is_environment:
                raise _wrong(one.key, "a file cannot be an environment variable")
            if not _FILE_NAME.fullmatch(one.key) or one.key.endswith(
                (".tf", ".tofu", ".tf.json", ".tfvars", ".tfvars.json")
            ):
                raise _wrong(one.key, "this is no name for a file beside the block's code")
            files[one.key] = file_content(one)
        elif one.is_environment:
            variable = one.key.removeprefix(_TF_VAR)
            if one.key.startswith(_TF_VAR) and variable not in names:
                variables[variable] = _value(one.model_copy(update={"key": variable}), strings)
            elif not one.key.startswith(_TF_VAR):
                if not _VARIABLE.fullmatch(one.key):
                    raise _wrong(one.key, "this is no name of an environment variable")
                environment[one.key] = _plain(one)
        else:
            variables[one.key] = _value(one, strings)
    return Prepared(
        files=files,
        variables={**{name: quoted(value) for name, value in extra.items() if name not in names}, **variables},
        environment=environment,
    )


def file_content(one: Input) -> bytes:
    """What a data URL holds; InputError where the value is none."""
    head, comma, body = str(one.value).partition(",")
    if not head.startswith("data:") or not comma:
        raise _wrong(one.key, "the value of a file is no data URL")
    try:
        return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        raise _wrong(one.key, "the value of a file is no base64") from None


def strings_of(code: Mapping[str, str]) -> frozenset[str]:
    """Variables that the module declares with `type = string`. Code that cannot be read declares none here; the engine will say why."""
    if not any("variable" in text for text in code.values()):
        return frozenset()
    import hcl2  # 0.2 s, which runs without such inputs do without

    found = set()
    for name, text in code.items():
        try:
            read = json.loads(text) if name.endswith(".json") else hcl2.loads(text)
            declared = read.get("variable") or []
            for block in declared if isinstance(declared, list) else [declared]:
                for variable, body in block.items():
                    kind = str(body.get("type") if isinstance(body, dict) else "").strip("${}\"' ")
                    if kind == "string":
                        found.add(variable.strip('"'))
        except Exception:  # noqa: BLE001, S112 - whatever the parser meets: lark, recursion, types
            continue
    return frozenset(found)


def _value(one: Input, strings: frozenset[str]) -> str:
    """The input as an HCL expression."""
    if not _NAME.fullmatch(one.key):
        raise _wrong(one.key, "this is no name of a variable")
    if one.key in strings:
        return quoted(one.value if isinstance(one.value, str) else json.dumps(one.value, ensure_ascii=False))
    if one.type in _CODE and isinstance(one.value, str):
        return expression_of(one.value) or quoted(one.value)
    if one.type == "MULTI_SELECT" and isinstance(one.value, str) and isinstance(_json(one.value), list):
        return literal(_json(one.value))
    return literal(one.value)


def literal(value: Any) -> str:
    """A JSON value as HCL in which nothing is evaluated."""
    match value:
        case str():
            return quoted(value)
        case dict():
            return "{" + ", ".join(f"{quoted(str(key))} = {literal(part)}" for key, part in value.items()) + "}"
        case list():
            return "[" + ", ".join(literal(part) for part in value) + "]"
        case _:
            return json.dumps(value)


def expression_of(text: str) -> str | None:
    """This text as one HCL expression; None where it is none, or more than one. JSON is told as the value that it is."""
    try:
        return literal(json.loads(text))
    except (ValueError, RecursionError):
        pass
    if not text.strip() or (_NAME.fullmatch(text.strip()) and text.strip() not in ("true", "false", "null")):
        return None  # a name is a reference, and there is nothing to refer to
    import hcl2

    try:
        read = hcl2.loads(f"x = {text}\n")
    except Exception:  # noqa: BLE001 - whatever the parser meets
        return None
    return text if [key for key in read if not key.startswith("__")] == ["x"] else None


def _plain(one: Input) -> str:
    value = one.value
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if "\0" in text:
        raise _wrong(one.key, "an environment variable cannot hold a NUL character")
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _wrong(key: str, why: str) -> InputError:
    return InputError(
        "An input cannot be used",
        code="input-unusable",
        detail=f"The input {key!r}: {why}.",
        hint="Correct the input in the building block's definition.",
    )
