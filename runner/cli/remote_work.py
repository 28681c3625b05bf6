"""plan, reconcile, apply and destroy on a server: it reads its own documents, executes, and goes on whoever watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from runner.app.recovery import heir_among
from runner.app.walk import as_review
from runner.cli import progress, tell
from runner.cli.progress import APPLYING, PLANNING
from runner.cli.telling import report, worst
from runner.cli.words import plain
from runner.cli.work import put, told
from runner.domain.run import Behavior, Run, Status
from runner.errors import Canceled, InputError

if TYPE_CHECKING:
    from runner.cli.remote import Remote


def plan(tenants: Sequence[str], *, documents: Sequence[object], reason: str, as_json: bool) -> int:
    """See `lzr plan`."""
    _expect_names(tenants, documents)
    with _watching() as server:
        started, codes = _start(server, tenants, reason=reason, plan_only=True)
        planned = progress.watched(server, started, through=PLANNING, quiet=as_json)
        return worst((*codes, report(server, planned, as_json=as_json)))


def reconcile(tenants: Sequence[str], *, documents: Sequence[object], reason: str, as_json: bool) -> int:
    """See `lzr reconcile`."""
    _expect_names(tenants, documents)
    with _watching() as server:
        started, codes = _start(server, tenants, reason=reason)
        return worst((*codes, _carry_through(server, started, as_json=as_json)))


def destroy(tenant: str, *, move_to: str | None, reason: str, as_json: bool) -> int:
    """See `lzr destroy`."""
    with _watching() as server:
        started, codes = _start(server, (tenant,), reason=reason, behavior=Behavior.DESTROY, move_to=move_to)
        return worst((*codes, _carry_through(server, started, as_json=as_json)))


def apply(run_id: str, *, as_json: bool) -> int:
    """See `lzr apply`."""
    with _watching() as server:
        run = server.apply(_heir(server, server.run(run_id)))
        return report(server, _followed_on(server, [run], quiet=as_json), as_json=as_json)


def _expect_names(tenants: Sequence[str], documents: Sequence[object]) -> None:
    if any(documents):
        raise InputError(
            "The server has its own documents",
            code="documents-are-the-servers",
            detail="Paths and --with and --changed-since are about files on this machine, which the server does not read.",
            hint="Name tenants with --tenant.",
        )
    if not tenants:
        raise InputError(
            "No tenant is named",
            code="no-tenant",
            detail="A server is asked for tenants by name.",
            hint="--tenant NAME",
        )


@contextmanager
def _watching() -> Iterator[Remote]:
    """The server, while whoever leaves is told that it goes on."""
    from runner import settings
    from runner.cli.remote import connected

    with connected(settings.read()) as server:
        try:
            yield server
        except KeyboardInterrupt:
            click.echo("\nThe server goes on; lzr cancel RUN stops a run there.", err=True)
            raise


def _start(
    server: Remote,
    tenants: Sequence[str],
    *,
    reason: str,
    behavior: Behavior = Behavior.APPLY,
    plan_only: bool = False,
    move_to: str | None = None,
) -> tuple[list[Run], list[int]]:
    started, refused = server.start(tenants, behavior=behavior, plan_only=plan_only, move_to=move_to, reason=reason)
    for tenant, why in refused.items():
        click.echo(f"{plain(tenant)}:", err=True)
        tell(why)
    return started, [why.exit_code for why in refused.values()]


def _carry_through(server: Remote, started: list[Run], *, as_json: bool) -> int:
    """Follow, decide where somebody is there to be asked, and follow what is applied to its end."""
    codes: list[int] = []
    planned = progress.watched(server, started, through=PLANNING | APPLYING, quiet=as_json)
    waiting = [one for one in planned if one.status is Status.WAITING]
    asked = waiting if not as_json and sys.stdin.isatty() and sys.stdout.isatty() else []
    try:
        for one in asked:
            with told(one, codes):
                _ask(server, one)
    except click.Abort:  # everything that was not decided waits on
        codes.append(Canceled.exit_code)
    stand = _followed_on(server, [server.run(one.id) for one in started], quiet=as_json)
    return worst((*codes, report(server, stand, as_json=as_json, shown=[one.id for one in asked])))


def _ask(server: Remote, waiting: Run) -> None:
    made = as_review(waiting, server.review(waiting))
    answer, decided = put(made, waiting)
    if answer == "n":
        server.reject(waiting, comment="")
    elif decided:
        confirmed = tuple(contents.resource_group for contents in made.contents)
        server.approve(
            waiting.model_copy(update={"digest": made.digest}), digest=None, confirmed=confirmed, comment="", apply=True
        )


def _followed_on(server: Remote, runs: Sequence[Run], *, quiet: bool) -> list[Run]:
    """The runs, or those that continue them, where they come to rest."""
    rested = progress.watched(server, runs, through=APPLYING, quiet=quiet)
    heirs = [_heir(server, one) for one in rested]
    followed = [heir for one, heir in zip(rested, heirs, strict=True) if heir.id != one.id]
    again = {one.id: one for one in progress.watched(server, followed, through=PLANNING | APPLYING, quiet=quiet)}
    return [again.get(heir.id, heir) for heir in heirs]


def _heir(server: Remote, run: Run) -> Run:
    return heir_among(server.runs(tenant=run.tenant, limit=50), run)
