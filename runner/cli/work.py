"""Commands that execute runs: plan, reconcile, apply, destroy. They first settle what dead processes left, and stop gently."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from runner.cli import tell
from runner.cli.places import Here, on_a_server
from runner.cli.telling import as_json_option, me, opened, print_lines, report, run_argument, worst
from runner.errors import Canceled, InputError, Refused, RunnerError
from runner.imports import share_one_heap

if TYPE_CHECKING:
    from runner.documents import Documents
    from runner.domain.configuration import Snapshot
    from runner.domain.review import Contents, Review
    from runner.domain.run import Behavior, Run, Status
    from runner.durable import Durable
    from runner.wiring import Runner

PATHS = click.argument("paths", nargs=-1, metavar="PATHS...", type=click.Path(path_type=Path))
AROUND = click.option(
    "--with",
    "around",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Where landing zone and platform are documented, if elsewhere.",
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_TRIES = 3  # to type a name
TENANT = click.option(
    "--tenant", "-t", "only", multiple=True, metavar="NAME", help="Only this tenant; may be repeated."
)
REASON = click.option("--reason", default="", help="Why, for the record.")
SINCE = click.option(
    "--changed-since",
    "since",
    metavar="REF",
    help="Only tenants about which the documents say something else than at this commit.",
)


@click.command
@PATHS
@AROUND
@TENANT
@SINCE
@REASON
@as_json_option
def plan(
    paths: tuple[Path, ...],
    around: tuple[Path, ...],
    only: tuple[str, ...],
    since: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Plan tenants and show what would happen; nothing is changed.

    A server has its own documents: it is asked for tenants by name, and PATHS are left out.

    \b
    Example:
      lzr plan my-landing-zones
      lzr plan my-landing-zones --changed-since origin/main
      lzr --server https://lzr.example plan --tenant payments.checkout-dev
    """
    if on_a_server():
        from runner.cli import remote_work

        return remote_work.plan(only, documents=(paths, around, since), reason=reason, as_json=as_json)
    from runner.cli import progress

    asked = asked_for(paths, around, only, since=since)
    with opened() as runner, working(runner) as durable:
        started, codes = _start(runner, asked, reason=reason, options={"plan_only": True})
        for one in started:
            durable.plan(one)
        planned = _follow(runner, started, through=progress.PLANNING, quiet=as_json)
        return worst((*codes, report(Here(runner), planned, as_json=as_json)))


@click.command
@PATHS
@AROUND
@TENANT
@SINCE
@REASON
@as_json_option
def reconcile(
    paths: tuple[Path, ...],
    around: tuple[Path, ...],
    only: tuple[str, ...],
    since: str | None,
    reason: str,
    as_json: bool,
) -> int:
    """Plan tenants, decide by policy or by asking you, and apply what was approved.

    Without a terminal nobody is asked: runs that need a person are left waiting, and the exit code is 6.

    \b
    Example:
      lzr reconcile my-landing-zones
    """
    if on_a_server():
        from runner.cli import remote_work

        return remote_work.reconcile(only, documents=(paths, around, since), reason=reason, as_json=as_json)
    asked = asked_for(paths, around, only, since=since)
    with opened() as runner, working(runner) as durable:
        started, codes = _start(runner, asked, reason=reason)
        return worst((*codes, _carry_through(runner, durable, started, as_json=as_json)))


@click.command
@click.argument("tenant")
@click.option("--in", "path", default=".", show_default=True, type=click.Path(path_type=Path), help="The documents.")
@click.option(
    "--move-to", metavar="MANAGEMENT_GROUP", help="Move the subscription there; otherwise it stays where it is."
)
@REASON
@as_json_option
def destroy(tenant: str, path: Path, move_to: str | None, reason: str, as_json: bool) -> int:
    """Plan how a tenant leaves, and after approval let it: members first, then Terraform.

    The subscription and its place stay unless asked; resource groups with contents must be confirmed by name. A tenant whose document
    is gone already leaves as it was last known. A deletion that was asked for (lzr tenant delete) has to be approved first.

    \b
    Example:
      lzr destroy payments.checkout-dev --in my-landing-zones --reason "project ended"
    """
    if on_a_server():
        from runner.cli import remote_work

        return remote_work.destroy(tenant, move_to=move_to, reason=reason, as_json=as_json)
    from runner.cli.known import known
    from runner.domain.run import Behavior

    with opened() as runner:
        found = known(runner, tenant, (path,))
        found.tell()
        options = ({"move_to": move_to} if move_to else {}) | ({} if found.documented else {"undocumented": True})
        with working(runner) as durable:
            asked = Asked(iter((found.snapshot,)), found.source)
            started, _ = _start(runner, asked, reason=reason, behavior=Behavior.DESTROY, options=options)
            return _carry_through(runner, durable, started, as_json=as_json)


