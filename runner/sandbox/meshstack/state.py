"""Terraform state that meshStack keeps for building blocks, and its lock."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runner.sandbox.meshstack.wire import Answer, Call, Json, Rejection

Place = tuple[str, str]
"""Workspace and block."""


@dataclass(frozen=True)
class Lock:
    """Who holds a state: the info as it was sent, and the run, or nobody's run where a person holds it."""

    info: Json
    run: str
    principal: str
    created: datetime

    def described(self) -> Json:
        """As `GET …/lock` shows it."""
        holder = {"principal": self.principal, **({"runUuid": self.run} if self.run else {})}
        return {
            "lockInfo": self.info,
            "holder": holder,
            "createdOn": self.created.isoformat().replace("+00:00", "Z"),
        }


@dataclass
class States:
    """All states and locks. Guarded by meshStack's lock."""

    now: Callable[[], datetime]
    complain: Callable[[str], None]
    _states: dict[Place, bytes] = field(default_factory=dict)
    _locks: dict[Place, Lock] = field(default_factory=dict)
    _written: dict[Place, int] = field(default_factory=dict)

    def state(self, call: Call, place: Place) -> Answer:
        """Read, write or delete a state."""
        match call.method:
            case "GET":
                if place not in self._states:
                    raise Rejection(404, "there is no state yet", blame=False)
                return Answer(200, self._states[place], {"Content-Type": "application/json"})
            case "POST":
                self._write(call, place)
                return Answer(200)
            case "DELETE":
                self._refuse_locked(call, place)
                self._states.pop(place, None)
                return Answer(200)
        raise Rejection(405, f"a state knows no {call.method}")

    def lock(self, call: Call, place: Place, run: str) -> Answer:
        """Take, release or show the lock of a state."""
        held = self._locks.get(place)
        match call.method:
            case "GET":
                if held is None:
                    raise Rejection(404, "the state is not locked", blame=False)
                return Answer(200, held.described())
            case "POST":
                info = _info(call)
                if held is not None:
                    raise Rejection(423, "the state is locked", body=held.info, blame=False)
                self._locks[place] = Lock(info, run, "runner", self.now())
                return Answer(200)
            case "DELETE":
                return self._release(call, place, held)
        raise Rejection(405, f"a lock knows no {call.method}")

    def hold(self, place: Place, info: Json, *, principal: str, run: str = "") -> None:
        """Lock a state for a person or for a run that has gone, whoever holds it."""
        self._locks[place] = Lock(info, run, principal, self.now())

    def release(self, place: Place) -> None:
        """Unlock a state whoever holds it."""
        self._locks.pop(place, None)

    def put(self, place: Place, state: Json) -> None:
        """Set a state from outside."""
        self._states[place] = json.dumps(state).encode()

    def described(self, place: Place) -> Json:
        """What is kept, and who holds it."""
        held, state = self._locks.get(place), self._states.get(place)
        return {
            "state": None if state is None else json.loads(state),
            "lock": None if held is None else held.described(),
            "writes": self._written.get(place, 0),
        }

    def _write(self, call: Call, place: Place) -> None:
        if call.content_type != "application/json":
            raise Rejection(415, "a state is written as application/json")
        call.json()
        wanted = call.headers.get("content-md5")
        if wanted and wanted != base64.b64encode(hashlib.md5(call.body, usedforsecurity=False).digest()).decode():
            raise Rejection(400, "Content-MD5 is not that of the body")
        self._refuse_locked(call, place)
        self._states[place] = call.body
        self._written[place] = self._written.get(place, 0) + 1

    def _refuse_locked(self, call: Call, place: Place) -> None:
        """Whether the real server looks at `ID` is not known; a runner that writes against somebody's lock is wrong in any case."""
        held, given = self._locks.get(place), call.query.get("ID")
        if held is not None and held.info["ID"] != given:
            raise Rejection(423, "the state was written without its lock", body=held.info)
        if held is None and given:
            self.complain(f"{call.method} {call.path}: the state was written with the lock {given}, which is not held")

    def _release(self, call: Call, place: Place, held: Lock | None) -> Answer:
        info = _info(call)
        if held is None:
            raise Rejection(404, "the state is not locked")
        if held.info["ID"] != info["ID"]:
            raise Rejection(423, "the lock of somebody else was to be released", body=held.info)
        del self._locks[place]
        return Answer(200)


def _info(call: Call) -> dict[str, Any]:
    info = call.json()
    if not isinstance(info.get("ID"), str) or not info["ID"]:
        raise Rejection(400, "the lock info has no ID")
    return info
