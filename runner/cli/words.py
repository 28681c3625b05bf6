"""How runs and reviews read on a terminal: lines of text made from values. Prints nothing and decides nothing.

Text that came from outside (names in Azure, engine messages) is made harmless first: a control character or a text-direction
override could hide what a person approves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from runner.domain import subscription, wording
from runner.domain.access import Addition, Invitation
from runner.domain.harmless import plain as plain  # commands know it from here
from runner.domain.plan import Action, AttributeChange, ResourceChange
from runner.domain.review import Review
from runner.domain.run import Behavior, Run, Status

_COLOURS = {"+": "green", "~": "yellow", "-": "red", "±": "red", "!": "red", "?": "yellow", "→": "cyan", ".": None}
_RISKS = 8  # more would push what happens off the screen
_ANSWER = 5  # lines
_STATUS_COLOURS = {
    Status.APPLIED: "green",
    Status.UNCHANGED: "green",
    Status.WAITING: "yellow",
    Status.APPROVED: "cyan",
    Status.FAILED: "red",
    Status.INTERRUPTED: "red",
}


def review(made: Review, run: Run, *, everything: bool = False, function: bool = False) -> Iterator[str]:
    """A whole review: risks first, then infrastructure, people, function, and how to decide."""
    yield from heading(made)
    yield ""
    yield from _policy(made)
    if made.risks:
        yield click.style("Needs a look", bold=True)
        yield from (_line("!", risk.text) for risk in made.risks[:_RISKS])
        if len(made.risks) > _RISKS:
            yield f"     and {len(made.risks) - _RISKS} more of this kind, below"
        for contents in made.contents:
            yield f"       {plain(contents.resource_group)} holds " + ", ".join(
                plain(_short(r)) for r in contents.resources[:5]
            )
            if len(contents.resources) > 5:
                yield f"       and {len(contents.resources) - 5} more"
        yield ""
    if made.drift:
        yield click.style("Changed behind the runner's back", bold=True)
        for change in made.drift:
            yield _line("?", f"{change.address}{' is gone' if change.action is Action.DELETE else ''}")
            yield from (f"       {attribute(one)}" for one in change.attributes[:5])
        yield ""
    yield from _subscription(made)
    yield from _infrastructure(made, everything=everything)
    yield from _people(made, everything=everything)
    yield from _function(made, run, whole=function or everything)
    if made.warnings:
        yield click.style("Warnings", bold=True)
        yield from (_line("?", warning.text) for warning in made.warnings)
        yield ""
    yield from _decision(made, run)


def _policy(made: Review) -> Iterator[str]:
    """What the zone's rules and checks said, where they said something."""
    if made.verdict is None and not made.checks:
        return
    said = {
        "ask": "a person decides",
        "allow": "runs on where nobody has to be asked",
        "deny": "nobody may approve this",
    }
    yield _title("Policy", said[made.verdict.then] if made.verdict is not None else "")
    if made.verdict is not None:
        why = f"   {made.verdict.message}" if made.verdict.message else ""
        yield _line("!" if made.verdict.then == "deny" else ".", f"rule {made.verdict.rule}{why}")
    for check in made.checks:
        blocks = " and blocks" if check.stops else ""
        cost = f"   {check.cost:,.2f} {check.currency} per month".rstrip() if check.cost is not None else ""
        sign = "+" if check.outcome == "passed" else "!" if check.stops else "?"
        summary = f"   {check.summary}" if check.summary else ""
        yield _line(sign, f"{check.name} {check.outcome.replace('-', ' ')}{blocks}{cost}{summary}")
        yield from (f"       {plain(finding)}" for finding in check.findings)
        if check.more:
            yield f"       and {check.more} more"
    yield ""


