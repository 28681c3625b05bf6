"""The review of a meshStack building block in words for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from runner.cli.words import attribute, attributes, plain
from runner.domain.block_review import BlockReview
from runner.domain.plan import Action

_BEHAVIORS = {"APPLY": "apply", "DETECT": "dry run", "DESTROY": "destroy"}
_FEW = 3


def review(made: BlockReview, *, everything: bool = False) -> Iterator[str]:
    """Where the code is from, what would change, and who decides."""
    yield (
        click.style(plain(made.name or made.block), bold=True)
        + f"   building block {plain(made.block)}   {_BEHAVIORS.get(made.behavior, made.behavior)}"
    )
    providers = ", ".join(f"{source.rsplit('/', 1)[-1]} {number}" for source, number in sorted(made.providers.items()))
    told = f"{made.engine} {made.engine_version}   {providers}".rstrip()
    yield click.style(f"{told}   {plain(made.source)} at {made.commit[:12]}", dim=True)
    yield ""
    if made.drift:
        yield click.style("Changed behind the building block's back", bold=True)
        for change in made.drift:
            yield f"  ? {plain(change.address)}{' is gone' if change.action is Action.DELETE else ''}"
            yield from (f"       {attribute(one)}" for one in change.attributes[:_FEW])
        yield ""
    counts = made.counts
    yield click.style("Infrastructure", bold=True) + (
        f"   + {counts['add']} to add   ~ {counts['change']} to change   - {counts['destroy']} to destroy"
        if made.changes
        else f"   no changes   {counts['resources']} resources"
    )
    by_address = {change.address: change for change in made.changes}
    for sentence in made.sentences:
        yield f"  {sentence.sign} {plain(sentence.text)}"
        change = by_address[sentence.address]
        if everything:
            yield from attributes(change)
        elif change.action is Action.UPDATE:
            yield from (f"       {attribute(one)}" for one in change.attributes[:_FEW])
    yield ""
    yield "The decision is made in meshStack."
