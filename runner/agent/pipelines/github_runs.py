"""The runs of one GitHub workflow: which of them a dispatch made, how it goes, and canceling it.

A dispatch does not say which run it makes. So those that are there are remembered first, and then the run is the first new one, of
the App itself where GitHub tells who started it. Within one agent a workflow is dispatched in turns, so that two runs of a block are
never taken for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from runner.agent.contract import Status
from runner.agent.pipelines.addresses import segment
from runner.agent.pipelines.following import Look, Part
from runner.agent.pipelines.github_app import Session
from runner.agent.pipelines.interface import Watch, Way
from runner.agent.pipelines.service import Json
from runner.errors import RemoteFailed

MOST_LOOKS = 12
_SKEW = timedelta(seconds=30)  # GitHub's clock need not be this one
_LISTED = {"event": "workflow_dispatch", "per_page": "100"}
_TURNS: dict[tuple[str, str], threading.Lock] = {}
_ENDS = {"success": "succeeded", "cancelled": "was canceled", "timed_out": "took too long", "failure": "failed"}


@contextmanager
def turn(workflow: tuple[str, str], way: Way) -> Iterator[None]:
    """Waits until no other run dispatches this workflow; Canceled when the run is told to stop meanwhile."""
    lock = _TURNS.setdefault(workflow, threading.Lock())
    while not lock.acquire(timeout=0.1):
        way.check()
    try:
        yield
    finally:
        lock.release()


class Runs:
    """The runs of a workflow, for one dispatch."""

    def __init__(self, session: Session, workflow: str) -> None:
        wanted = session.wanted
        self._session = session
        self._way = session.anonymous.way
        self._name = workflow
        self._owned = f"{wanted.owner}/{wanted.repository}"
        self._repository = f"/repos/{segment(wanted.owner, 'owner')}/{segment(wanted.repository, 'repository')}"
        self.path = f"{self._repository}/actions/workflows/{segment(workflow, 'workflow')}"
        self._known: frozenset[int] = frozenset()
        self._since = self._way.now()
        self._links: dict[int, str] = {}

    def remember(self) -> None:
        """Note which runs are there, and when: right before the dispatch."""
        self._known = frozenset(one["id"] for one in self._listed())
        self._since = self._way.now() - _SKEW

    def found(self, watch: Watch) -> int:
        """The run of the dispatch, after twelve looks at most; RemoteFailed when it does not appear."""
        trouble = ""
        for looks in range(MOST_LOOKS):
            if looks:
                watch.pause(self._way.poll)
            try:
                number = self.seen()
            except RemoteFailed as error:
                if not error.temporary:
                    raise
                trouble = f" The last look that failed: {error.detail}"
                continue
            if number is not None:
                return number
        raise RemoteFailed(
            "The workflow's run does not appear",
            code="github-run-not-found",
            detail=f"GitHub took the dispatch of {self._name} in {self._owned}, and then listed no new run of it in {MOST_LOOKS} looks. "
            f"It may run nonetheless.{trouble}",
            hint="Look in GitHub whether the workflow ran, before this run is started again. One that waits long for its turn should run "
            "asynchronously and report by itself.",
        )

    def seen(self, *, patient: bool = True) -> int | None:
        """The run of the dispatch where it is there already. Without patience a failure counts as not there."""
        try:
            fresh = [one for one in self._listed(patient=patient) if self._fresh(one)]
        except RemoteFailed:
            if patient:
                raise
            return None
        own = [one for one in fresh if self._session.actor and _actor(one) == self._session.actor]
        first = min(own or fresh, key=lambda one: (_created(one), one["id"]), default=None)
        if first is None:
            return None
        self._links[first["id"]] = str(first.get("html_url") or "")
        return int(first["id"])

    def look(self, number: int) -> Look:
        """How a run goes, with its jobs."""
        self._session = self._session.renewed()
        found = self._session.service.ask(f"{self._repository}/actions/runs/{number}")
        self._links[number] = str(found.get("html_url") or "")
        status, conclusion = found.get("status"), found.get("conclusion")
        return Look(
            parts=self._jobs(number),
            succeeded=conclusion == "success" if status == "completed" else None,
            user=f"The GitHub workflow {_ENDS.get(str(conclusion), f'ended: {conclusion}')}.",
            system=f"Workflow run {number} is {status}, conclusion {conclusion}: {self.link(number)}",
        )

    def canceled(self, number: int) -> bool:
        """Cancel a run, and whether GitHub takes that."""
        return self._session.service.managed("POST", f"{self._repository}/actions/runs/{number}/cancel")

    def link(self, number: int) -> str:
        """Where people see a run."""
        return self._links.get(number) or f"of {self._owned}"

    def _listed(self, *, patient: bool = True) -> list[Json]:
        runs = self._session.service.ask(f"{self.path}/runs", _LISTED, patient=patient).get("workflow_runs")
        return [one for one in _objects(runs) if isinstance(one.get("id"), int)]

    def _fresh(self, one: Json) -> bool:
        dispatched = one.get("event", "workflow_dispatch") == "workflow_dispatch"
        return dispatched and one["id"] not in self._known and _created(one) >= self._since

    def _jobs(self, number: int) -> tuple[Part, ...]:
        """The jobs so far. They are for showing: the run's own state decides."""
        try:
            found = self._session.service.ask(f"{self._repository}/actions/runs/{number}/jobs", {"per_page": "100"})
        except RemoteFailed:
            return ()
        return tuple(_job(one) for one in _objects(found.get("jobs")) if one.get("id"))


def _job(found: Json) -> Part:
    name, state, conclusion = str(found.get("name") or "unnamed"), found.get("status"), found.get("conclusion")
    status, said = Status.IN_PROGRESS, {"in_progress": "is at work", "queued": "waits"}.get(str(state), f"is {state}")
    if state == "completed":
        status = Status.SUCCEEDED if conclusion in ("success", "skipped", "neutral") else Status.FAILED
        said = {**_ENDS, "skipped": "was skipped"}.get(str(conclusion), f"ended: {conclusion}")
    pairs = (("started_at", "began"), ("completed_at", "ended"))
    times = [f"{word} {found[key]}" for key, word in pairs if found.get(key)]
    about = ", ".join([f"Job {found['id']} is {state}, conclusion {conclusion}", *times])
    return Part(
        id=f"gh-workflow-job-{found['id']}",
        name=f"GitHub Job: {name}",
        status=status,
        user=f"{name} {said}.",
        system=f"{about}: {found.get('html_url') or ''}",
    )


def _objects(found: object) -> list[Json]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _actor(one: Json) -> str:
    actor = one.get("triggering_actor") or one.get("actor")
    return str(actor.get("login", "")) if isinstance(actor, dict) else ""


def _created(one: Json) -> datetime:
    """When a run was made; long ago where GitHub does not say."""
    try:
        moment = datetime.fromisoformat(str(one.get("created_at")))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
