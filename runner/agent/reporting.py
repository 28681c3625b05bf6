"""What meshStack is told of a run while it goes on: changed steps with their full text, at least every ten seconds.

meshStack puts steps over those of the same id and a message over the one before, so a step is always told whole and only when it
changed. Its answer is how an abort is noticed. Everything that leaves here went through the redactor.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from runner.agent.contract import Status
from runner.agent.meshapi import Claim, Heard, MeshApi

TICK = 1.0  # seconds between reports of what goes on
HEARTBEAT = 10.0
_HEAD, _TAIL = 128 * 1024, 384 * 1024  # characters of a step's text; what lies between is left out
_LONGEST_MESSAGE = 8 * 1024
_FINAL_PATIENCE = 600.0  # seconds for the last report, which nothing follows
_MANY = 50  # steps, which the API asks not to exceed


class Text:
    """A growing text of which beginning and end are kept."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._room = _HEAD
        self._tail: deque[str] = deque()
        self._held = 0
        self._dropped = 0

    def add(self, line: str) -> None:
        """One more line."""
        line = line.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_TAIL]
        if not self._tail and not self._dropped and len(line) < self._room:
            self._head.append(line)
            self._room -= len(line) + 1
            return
        self._tail.append(line)
        self._held += len(line) + 1
        while self._held > _TAIL and len(self._tail) > 1:
            self._held -= len(self._tail[0]) + 1
            self._dropped += 1
            self._tail.popleft()

    def __str__(self) -> str:
        cut = [f"… {self._dropped} lines are left out here …"] if self._dropped else []
        return "\n".join([*self._head, *cut, *self._tail])


@dataclass
class Step:
    """How a step stands, and whether meshStack knows that."""

    id: str
    name: str
    status: Status = Status.PENDING
    user: str = ""
    text: Text = field(default_factory=Text)
    outputs: Mapping[str, Any] | None = None
    version: int = 1
    told: int = 0

    def as_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"id": self.id, "displayName": self.name, "status": self.status.value}
        if self.user:
            body["userMessage"] = self.user[:_LONGEST_MESSAGE]
        if text := str(self.text):
            body["systemMessage"] = text
        if self.outputs is not None:
            body["outputs"] = dict(self.outputs)
        return body


class Reporter:
    """Tells meshStack of one run. `stop` is set when somebody aborted it. Safe to use from several threads."""

    def __init__(
        self,
        api: MeshApi,
        claim: Claim,
        *,
        redact: Callable[[str], str],
        stop: threading.Event,
        wanted_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._api = api
        self._claim = claim
        self._redact = redact
        self._stop = stop
        self._wanted_stop = wanted_stop
        self._steps: dict[str, Step] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._keep_telling, name=f"report-{claim.run[:8]}", daemon=True)
        self.aborted = False

    # --- what is told

    def expect(self, steps: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """The steps that are to come, by id and name, as they are registered."""
        with self._lock:
            for step, name in steps:
                self._steps[step] = Step(step, name)
                self._steps[step].told = 1
            return [step.as_json() for step in self._steps.values()]

    def step(
        self,
        id: str,  # noqa: A002 - as the API names it
        name: str,
        status: Status,
        *,
        user: str = "",
        system: str = "",
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """A step as a whole: `system` takes the place of the text it had."""
        with self._lock:
            if id not in self._steps and len(self._steps) >= _MANY:
                return
            step = self._steps.setdefault(id, Step(id, name))
            step.status = status
            step.user = self._redact(user) or step.user
            if system:
                step.text = Text()
                for line in system.splitlines():
                    step.text.add(self._redact(line))
            step.outputs = outputs if outputs is not None else step.outputs
            step.version += 1
        self._wake.set()

    def lines(self, id: str, texts: Sequence[str]) -> None:  # noqa: A002
        """More of a step's text."""
        if texts:
            redacted = self._redact("\n".join(texts)).split("\n")  # together: a secret may have several lines
            with self._lock:
                step = self._steps[id]
                for line in redacted:
                    step.text.add(line)
                step.version += 1
            self._wake.set()

    def fail_from(self, id: str, *, user: str, system: str) -> None:  # noqa: A002
        """The step and all later ones have failed."""
        with self._lock:
            names = list(self._steps)
            for place, name in enumerate(names[names.index(id) if id in names else 0 :]):
                step = self._steps[name]
                step.status = Status.FAILED
                if place == 0:
                    step.user = self._redact(user)
                    for line in system.splitlines():
                        step.text.add(self._redact(line))
                else:
                    step.text.add("An earlier step failed.")
                step.version += 1

    # --- how it is told

    def start(self) -> None:
        """Begin to tell: at once, then whenever something changed."""
        self._wake.set()
        self._thread.start()

    def finish(self, status: Status, **more: Any) -> Heard:
        """The last report: everything not told yet, with `more` fields beside. Repeated until it is taken or ten minutes are over."""
        self._over.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.aborted:
            return Heard(taken=True, aborted=True)
        deadline, pause = monotonic() + _FINAL_PATIENCE, 1.0
        extra = {name: self._redact(value) if name == "summary" else value for name, value in more.items()}
        while True:
            heard = self._tell({"status": status.value, **extra})
            if heard.status == 413 and "artifact" in extra:
                status, extra = Status.FAILED, {"summary": "The plan is too large for meshStack to keep."}
            elif heard.status == 400 and status is Status.ABORTED:
                status = Status.FAILED
            if heard.taken or monotonic() > deadline:
                return heard
            threading.Event().wait(heard.retry_after or pause)
            pause = min(pause * 2, 30.0)

    def tell_end(self, status: Status, **more: Any) -> Heard:
        """The last report of a run that somebody else had begun, once."""
        return self._tell({"status": status.value, **more})

    def _keep_telling(self) -> None:
        last = 0.0
        while not self._over.is_set():
            self._wake.wait(TICK)  # also to look whether somebody wants it to stop
            if self._over.is_set():
                return
            self._wake.clear()
            if self._wanted_stop():
                self._stop.set()
            with self._lock:
                fresh = any(step.version != step.told for step in self._steps.values())
            if not fresh and last and monotonic() - last < HEARTBEAT:
                continue
            heard = self._tell({"status": Status.IN_PROGRESS.value})
            last = monotonic()
            if heard.aborted:
                self.aborted = True
                self._stop.set()
                return
            self._over.wait(min(heard.retry_after, 60.0) if heard.retry_after else TICK)

    def _tell(self, body: dict[str, Any]) -> Heard:
        with self._lock:
            changed = [step for step in self._steps.values() if step.version != step.told]
            sent = [(step, step.version, step.as_json()) for step in changed]
        heard = self._api.report(self._claim, {**body, "steps": [content for _, _, content in sent]})
        if heard.taken:
            with self._lock:
                for step, at, _ in sent:
                    step.told = at
        return heard
