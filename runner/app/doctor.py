"""`lzr doctor`: everything a run depends on, looked at before a run depends on it. Changes nothing in Azure.

A question is asked when its turn comes, so that a face can say what is being looked at. An error that the runner can explain is an
answer: its words say what is wrong, and its hint is the fix.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from runner.domain.diagnosis import Check, Outcome, ok, skipped, wrong
from runner.domain.document import ServicePrincipal
from runner.domain.platform import AzurePlatform
from runner.domain.state import LocalBackend, ManagedBackend, StateBackend
from runner.errors import Canceled, RunnerError
from runner.ports import Azure, Rehearsal, Rights

MACHINE = "this machine"


@dataclass(frozen=True)
class Instruments:
    """What the doctor looks with. `rights` gives an identity of a platform in one Entra tenant; `store` says how the store opened."""

    rehearsal: Rehearsal
    azure: Callable[[AzurePlatform, threading.Event], AbstractContextManager[Azure]]
    rights: Callable[[AzurePlatform, ServicePrincipal, str, threading.Event], Rights]
    store: Callable[[], str]
    now: Callable[[], datetime]


@dataclass(frozen=True)
class Question:
    """One thing to look at; `look` gives an outcome for each part of it."""

    name: str
    about: str
    look: Callable[[], Iterable[Outcome]]

    def answered(self, redact: Callable[[str], str]) -> tuple[Check, ...]:
        """Look, and say how it came out, without anything secret. Only being told to stop ends it otherwise."""
        try:
            outcomes = list(self.look())
        except Canceled:
            raise
        except RunnerError as error:
            outcomes = [wrong(str(error), error.hint)]
        return tuple(
            Check(self.name, self.about, found.state, redact(found.text), redact(found.fix)) for found in outcomes
        )


def of_this_machine(
    platforms: Sequence[AzurePlatform], tools: Instruments, stop: threading.Event
) -> Iterator[Question]:
    """Engine, providers, store, and every state backend that the platforms name; the managed one where there are none."""
    there: list[bool] = []

    def engine() -> Iterator[Outcome]:
        told = ok(tools.rehearsal.engine())
        there.append(True)
        yield told

    def providers() -> Iterator[Outcome]:
        if not there:
            yield skipped("Not looked at: there is no engine.")
            return
        found = tools.rehearsal.providers(stop)
        told = ", ".join(f"{one.source.rpartition('/')[2]} {one.version}" for one in found)
        stand_ins = "; they are the sandbox's stand-ins" if any(one.stand_in for one in found) else ""
        yield ok(f"{told} from {tools.rehearsal.source()}{stand_ins}.")

    yield Question("engine", MACHINE, engine)
    yield Question("providers", MACHINE, providers)
    yield Question("store", MACHINE, lambda: [ok(tools.store())])
    backends: dict[StateBackend, None] = dict.fromkeys(platform.spec.state_backend for platform in platforms)
    for backend in backends or {ManagedBackend(): None}:

        def state(backend: StateBackend = backend) -> Iterator[Outcome]:
            yield _of_state(backend, tools, stop) if there else skipped("Not looked at: there is no engine.")

        yield Question("state-backend", MACHINE, state)


def _of_state(backend: StateBackend, tools: Instruments, stop: threading.Event) -> Outcome:
    locked = tools.rehearsal.state(backend, stop)
    place = backend.directory if isinstance(backend, LocalBackend) else ""
    told = f"{backend.type}{' in ' + place if place else ''}"
    if not locked:
        return wrong(
            f"{told}: a state was written and read back, but a second engine got in while it was locked.",
            "Use a state backend that locks; stateBackend: {type: managed} does.",
        )
    return ok(f"{told}: a state was written, locked against a second engine, read back and removed.")