@click.command
@click.argument("tenant")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@REASON
@as_json_option
def adopt(tenant: str, paths: tuple[Path, ...], reason: str, as_json: bool) -> int:
    """Plan a tenant and show what that exists already would be taken over, and what would change in it; nothing is changed.

    Every plan takes over what it finds, and a person always decides that. Here it is told with every difference.

    
    Example:
      lzr tenant adopt payments.checkout-dev my-landing-zones
    """
    from runner.app.walk import review_of
    from runner.cli import progress, words

    asked = asked_for(paths or (Path(),), (), (tenant,))
    with opened() as runner, working(runner) as durable:
        started, _ = _start(runner, asked, reason=reason, options={"plan_only": True})
        for one in started:
            durable.plan(one)
        (planned,) = _follow(runner, started, through=progress.PLANNING, quiet=as_json)
        if not as_json and runner.ports.runs.review(planned.id) is not None:
            print_lines(words.adoption(review_of(planned, runner.ports)))
        return report(Here(runner), [planned], as_json=as_json)


@click.command
@run_argument
@as_json_option
def apply(run_id: str, as_json: bool) -> int:
    """Apply an approved run; refused when anything moved since.

    \b
    Example:
      lzr apply "$(lzr runs --status approved --json | jq -r '.[0].id')"
    """
    if on_a_server():
        from runner.cli import remote_work

        return remote_work.apply(run_id, as_json=as_json)
    with opened() as runner:
        meant = runner.ports.runs.get(run_id)
        with working(runner) as durable:
            return _apply(runner, durable, meant, as_json=as_json)


def _apply(runner: Runner, durable: Durable, meant: Run, *, as_json: bool) -> int:
    from runner.app import recovery, reviewing
    from runner.cli import progress
    from runner.domain.run import Status

    run = recovery.heir_of(runner.ports.runs.get(meant.id), runner.ports)
    if run.id in durable.taken:  # it was being applied when its process died, and has come to rest by now
        return report(Here(runner), [run], as_json=as_json)
    if run.status is not Status.APPROVED:
        hints = {Status.WAITING: f"lzr approve {run.id}", Status.EXPIRED: reviewing.again(run)}
        raise Refused(
            "The run is not approved",
            code="run-not-approved",
            detail=f"Run {run.id} is {run.status}.",
            hint=hints.get(run.status, f"lzr run {run.id}"),
        )
    runner.ports.runs.ask_apply(run.id, options={}, by=me(), now=runner.ports.now())
    durable.apply(run)
    applied = _follow(runner, [run], through=progress.APPLYING, quiet=as_json)
    return report(Here(runner), follow_on(runner, applied, quiet=as_json), as_json=as_json)


@contextmanager
def working(runner: Runner) -> Iterator[Durable]:
    """A process that executes runs. What dead processes left is settled before anything new begins."""
    from runner.app import recovery, reviewing

    share_one_heap()
    beside = ThreadPoolExecutor(1)
    prepared = beside.submit(runner.prepare)  # asks the engine for its version while everything else is loaded
    beside.shutdown(wait=False)
    with runner.durable() as durable:
        prepared.result()

        def on_signal(number: int, frame: object) -> None:
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL)  # the engine outlives this process; the next one goes on from there
            durable.stop_all()
            # written past sys.stderr and its lock, which the interrupted thread may hold
            os.write(2, b"\nStopping; the engine saves its state first. Once more to leave it at that.\n")

        before = {number: signal.signal(number, on_signal) for number in _SIGNALS}
        try:
            reviewing.expire(runner.ports, after=runner.settings.review_expires)
            _settle(runner, durable)
            recovery.sweep(runner.ports)
            yield durable
        finally:
            durable.rest()
            for number, handler in before.items():
                signal.signal(number, handler)


def _settle(runner: Runner, durable: Durable) -> None:
    """Go on with the runs of dead processes, and with those that continue interrupted ones, to where a person is needed."""
    from runner.app.walk import review_of
    from runner.cli import progress, words
    from runner.domain.run import Status

    at_work = progress.PLANNING | progress.APPLYING
    left = list(durable.take_over())
    for taken in left:
        click.echo(
            f"Going on with {words.plain(taken.tenant)}, run {taken.id}, to where it is at rest: "
            "the process that had it died.",
            err=True,
        )
    while left:
        for ended in _follow(runner, left, through=at_work, quiet=False):
            if ended.status is not Status.INTERRUPTED:
                made = review_of(ended, runner.ports) if runner.ports.runs.review(ended.id) else None
                for line in words.result(ended, made, None):
                    click.echo(line, err=True)
        open_ones = runner.ports.runs.find(statuses=tuple(at_work), limit=1000)
        left = [run for run in open_ones if durable.will_apply(run)]


