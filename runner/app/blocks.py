"""Building blocks, looked up while planning and taken again while applying: the very code that was reviewed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from runner.app.walk import Ports
from runner.domain import building_block
from runner.domain.building_block import BuildingBlock, Local, Shipped
from runner.domain.configuration import Placed, chosen_blocks
from runner.domain.facts import BlockFacts
from runner.errors import InputError, Refused

Code = dict[str, Mapping[str, str]]


def look(placed: Placed, ports: Ports) -> tuple[dict[str, BlockFacts], Code]:
    """The tenant's building blocks by key, and the code of those that do not come with the runner. InputError where one may not be used."""
    facts: dict[str, BlockFacts] = {}
    code: Code = {}
    for block in chosen_blocks(placed):
        source = building_block.source_of(block)
        commit = ""
        if isinstance(source, Local):
            code[block.key] = block.code
        elif not isinstance(source, Shipped):
            found = ports.modules.find(block)
            commit, code[block.key] = found.commit, found.files
        if block.key in code:
            _refuse(block, placed, ports.modules.problems_of(code[block.key], _providers(placed)))
        facts[block.key] = BlockFacts(
            called=block.called, source=block.deployed, commit=commit, digest=_digest(code.get(block.key, {}))
        )
    return facts, code


def again(placed: Placed, facts: Mapping[str, BlockFacts], ports: Ports) -> Code:
    """The code that was reviewed. Refused where it is not to be had any more."""
    code: Code = {}
    for block in chosen_blocks(placed):
        known, source = facts.get(block.key), building_block.source_of(block)
        if known is None or isinstance(source, Shipped):
            continue
        code[block.key] = block.code if isinstance(source, Local) else ports.modules.at(block, known.commit)
        if _digest(code[block.key]) != known.digest:
            raise Refused(
                "The plan is out of date",
                code="plan-outdated",
                detail=f"The code of the building block {block.called} is not what was reviewed, so the approval is void.",
                hint="Plan the tenant again.",
            )
    return code


def _refuse(block: BuildingBlock, placed: Placed, problems: list[str]) -> None:
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError(
            "A building block may not be used",
            code="module-refused",
            detail=f"The building block {block.called} of the landing zone {placed.zone.name} ({block.deployed}): "
            + "; ".join(problems[:5])
            + f"{more}.",
            hint="Change the module, or the platform's allowedProviders where it is about a provider.",
        )


def _providers(placed: Placed) -> tuple[str, ...]:
    return tuple(map(building_block.provider, placed.platform.spec.allowed_providers))


def _digest(files: Mapping[str, str]) -> str:
    if not files:
        return ""
    made = hashlib.sha256()
    for path, text in sorted(files.items()):
        content = text.encode()
        made.update(f"{path}\0{len(content)}\0".encode() + content)
    return made.hexdigest()
