"""`lzr ci`: plan and apply within a pipeline. What is done is `work`'s; here it is told to people and programs that look at a pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.cli import tell
from runner.cli.places import me
from runner.cli.telling import exit_code, opened, worst
from runner.cli.work import AROUND, PATHS, REASON, SINCE, TENANT
from runner.errors import Refused, RunnerError

if TYPE_CHECKING:
    from runner.cli.handing import Ci
    from runner.cli.outcome import Outcome, Planned
    from runner.domain.review import Review
    from runner.domain.run import Run
    from runner.durable import Durable
    from runner.wiring import Runner

_FOLDED = 50  # reviews in a log; the page and `lzr review` have the others

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group
def ci() -> None:
    """Plan and apply within a pipeline: reviews as Markdown and JSON, a log that folds, exit codes as everywhere.

    \b
    Example:
      lzr ci plan my-landing-zones --changed-since origin/main --markdown review.md --result planned.json
      lzr ci comment review.md
      lzr ci apply planned.json
    """


def _handed(command: Command) -> Command:
    """The options that say what is written where."""
    file = click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option("--result", type=file, metavar="FILE", help="Write the result as JSON."),
        click.option(
            "--markdown", type=file, metavar="FILE", help="Write the reviews as Markdown, for a pull request."
        ),
    ):
        command = option(command)
    return command


@ci.command
@PATHS
@AROUND
@TENANT
@SINCE
@REASON
@_handed
def plan(
    paths: tuple[Path, ...],
    around: tuple[Path, ...],
    only: tuple[str, ...],
    since: str | None,
    reason: str,
    markdown: Path | None,
    result: Path | None,
) -> int:
    """Plan tenants; nothing is changed. The exit code is 6 where something waits for approval.

    \b
    Example:
      lzr ci plan my-landing-zones --changed-since origin/main --markdown review.md --result planned.json
    """
    from runner.cli import progress
    from runner.cli.work import asked_for, begin, working

    def planned(done: _Done) -> None:
        asked = asked_for(paths, around, only, since=since)
        with opened() as runner:
            done.runner = runner
            with working(runner) as durable:
                runs, refused = begin(runner, asked, by=done.by, reason=reason, options={"plan_only": True})
                done.refused.update(refused)
                for run in runs:
                    durable.plan(run)
                done.runs += _followed(runner, runs, through=progress.PLANNING)
            done.hand_out()

    return _Done.told(planned, about=" ".join(map(str, paths)), markdown=markdown, result=result)


@ci.command
@click.argument("planned", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--approve", "approving", is_flag=True, help="Approve what still waits: the pipeline asked a person before this."
)
@click.option("--confirm-delete", "confirmed", multiple=True, metavar="NAME", help="With --approve: as lzr approve.")
@click.option("--comment", default="", help="With --approve: for the record.")
@_handed
def apply(
    planned: Path,
    approving: bool,
    confirmed: tuple[str, ...],
    comment: str,
    markdown: Path | None,
    result: Path | None,
) -> int:
    """Apply the runs that the result of a plan names, each only with the digest it names there.

    Those are applied that policy or somebody approved; with --approve those too that wait, as where an environment of the pipeline
    has reviewers. A run that was applied meanwhile is fine.

    \b
    Example:
      lzr ci apply planned.json --approve --comment "approved in the environment production"
    """
    from runner.cli import outcome
    from runner.cli.work import working

    def applied(done: _Done) -> None:
        named = outcome.planned(planned)
        with opened() as runner:
            done.runner = runner
            with working(runner) as durable:
                approval = _Approval(done.by, confirmed, comment) if approving else None
                _apply_each(done, runner, durable, named, approval)
            done.hand_out()

    return _Done.told(applied, about=str(planned), markdown=markdown, result=result)


@ci.command
@click.argument("page", type=click.Path(path_type=Path, dir_okay=False))
def comment(page: Path) -> int:
    """Write a page of Markdown to the pull request that the pipeline runs for, in place of what was written there before.

    The token is the job's: GITHUB_TOKEN, SYSTEM_ACCESSTOKEN, or on GitLab a GITLAB_TOKEN that may write notes. This needs no store.

    \b
    Example:
      lzr ci comment review.md
    """
    from runner.cli import handing

    at_hand = handing.at_hand()
    with at_hand.guarded():
        from runner.cli.comments import put

        click.echo(put(page, at_hand))
    return 0


@dataclass(frozen=True)
class _Approval:
    by: str
    confirmed: tuple[str, ...]
    comment: str


@dataclass
class _Done:
    """What a command has done so far, and where it is told."""

    ci: Ci
    about: str
    markdown: Path | None
    result: Path | None
    runner: Runner | None = None
    runs: list[Run] = field(default_factory=list)
    refused: dict[str, RunnerError] = field(default_factory=dict)
    handed_out: bool = False

    @classmethod
    def told(cls, do: Callable[[_Done], None], *, about: str, markdown: Path | None, result: Path | None) -> int:
        """Do it, and tell it also where it fails; the exit code."""
        from runner.cli import handing

        done = cls(handing.at_hand(), about, markdown, result)
        with done.ci.guarded():
            try:
                do(done)
            except RunnerError as error:
                tell(error)
                if not done.handed_out:
                    with suppress(RunnerError):  # what went wrong first is what is told
                        done.runner = None  # it is closed by now
                        done.hand_out(error)
                return error.exit_code
            return done.outcome().exit_code

    @property
    def by(self) -> str:
        """Who asks."""
        return self.ci.asker or me()

    def outcome(self, error: RunnerError | None = None) -> Outcome:
        """How all of it stands."""
        from runner.cli.outcome import Outcome, Stand

        codes = [exit_code(self.runs), *(why.exit_code for why in self.refused.values())]
        return Outcome(
            stands=tuple(Stand(run, _review_of(self.runner, run)) for run in self.runs),
            refused=tuple(self.refused.items()),
            exit_code=worst([*codes, *([error.exit_code] if error is not None else [])]),
            error=error,
        )

    def hand_out(self, error: RunnerError | None = None) -> None:
        """Tell it in the log, in the files that were asked for, with the job and to its later steps."""
        from runner.cli import handing
        from runner.cli import markdown as pages

        outcome = self.outcome(error)
        if error is None:
            self._log()
        if self.result is not None:
            handing.write(self.result, json.dumps(outcome.as_json(), indent=2, ensure_ascii=False) + "\n")
        if self.markdown is not None:
            handing.write(self.markdown, pages.page(outcome, about=self.about))
        self.ci.summarise(pages.page(outcome, about=self.about, longest=handing.LONGEST_SUMMARY))
        self.ci.hand_on({"overall": outcome.overall, "changes": str(outcome.changes).lower()})
        self.handed_out = True

    def _log(self) -> None:
        from runner.app import telling
        from runner.cli import words
        from runner.cli.telling import print_lines
        from runner.domain.run import Status

        for tenant, why in self.refused.items():
            click.echo(f"✗ {words.plain(tenant)}:")
            tell(why)
        folded = 0
        for run in self.runs:
            review = _review_of(self.runner, run)()
            if review is not None and run.status in (Status.WAITING, Status.APPROVED) and folded < _FOLDED:
                folded += 1
                with self.ci.folded(f"{run.tenant}: {run.status}, run {run.id}"):
                    print_lines(words.review(review, run))
            answer = telling.told(run, self.runner.ports).function if self.runner is not None else None
            print_lines(words.result(run, review, answer))


def _review_of(runner: Runner | None, run: Run) -> Callable[[], Review | None]:
    def review() -> Review | None:
        from runner.app.walk import is_of_meshstack, review_of

        if runner is None or is_of_meshstack(run) or runner.ports.runs.review(run.id) is None:
            return None
        return review_of(run, runner.ports)

    return review


def _followed(runner: Runner, runs: Sequence[Run], *, through: Iterable[Any]) -> list[Run]:
    """The runs when they have come to rest; where there are many, a line for each as it does."""
    from runner.cli import progress, words

    at_rest = 0

    def rested(run: Run) -> None:
        nonlocal at_rest
        at_rest += 1
        if len(runs) > progress.FEW:
            click.echo(f"  {at_rest} of {len(runs)}  {words.plain(run.tenant)} is {run.status}")

    return progress.follow(runner.ports.runs, runs, through=frozenset(through), quiet=False, ended=rested)


def _apply_each(
    done: _Done, runner: Runner, durable: Durable, named: Sequence[Planned], approval: _Approval | None
) -> None:
    """Apply what may be; what may not is refused with its reason, and the others go on."""
    from runner.cli import progress
    from runner.cli.work import follow_on
    from runner.domain.run import Status

    begun: list[Run] = []
    at_rest: list[Run] = []
    for one in named:
        try:
            run = _meant(runner, one)
            if run.status is Status.WAITING and approval is not None:
                run = _approved(runner, run, one, approval)
            if run.status is Status.APPROVED:
                durable.apply(run)
        except RunnerError as error:
            done.refused[one.tenant] = error
            continue
        (begun if run.status in progress.APPLYING else at_rest).append(run)
    applied = _followed(runner, begun, through=progress.APPLYING)
    done.runs += [*at_rest, *follow_on(runner, applied, quiet=False)]


def _meant(runner: Runner, named: Planned) -> Run:
    """The run that is named, with the digest that is named, or the one that continues it. Refused where its digest is another."""
    from runner.app import recovery
    from runner.domain.run import Status

    run = runner.ports.runs.get(named.id)
    if run.tenant != named.tenant or run.digest != named.digest:
        raise Refused(
            "Another digest",
            code="digest-mismatch",
            detail=f"Run {run.id} of {run.tenant} has the digest {run.digest or '(none)'}, not {named.digest or '(none)'}.",
            hint="Plan again, and apply the result of that.",
        )
    if run.status in (Status.SUPERSEDED, Status.EXPIRED, Status.REJECTED):
        raise Refused(
            "The run is not approved",
            code="run-not-approved",
            detail=f"Run {run.id} is {run.status}.",
            hint="Plan again, and apply the result of that.",
        )
    return recovery.heir_of(run, runner.ports)


def _approved(runner: Runner, run: Run, named: Planned, approval: _Approval) -> Run:
    from runner.app import reviewing

    return reviewing.approve(
        run,
        by=approval.by,
        ports=runner.ports,
        expires_after=runner.settings.review_expires,
        digest=named.digest,
        confirmed=approval.confirmed,
        comment=approval.comment,
    )