@dataclass(frozen=True)
class Asked:
    """What is asked for: a snapshot of each tenant when its turn comes, and where the documents are."""

    snapshots: Iterator[Snapshot]
    source: str


def asked_for(paths: Sequence[Path], around: Sequence[Path], only: Sequence[str], *, since: str | None = None) -> Asked:
    """Read and check the documents, and that they have the tenants: what is wrong is told before anything begins.

    Nothing is kept of them once the last snapshot is given.
    """
    from runner import documents
    from runner.cli import progress
    from runner.policy.expressions import CelExpressions

    if not paths:
        raise click.UsageError("Missing argument 'PATHS...'.", click.get_current_context())
    read = documents.read(paths, around=around, expressions=CelExpressions().problems)
    if not (only or read.chosen):
        raise InputError(
            "No tenant to plan",
            code="no-tenant",
            detail=f"{', '.join(map(str, paths))} has no document of kind Tenant.",
            hint="Add one (lzr init shows how), or give its folder.",
        )
    wanted = only or read.chosen
    for name in wanted:
        read.placed(name)  # all of them are there, before the first begins
    if since is not None:
        changed = _changed(since, read, paths, around)
        wanted = tuple(name for name in wanted if name in changed)
    return Asked(
        snapshots=(read.for_run(name) for name in progress.counted(tuple(dict.fromkeys(wanted)), "started")),
        source=os.pathsep.join(str(path.absolute()) for path in (*paths, *around)),
    )


def _changed(since: str, read: Documents, paths: Sequence[Path], around: Sequence[Path]) -> frozenset[str]:
    """Tenants that changed since that commit; told how many they are, and which are not documented any more."""
    from runner.cli import words
    from runner.documents.since import changed_since

    found = changed_since(since, read, paths, around)
    if found.unreadable:
        click.echo(f"The documents at {words.plain(since)} cannot be read: every tenant counts as changed.", err=True)
    click.echo(f"{len(found.tenants)} of {len(read.chosen)} tenants changed since {words.plain(since)}.", err=True)
    for name in found.gone:
        click.echo(f"  {words.plain(name)} is not documented any more: it stays as it is until lzr destroy.", err=True)
    return frozenset(found.tenants)


def _start(
    runner: Runner,
    asked: Asked,
    *,
    reason: str = "",
    behavior: Behavior | None = None,
    options: dict[str, Any] | None = None,
) -> tuple[list[Run], list[int]]:
    """Create a pending run for each tenant that is asked for. One that may not be run now is told, its exit code kept, and the others go
    on; where none may, Refused."""
    from runner.cli import words

    started, refused = begin(runner, asked, by=me(), reason=reason, behavior=behavior, options=options)
    if refused and not started:
        raise next(iter(refused.values()))
    for tenant, why in refused.items():
        click.echo(f"{words.plain(tenant)}:", err=True)
        tell(why)
    return started, [why.exit_code for why in refused.values()]


def begin(
    runner: Runner,
    asked: Asked,
    *,
    by: str,
    reason: str = "",
    behavior: Behavior | None = None,
    options: dict[str, Any] | None = None,
) -> tuple[list[Run], dict[str, Refused]]:
    """Create a pending run for each tenant that is asked for; and why there is none, by the tenant, where one may not be run now."""
    from runner.app import reviewing
    from runner.domain.run import Behavior
    from runner.durable import new_id

    started: list[Run] = []
    refused: dict[str, Refused] = {}
    for snapshot in asked.snapshots:
        try:
            one = reviewing.start(
                snapshot,
                run_id=new_id(),
                source=asked.source,
                by=by,
                ports=runner.ports,
                behavior=behavior or Behavior.APPLY,
                reason=reason,
                options=options,
            )
        except Refused as error:
            refused[snapshot.placed.tenant.name] = error
        else:
            started.append(one)
    return started, refused