def heading(made: Review) -> Iterator[str]:
    """Which tenant, where, planned with what."""
    name = f' "{plain(made.facts.subscription_name)}"' if made.facts.subscription_name else ""
    which = "the new subscription" if made.facts.source.to_come else f"subscription {_id(made.subscription)}"
    leaving = click.style("   leaves", fg="red", bold=True) if made.behavior is Behavior.DESTROY else ""
    yield (
        click.style(plain(made.tenant), bold=True)
        + leaving
        + f"   landing zone {plain(made.landing_zone)}   {which}{name}"
    )
    providers = ", ".join(
        f"{source.rsplit('/', 1)[-1]} {number}" for source, number in sorted(made.bundle.providers.items())
    )
    stand_ins = " (the sandbox's stand-ins)" if made.bundle.stand_ins else ""
    yield click.style(f"{made.bundle.engine} {made.bundle.engine_version}   {providers}{stand_ins}", dim=True)


def _subscription(made: Review) -> Iterator[str]:
    """What is done about the subscription itself, and whether the rest is a preview."""
    if not made.steps:
        return
    yield _title("Subscription", f"{len(made.steps)} step{'' if len(made.steps) == 1 else 's'}")
    for step in made.steps:
        yield _line(subscription.sign(step), subscription.sentence(step, made.scope))
    if made.facts.source.to_come:
        yield "     What follows is a preview. When the subscription is there it is planned again, and runs on without asking"
        yield "     only where that plan is this one with the subscription's id filled in."
    yield ""


def _infrastructure(made: Review, *, everything: bool) -> Iterator[str]:
    counts = made.counts
    stale = made.stale_tags
    if not made.changes and stale is None:
        yield _title("Infrastructure", f"no changes   {counts['resources']} resources")
        yield ""
        return
    told = f"+ {counts['add']} to add   ~ {counts['change']} to change   - {counts['destroy']} to destroy"
    if counts["forget"]:
        told += f"   . {counts['forget']} to leave as they are"
    if counts["import"]:
        told += f"   {counts['import']} taken over"
    yield _title("Infrastructure", told)
    yield from _blocks(made)
    by_address = {change.address: change for change in made.changes}
    for sentence in made.sentences:
        yield _line(sentence.sign, sentence.text)
        change = by_address[sentence.address]
        if everything:
            yield from attributes(change)
        elif change.importing:
            yield from (f"       {attribute(one)}" for one in wording.differences(change))
        elif change.action is Action.UPDATE:
            yield from (f"       {attribute(one)}" for one in _told(change)[:3])
    if stale is not None:
        tags = ", ".join(f"{name} = {value}" for name, value in stale.tags.items())
        yield _line(
            "-", f"Take away the tags {tags}: they begin with the prefix of the runner's, and nothing maps them"
        )
    if hidden := counts["records"]:
        records = [c.address for c in made.changes if c.address not in {s.address for s in made.sentences}]
        yield click.style(
            f"     and {hidden} record{'' if hidden == 1 else 's'} of the engine's own" + (":" if everything else ""),
            dim=True,
        )
        if everything:
            yield from (click.style(f"       {plain(address)}", dim=True) for address in records)
    yield ""


def _blocks(made: Review) -> Iterator[str]:
    """Where the code of building blocks comes from: who approves a change of it should know."""
    for found in made.facts.blocks.values():
        which = f" at {found.commit[:12]}" if found.commit else ""
        code = f", code {found.digest[:12]}" if found.digest else ""
        yield click.style(f"     building block {plain(found.called)}: {plain(found.source)}{which}{code}", dim=True)


def adoption(made: Review) -> Iterator[str]:
    """What exists already and would be taken over, with all that would change in it."""
    taken = [sentence for sentence in made.sentences if sentence.address in _imported(made)]
    if not taken and not made.adopts:
        yield f"Nothing that exists already would be taken over for {plain(made.tenant)}."
        yield ""
        return
    yield _title("Exists already", f"{len(taken) + len(made.adopts)} taken over")
    yield from (_line("=", wording.adoption(name, object_id)) for name, object_id in sorted(made.adopts.items()))
    for sentence in taken:
        change = _imported(made)[sentence.address]
        yield _line(sentence.sign, sentence.text)
        yield click.style(f"       {plain(str(change.importing).partition('?')[0])}", dim=True)
        yield from (f"       {attribute(one)}" for one in wording.differences(change))
    yield ""


def _imported(made: Review) -> dict[str, ResourceChange]:
    return {change.address: change for change in made.changes if change.importing}


