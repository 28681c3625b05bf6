"""What a building block's code may not do, found before any engine reads it: parsed, never run.

Whatever an engine runs has the runner's rights, so this is no fence against a module that means harm: that is what allow-lists of
sources and providers are for. It keeps out what a module in a landing zone has no use for and a reviewer would not see in a plan.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from posixpath import dirname, normpath
from typing import Any

import hcl2

from runner.domain import building_block


def problems_of(code: Mapping[str, str], allowed: Collection[str]) -> list[str]:
    """What is wrong with a module's files, each with the file it is in. `allowed` are further providers by their source address."""
    found: list[str] = []
    known = {*building_block.OWN_PROVIDERS, "terraform.io/builtin/terraform", *allowed}
    for path, text in sorted(code.items()):
        if not path.endswith((".tf", ".tf.json", ".tofu", ".tofu.json")):
            continue
        try:
            parsed = (
                json.loads(text) if path.endswith(".json") else hcl2.loads(text if text.endswith("\n") else f"{text}\n")
            )
        except Exception as error:  # noqa: BLE001 - the parser has errors of its own, and whatever cannot be read is not let in
            found.append(f"{path} cannot be read: {type(error).__name__}")
            continue
        found += [
            f"{path} {problem}" for problem in _of_file(path, parsed if isinstance(parsed, dict) else {}, known, code)
        ]
    return found


def _of_file(path: str, parsed: Mapping[str, Any], known: Collection[str], code: Mapping[str, str]) -> Iterator[str]:
    if any(_all(parsed.get("provider"))):
        yield "configures a provider: providers are the runner's to configure"
    for settings in _all(parsed.get("terraform")):
        for what in ("backend", "cloud"):
            if settings.get(what):
                yield f"has a {what}: the state is the runner's to keep"
        for listed in _all(settings.get("required_providers")):
            for name, asked in listed.items():
                if name.startswith("__"):
                    continue
                source = _text(asked.get("source") if isinstance(asked, dict) else None) or f"hashicorp/{_text(name)}"
                if building_block.provider(source) not in known:
                    yield f"uses the provider {source}, which is not among allowedProviders of the platform"
    for kind in ("resource", "data"):
        for of_type in _all(parsed.get(kind)):
            for type_, named in of_type.items():
                for name, body in named.items() if isinstance(named, dict) else ():
                    if any(one.get("provisioner") for one in _all(body)):
                        yield f"has a provisioner in {_text(type_)}.{_text(name)}: what it does would not show in a plan"
    for called in _all(parsed.get("module")):
        for name, body in called.items():
            for one in _all(body):
                source = _text(one.get("source"))
                inside = normpath(f"{dirname(path)}/{source}").lstrip("/") if dirname(path) else normpath(source)
                if not source.startswith(("./", "../")) or inside.startswith(".."):
                    yield f"calls the module {_text(name)} from {source or 'nowhere'}: only modules inside of it are let in"
                elif not any(dirname(file) == inside for file in code):
                    yield f"calls the module {_text(name)} from {source}, where there is none"


def _all(value: Any) -> Iterator[Mapping[str, Any]]:
    """The blocks that a value holds: in JSON one stands by itself."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            yield one


def _text(value: Any) -> str:
    """A label or a literal without the quotes that the parser leaves on it."""
    return str(value).strip('"') if isinstance(value, str) else ""
