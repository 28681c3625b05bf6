"""What the store keeps of a building-block run, so that `lzr runs`, `lzr run` and `lzr review` show it like any other.

meshStack decides about these runs. An APPLY that it sends is its approval of what the plan turns out to be; of a dry run nobody here
decides anything, and its review waits until meshStack's next run of the block takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.agent.contract import Behavior, BlockRun
from runner.app.journal import RunJournal, failure_of
from runner.domain import run as run_domain
from runner.domain.block_review import BlockReview
from runner.domain.run import Run, Status
from runner.errors import Canceled, InputError
from runner.ports import Approval, Runs

POLICY = "meshstack"
SOURCE = "meshStack"
MOST_LINES = 20_000
_LONGEST_LINE = 2_000
_GOOD_FOR = timedelta(hours=24)


@dataclass
class Record:
    """One run in the store."""

    run: Run
    runs: Runs
    journal: RunJournal
    now: Callable[[], datetime]
    executor: str
    kept: int = 0  # lines of its log

    @classmethod
    def begin(
        cls, given: BlockRun, *, runs: Runs, executor: str, now: Callable[[], datetime], redact: Callable[[str], str]
    ) -> Record:
        """Note that the run begins. meshStack may send one again that it gave up: each time it is another run here."""
        author = given.spec.trigger.author
        spec = given.block.spec
        moment = now()
        run = runs.create(
            Run(
                id=_free(given.id, runs),
                tenant=given.block.uuid,
                landing_zone=spec.display_name,
                behavior=run_domain.Behavior.DESTROY
                if given.spec.behavior is Behavior.DESTROY
                else run_domain.Behavior.APPLY,
                status=Status.PENDING,
                requested_by=author.username or author.identifier or author.display_name or "meshStack",
                reason=given.spec.trigger.reason,
                created=moment,
                updated=moment,
                source=SOURCE,
                workspace=spec.workspace_identifier,
                options={
                    "meshstack": {
                        "run": given.id,
                        "number": given.spec.run_number,
                        "behavior": given.spec.behavior.value,
                        "workspace": spec.workspace_identifier,
                        "project": spec.project_identifier,
                        "kind": given.implementation.type,
                    }
                },
                executor=executor,
            )
        )
        run = runs.move(run.id, Status.PLANNING, now=now(), executor=executor)
        return cls(run, runs, RunJournal(runs, run.id, now, redact), now, executor)

    def log(self, lines: Sequence[str]) -> None:
        """Lines of the step that goes on; of a run that says too much no more than its beginning is kept."""
        room = MOST_LINES - self.kept
        if room <= 0:
            return
        self.kept += len(lines)
        self.journal.log_all([("info", line[:_LONGEST_LINE]) for line in lines[:room]])
        if len(lines) >= room:
            self.journal.log("warn", f"More than {MOST_LINES} lines of a run are not kept here.")

    def cancel_requested(self) -> bool:
        """Whether somebody asked with `lzr cancel`."""
        return self.runs.cancel_requested(self.run.id)

    def reviewed(self, review: BlockReview) -> None:
        """Keep what would happen."""
        self.runs.keep_review(self.run.id, digest=review.digest, review=review.model_dump(mode="json"))
        self.runs.note(self.run.id, digest=review.digest)

    def approved(self, review: BlockReview) -> None:
        """meshStack's approval of exactly this review; the run applies from here on."""
        moment = self.now()
        by = f"policy:{POLICY}"
        self.runs.approve(
            Approval(
                run=self.run.id,
                digest=review.digest,
                by=by,
                at=moment,
                expires=moment + _GOOD_FOR,
                comment=f"ordered by {self.run.requested_by}"
                + (", who approved this plan" if review.predecessor else ""),
            ),
            now=moment,
        )
        self._move(Status.APPLYING)

    def ended(self, status: Status) -> None:
        """The run is over, or (a dry run) waits for meshStack."""
        self._move(status)

    def unchanged(self) -> None:
        """The run is over, and nothing of it was this runner's to plan."""
        self._move(Status.UNCHANGED)

    def failed(self, error: BaseException, *, step: str) -> None:
        """The run ended badly, or was stopped."""
        if isinstance(error, Canceled):
            self._move(Status.CANCELED)
        else:
            failure = failure_of(error, redact=self.journal.redact, step=step)
            self.runs.move(self.run.id, Status.FAILED, now=self.now(), failure=failure, executor=self.executor)

    def _move(self, status: Status) -> None:
        self.runs.move(self.run.id, status, now=self.now(), executor=self.executor)


def _free(run: str, runs: Runs) -> str:
    """The run's id, with a number behind it where a run of that id is known already."""
    for number in range(1, 100):
        name = run if number == 1 else f"{run}.{number}"
        try:
            if runs.get(name).id != name:  # found by its beginning
                return name
        except InputError:
            return name
    raise InputError("The run was sent too often", code="run-sent-too-often", detail=run)