def _people(made: Review, *, everything: bool) -> Iterator[str]:
    access = made.access
    told = (
        [f"+ {len(access.additions)} {'member' if len(access.additions) == 1 else 'members'}"]
        if access.additions
        else []
    )
    if access.invitations:
        told.append(f"{len(access.invitations)} {'guest' if len(access.invitations) == 1 else 'guests'} invited")
    if access.removals:
        told.append(f"- {len(access.removals)} removed")
    if access.warnings:
        told.append(f"{len(access.warnings)} {'warning' if len(access.warnings) == 1 else 'warnings'}")
    yield _title("People", "   ".join(told) if told else f"no changes   {access.unchanged} members")
    yield from (_line("=", wording.adoption(name, object_id)) for name, object_id in sorted(made.adopts.items()))
    invited = {invitation.person: invitation for invitation in access.invitations}
    for addition in access.additions:
        note, invitation = "", invited.get(addition.person)
        if addition.object_id is None:
            mail = "mail sent" if invitation is None or invitation.send_mail else "no mail sent"
            note = f"   is invited as a guest first, {mail}"
        yield _line("+", f"{addition.person}  into {addition.group_name}{note}")
        if everything:
            yield from _details(_who(addition, invitation), _group(addition.group_id))
    for removal in access.removals:
        kind = "" if removal.kind == "user" else f" ({removal.kind})"
        yield _line("-", f"{removal.label}{kind}  out of {removal.group_name}")
        if everything:
            yield from _details(f"object id {removal.object_id}", _group(removal.group_id))
    yield ""


def _who(addition: Addition, invitation: Invitation | None) -> str:
    if addition.object_id is not None or invitation is None:
        return f"object id {addition.object_id or 'known after the invitation'}"
    mail = "mail sent" if invitation.send_mail else "no mail sent"
    return f"is invited: {invitation.email}, link leads to {invitation.redirect_url}, {mail}"


def _group(group_id: str | None) -> str:
    return f"group id {group_id or 'known after the apply'}"


def _details(*told: str) -> Iterator[str]:
    yield from (click.style(f"       {plain(detail)}", dim=True) for detail in told)


def _function(made: Review, run: Run, *, whole: bool) -> Iterator[str]:
    call = made.function
    if call is None:
        return
    yield _title("Function", "as approved before" if call.as_approved else "not approved before")
    headers = call.invocation.headers
    more = "" if whole else f"   (lzr review {run.id} --function shows them)"
    yield _line("→", f"POST {call.invocation.url}   as {call.invocation.scope}   {len(headers)} headers{more}")
    if whole:
        yield from (f"       {plain(name)}: {plain(value)}" for name, value in headers)
    yield ""


def _decision(made: Review, run: Run) -> Iterator[str]:
    digest = made.digest
    yield f"Digest {digest[:4]} {digest[4:8]} … {digest[-4:]}"
    if run.status is Status.WAITING and made.stops:
        yield from (_line("!", why) for why in made.stops)
        yield f"Nobody may approve this.   {click.style(f'lzr reject {run.id}', fg='cyan')}"
    elif run.status is Status.WAITING:
        confirm = "".join(f" --confirm-delete {plain(c.resource_group)}" for c in made.contents)
        command = f"lzr approve {run.id} --digest {digest[:12]}{confirm}"
        yield f"Approve exactly this:   {click.style(command, fg='cyan')}"
        yield f"Details:                {click.style(f'lzr review {run.id} --all', fg='cyan')}"
    else:
        yield f"Run {run.id} is {status(run)}."


def status(run: Run) -> str:
    """The status in its colour."""
    return click.style(run.status, fg=_STATUS_COLOURS.get(run.status))