def _carry_through(runner: Runner, durable: Durable, started: list[Run], *, as_json: bool) -> int:
    """Plan, decide and apply; runs that policy approves are applied as soon as they are planned.

    What goes wrong about one tenant is told, and the others go on.
    """
    from runner.cli import progress
    from runner.domain.run import Status

    waiting: list[Run] = []
    applying: list[Run] = []
    codes: list[int] = []
    done: dict[str, Run] = {}

    def planned(one: Run) -> None:
        if one.status is Status.WAITING:
            waiting.append(one)
        elif one.status is Status.APPROVED:
            with told(one, codes):
                durable.apply(one)
                applying.append(one)
        else:
            done[one.id] = one

    for one in started:
        durable.plan(one)
    _follow(runner, started, through=progress.PLANNING, quiet=as_json, ended=planned)
    asked = waiting if not as_json and sys.stdin.isatty() and sys.stdout.isatty() else []
    try:
        for one in asked:
            if durable.stopping:
                raise click.Abort
            with told(one, codes):
                if approved := _ask(runner, durable, one):
                    durable.apply(approved)
                    applying.append(approved)
    except click.Abort:  # everything that was not decided waits on
        codes.append(Canceled.exit_code)
    applied = _follow(runner, applying, through=progress.APPLYING, quiet=as_json)
    for one, heir in zip(applied, follow_on(runner, applied, quiet=as_json), strict=True):
        done[one.id] = heir
    stand = [done.get(one.id) or runner.ports.runs.get(one.id) for one in started]
    return worst((*codes, report(Here(runner), stand, as_json=as_json, shown=[one.id for one in asked])))


@contextmanager
def told(run: Run, codes: list[int]) -> Iterator[None]:
    """Tell an error about this run and keep its exit code, instead of ending what is done for others."""
    from runner.cli import words

    try:
        yield
    except RunnerError as error:
        codes.append(error.exit_code)
        click.echo(f"{words.plain(run.tenant)}:", err=True)
        tell(error)


def _ask(runner: Runner, durable: Durable, waiting: Run) -> Run | None:
    """Show the review and let the person at the terminal decide; None when nobody approved. Aborts when the person leaves."""
    from runner.app import reviewing
    from runner.app.walk import review_of
    from runner.domain.run import Status

    made = review_of(waiting, runner.ports)
    with _leaving_at_once(durable):
        answer, decided = put(made, waiting)
    now = runner.ports.runs.get(waiting.id)  # a person takes time: somebody else may have decided
    if answer == "n":
        reviewing.reject(now, by=me(), ports=runner.ports)
    if not decided:
        return None
    if now.status is Status.APPROVED and now.digest == made.digest:
        return now
    return reviewing.approve(
        now,
        by=me(),
        ports=runner.ports,
        expires_after=runner.settings.review_expires,
        digest=made.digest,
        confirmed=tuple(contents.resource_group for contents in made.contents),
    )


def put(made: Review, waiting: Run) -> tuple[str, bool]:
    """Put the review to whoever is there: what they answered, and whether it is approved with every name that has to be typed."""
    from runner.cli import words

    print_lines(words.review(made, waiting))
    if made.stops:
        return "later", False
    choice = click.Choice(["y", "n", "later"])
    answer = click.prompt("Approve and apply exactly this?", type=choice, default="later")
    return answer, answer == "y" and all(_named(contents) for contents in made.contents)


def _named(contents: Contents) -> bool:
    """Whether the person types the name of the resource group that would be deleted with what is in it."""
    from runner.cli import words

    question = (
        f"{words.plain(contents.resource_group)} holds {len(contents.resources)} resources; "
        "type its name to delete them"
    )
    for _ in range(_TRIES):
        if click.prompt(question) == contents.resource_group:
            return True
        click.echo("That is another name.")
    click.echo("Nothing is deleted; the run waits on.")
    return False


@contextmanager
def _leaving_at_once(durable: Durable) -> Iterator[None]:
    """While a person is asked, a signal ends the asking (Abort); what other runs have at work is stopped as ever."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop = before[signal.Signals(number)]
        if durable.working and callable(stop):
            stop(number, frame)
        raise KeyboardInterrupt

    for number in _SIGNALS:
        signal.signal(number, on_signal)
    try:
        yield
    except (click.Abort, KeyboardInterrupt):
        click.echo("")  # the question's line is not at its end
        raise click.Abort from None
    finally:
        if not durable.stopping:  # else the next signal ends the process
            for number, handler in before.items():
                signal.signal(number, handler)


def follow_on(runner: Runner, applied: list[Run], *, quiet: bool) -> list[Run]:
    """In place of each run that another one continues, that one where it comes to rest: a subscription was made first."""
    from runner.app import recovery
    from runner.cli import progress

    heirs = [recovery.heir_of(one, runner.ports) for one in applied]
    at_work = progress.PLANNING | progress.APPLYING
    followed = [heir for one, heir in zip(applied, heirs, strict=True) if heir.id != one.id]
    rested = {one.id: one for one in _follow(runner, followed, through=at_work, quiet=quiet)} if followed else {}
    return [rested.get(heir.id, heir) for heir in heirs]


def _follow(
    runner: Runner,
    followed: list[Run],
    *,
    through: Collection[Status],
    quiet: bool,
    ended: Callable[[Run], None] = lambda one: None,
) -> list[Run]:
    from runner.cli import progress

    return progress.follow(runner.ports.runs, followed, through=through, quiet=quiet, ended=ended)
