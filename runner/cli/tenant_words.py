"""How tenants, strangers and deletions read on a terminal: lines of text made from values, as in `words`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from runner.cli.words import ago, plain
from runner.domain.deletion import Deletion, Standing

_KINDS = ("management group", "resource group", "blueprint", "deployment stack", "group", "members", "role", "tag")


def shown(told: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """A tenant: what it is, thing by thing, what it should be, and what is known of it."""
    yield click.style(plain(told["tenant"]), bold=True) + (
        f"   landing zone {plain(told['landingZone'])}   platform {plain(told['platform'])}"
    )
    yield f"  document       {plain(told['document'] or 'none any more; as it was last known')}"
    yield from _subscription(told["subscription"])
    if told["deletion"]:
        yield from _deletion(Deletion.model_validate(told["deletion"]))
    yield from _run(told["lastRun"], now)
    yield from _state(told["state"])
    yield ""
    yield from _items(told["items"])
    if told["leftovers"]:
        yield click.style("Left behind, no longer managed", bold=True)
        for one in told["leftovers"]:
            yield f"  ?  {plain(one['text'])}"
            yield click.style(f"       {plain(one['id'])}   since run {plain(one['run'])}", dim=True)
    if told["warnings"]:
        yield click.style("Warnings of the last run", bold=True)
        yield from (f"  ?  {plain(warning['text'])}" for warning in told["warnings"])
    if told["failure"]:
        yield click.style(f"Azure could not be looked at: {plain(told['failure']['summary'])}", fg="red", bold=True)
        yield f"  {plain(told['failure']['detail'])}"
        if told["failure"]["hint"]:
            yield click.style(f"  {plain(told['failure']['hint'])}", fg="cyan")


def _subscription(found: Mapping[str, Any]) -> Iterator[str]:
    if "name" not in found:
        yield f"  subscription   {plain(found['id'] or 'none yet')} (not there, or the runner may not see it)"
        return
    place = plain(found["managementGroup"] or "not known")
    yield f'  subscription   {found["id"]} "{plain(found["name"])}", {plain(found["state"])}, in management group {place}'


def _deletion(deletion: Deletion) -> Iterator[str]:
    yield f"  deletion       {_standing(deletion)}"


def _standing(deletion: Deletion) -> str:
    asked = f"asked for by {plain(deletion.requested_by)} at {deletion.requested:%Y-%m-%d %H:%M} UTC"
    reason = f" ({plain(deletion.reason)})" if deletion.reason else ""
    decided = f", by {plain(deletion.decided_by)}" if deletion.decided_by else ""
    comment = f": {plain(deletion.comment)}" if deletion.comment else ""
    colour = {Standing.REQUESTED: "yellow", Standing.APPROVED: "red"}.get(deletion.standing)
    return f"{click.style(deletion.standing, fg=colour)}{decided}{comment}; {asked}{reason}"


def _run(run: Mapping[str, Any] | None, now: datetime) -> Iterator[str]:
    if run is None:
        yield "  last run       none"
        return
    when = ago(datetime.fromisoformat(run["updated"]), now)
    yield f"  last run       {run['id']} ({run['behavior']}) {run['status']}, {when}"
    if run["failure"]:
        yield f"                 {plain(run['failure']['summary'])}: {plain(run['failure']['detail'].splitlines()[0])}"


def _state(state: Mapping[str, Any]) -> Iterator[str]:
    newest = state["newest"]
    told = (
        f"{state['versions']} versions, newest {newest['number']} (serial {newest['serial']})"
        if newest
        else "none in the runner's store"
    )
    locked = f", locked by {plain(state['lockedBy'])}" if state["lockedBy"] else ""
    where = "" if state["backend"] == "managed" else f"   (stateBackend: {state['backend']})"
    yield f"  state          {told}{locked}{where}"


def _items(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not items:
        return
    right = sum(item["matches"] for item in items)
    yield click.style(f"{'There and as it should be':<34}", bold=True) + f"{right} of {len(items)}"
    for kind in _KINDS:
        for item in (one for one in items if one["kind"] == kind):
            mark = click.style("✓", fg="green") if item["matches"] else click.style("✗", fg="red")
            yield f"  {mark}  {kind:<17} {plain(item['name'])}{'' if item['matches'] else _difference(item)}"
    yield ""


def _difference(item: Mapping[str, Any]) -> str:
    if not item["should"]:
        return f"   is {plain(item['found'])}, and nothing asks for it"
    if not item["found"]:
        return "   is not there"
    return (
        f"   {plain(item['found'])}"
        if item["kind"] == "members"
        else (f"   is {plain(item['found'])}, should be {plain(item['should'])}")
    )


def unmanaged(rows: Sequence[Mapping[str, Any]], unread: Sequence[str]) -> Iterator[str]:
    """Subscriptions that nobody documents."""
    if rows:
        yield from table(
            ("SUBSCRIPTION", "NAME", "STATE", "MANAGEMENT GROUP"),
            [(r["id"], r["name"], r["state"], r["managementGroup"] or "") for r in rows],
        )
    elif not unread:
        yield "Every subscription below the landing zones' management groups is documented."
    for group in unread:
        yield click.style(
            f"The management group {plain(group)} does not exist, or the runner may not read it.", fg="red"
        )


def leaving(found: Sequence[Deletion], now: datetime) -> Iterator[str]:
    """Deletions under way."""
    if not found:
        yield "No tenant leaves."
        return
    rows = [(d.tenant, str(d.standing), d.requested_by, ago(d.requested, now), d.reason) for d in found]
    yield from table(("TENANT", "DELETION", "BY", "ASKED", "REASON"), rows)


def decided(deletion: Deletion) -> Iterator[str]:
    """How a deletion stands now, and the command to go on."""
    name = plain(deletion.tenant)
    match deletion.standing:
        case Standing.REQUESTED:
            yield f"Asked for the deletion of {name}. The next run takes away everybody's access until somebody decides."
            yield click.style(
                f"  lzr tenant approve-deletion {name}   or   lzr tenant decline-deletion {name}", fg="cyan"
            )
        case Standing.APPROVED:
            yield f"The deletion of {name} is approved by {plain(deletion.decided_by)}. It is not reconciled any more."
            yield click.style(f"  lzr destroy {name}", fg="cyan")
        case _:
            yield f"{name} stays. The next run gives everybody the access of the documents again."


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as what is in them."""
    cells = [heads, *(tuple(plain(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield line if number else click.style(line, dim=True)