def result(run: Run, made: Review | None, answer: dict[str, Any] | None) -> Iterator[str]:
    """How a run ended, in as few lines as tell it."""
    called = f"; function called, {answer['status']} in {answer['seconds']:.1f}s" if answer else ""
    if run.status is Status.UNCHANGED and made is not None:
        people = made.access.unchanged
        if made.function is not None and not answer:
            called = "; the function is called when it is reconciled"
        yield (
            click.style("✓ ", fg="green")
            + f"{plain(run.tenant)} is as it should be ({made.counts['resources']} resources, {people} people){called}"
        )
    elif run.status is Status.APPLIED and made is not None:
        counts = made.counts
        verb = "has left" if run.behavior is Behavior.DESTROY else "is as it should be now"
        yield (
            click.style("✓ ", fg="green")
            + f"{plain(run.tenant)} {verb}: {counts['add']} added, {counts['change']} changed, {counts['destroy']} destroyed, "
            + f"{len(made.access.additions)} members added, {len(made.access.removals)} removed{called}"
        )
    elif run.status is Status.WAITING:
        yield click.style("… ", fg="yellow") + f"{plain(run.tenant)} waits for approval: lzr review {run.id}"
    elif run.status is Status.APPROVED:
        yield click.style("… ", fg="cyan") + f"{plain(run.tenant)} is approved: lzr apply {run.id}"
    else:
        yield (click.style("✗ ", fg="red") + f"{plain(run.tenant)}: {status(run)}" + _in_step(run))
        yield from failure(run)


def answer(said: Mapping[str, Any]) -> Iterator[str]:
    """The first lines of what a function answered."""
    lines = str(said.get("body", "")).splitlines()
    yield from (f"      {_value(line)}" for line in lines[:_ANSWER])
    if len(lines) > _ANSWER:
        more = len(lines) - _ANSWER
        yield f"      and {more} more line{'' if more == 1 else 's'}   (--json shows them)"


def _in_step(run: Run) -> str:
    return f' in "{run.failure.step}"' if run.failure is not None and run.failure.step else ""


def failure(run: Run) -> Iterator[str]:
    """What failed, whose turn it is, and the command to go on."""
    if run.failure is None:
        return
    yield f"  {click.style(plain(run.failure.summary), bold=True)}"
    yield from (f"    {plain(line)}" for line in run.failure.detail.splitlines()[:12])
    if run.failure.turn:
        yield f"  {run.failure.turn}"
    if run.failure.hint:
        yield click.style(f"  {plain(run.failure.hint)}", fg="cyan")


def runs(found: Sequence[Run], now: datetime) -> Iterator[str]:
    """A table of runs."""
    rows = [("RUN", "TENANT", "STATUS", "FOR", "BY", "WHEN")]
    rows += [
        (r.id, plain(r.tenant), str(r.status), str(r.behavior), plain(r.requested_by), ago(r.updated, now))
        for r in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if number:
            cells[2] = click.style(cells[2], fg=_STATUS_COLOURS.get(found[number - 1].status))
        yield "  ".join(cells).rstrip() if number else click.style("  ".join(cells).rstrip(), dim=True)


def ago(moment: datetime, now: datetime) -> str:
    """`3 min ago`, in the largest unit that fits."""
    seconds = max(0, int((now - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.1f}s" if seconds < 60 else f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


def _title(name: str, told: str) -> str:
    return click.style(f"{name:<34}", bold=True) + told


def _line(sign: str, text: str) -> str:
    return f"  {click.style(sign, fg=_COLOURS.get(sign))}  {plain(text)}"


def _told(change: ResourceChange) -> list[AttributeChange]:
    return [one for one in change.attributes if not one.path.startswith(("output", "update_headers"))]


def attributes(change: ResourceChange) -> Iterator[str]:
    """A thing's address, and all of its attributes that change."""
    yield click.style(f"       {plain(change.address)}", dim=True)
    for one in change.attributes:
        yield f"         {attribute(one)}"


def attribute(changed: AttributeChange) -> str:
    """One attribute, before and after."""
    replaces = click.style("  (forces a replacement)", fg="red") if changed.forces_replacement else ""
    if changed.before is None:
        return f"{plain(changed.path)} = {_value(changed.after)}{replaces}"
    return f"{plain(changed.path)}: {_value(changed.before)} → {_value(changed.after)}{replaces}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = plain(text)
    return text if len(text) <= 200 else f"{text[:197]}…"


def _id(text: str) -> str:
    return f"{text[:4]}…{text[-4:]}" if len(text) > 12 else text


def _short(resource_id: str) -> str:
    parts = resource_id.rstrip("/").split("/")
    return "/".join(parts[-2:])
