"""What can go wrong on purpose: throttling, lag, failures, slowness, dropped connections, operations that fail late.

A fault is a value; `Faults` holds those that are switched on and counts how often each has struck. Knows which calls a
fault matches and what it does to them, not how the server carries it out.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar, assert_never

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from runner.errors import InputError
from runner.sandbox.azure.hosts import Service
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, rejected


class Matching(BaseModel):
    """Which calls: all of them, or those of a service, a method, a path; after some, and only so often."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    service: Literal["login", "arm", "graph", "function"] | None = None
    method: str | None = None
    path: str | None = None
    """A regular expression, searched in the decoded path and query, in any case."""
    after: Annotated[int, Field(ge=0)] = 0
    """So many matching calls pass first."""
    times: Annotated[int, Field(ge=1)] | None = None
    """So often it strikes; left out, until it is taken away."""

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str | None) -> str | None:
        try:
            re.compile(path or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return path

    def matches(self, service: Service, call: Call) -> bool:
        """Whether the call is one of those meant."""
        return (
            self.service in (None, service)
            and (self.method is None or self.method.upper() == call.method)
            and (self.path is None or re.search(self.path, call.described(), re.IGNORECASE) is not None)
        )


class Throttle(Matching):
    """429 with Retry-After. With `bucket`, Resource Manager's own way: so many calls, refilled by `refill` a second, per
    subscription and caller (published: reads 250 and 25, writes and deletes 200 and 10)."""

    kind: Literal["throttle"] = "throttle"
    retry_after: Annotated[int, Field(ge=0)] = 1
    bucket: Annotated[int, Field(ge=1)] | None = None
    refill: Annotated[float, Field(gt=0)] = 10


class Fail(Matching):
    """An error instead of the effect."""

    kind: Literal["fail"] = "fail"
    status: Annotated[int, Field(ge=400, le=599)] = 500
    code: str = "InternalServerError"
    message: str = "The sandbox was told to fail this call."
    body: Any = None
    """Instead of the service's own error body."""


class Slow(Matching):
    """The answer takes its time."""

    kind: Literal["slow"] = "slow"
    seconds: Annotated[float, Field(gt=0)]


class Drop(Matching):
    """The connection is cut: before anything happened, or after the effect and before the answer."""

    kind: Literal["drop"] = "drop"
    when: Literal["before", "after"] = "before"


class Change(BaseModel):
    """A call by somebody in the portal, who may do everything; `tenant` for Graph, where it is not the workload tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = "PUT"
    path: Annotated[str, Field(pattern="^/")]
    body: Any = None
    tenant: str | None = None


class Meanwhile(Matching):
    """Somebody changes something between this call's effect and the next call."""

    kind: Literal["meanwhile"] = "meanwhile"
    change: Change


class LateFailure(BaseModel):
    """How an operation ends when it fails."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = "DeploymentFailed"
    message: str = "The sandbox was told to fail this operation."


class Slowly(Matching):
    """A write that Azure takes on and finishes later, well or badly: `Azure-AsyncOperation` for PUT, `Location` for DELETE."""

    kind: Literal["operation"] = "operation"
    polls: Annotated[int, Field(ge=0)] = 1
    error: LateFailure | None = None


class Lag(BaseModel):
    """A new object is there, and is not seen yet: by directory reads, or by role assignments."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    kind: Literal["lag"] = "lag"
    of: Literal["users", "groups", "everything"] = "everything"
    hidden_from: Literal["directory", "roleAssignments"] = "roleAssignments"
    reads: Annotated[int, Field(ge=0)] = 1
    """So many reads do not see it."""
    seconds: Annotated[float, Field(ge=0)] = 0
    """And none does before so much time has passed."""


Fault = Annotated[Throttle | Fail | Slow | Drop | Meanwhile | Slowly | Lag, Field(discriminator="kind")]
AnyFault = Throttle | Fail | Slow | Drop | Meanwhile | Slowly | Lag
_FAULT: TypeAdapter[AnyFault] = TypeAdapter(Fault)
_M = TypeVar("_M", bound=Matching)


def read_fault(mapping: Any) -> AnyFault:
    """Check one fault given as plain data."""
    try:
        return _FAULT.validate_python(mapping)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "fault"
        raise InputError("The fault is wrong", code="fault-invalid", detail=f"{key}: {first['msg']}.") from error


@dataclass
class _Active:
    fault: AnyFault
    seen: int = 0
    struck: int = 0
    buckets: dict[str, tuple[float, datetime]] = field(default_factory=dict)


@dataclass
class _Veil:
    """What hides one new object from one kind of reader."""

    reads: int
    until: datetime


@dataclass
class Effects:
    """What the faults that struck do to one call."""

    delay: float = 0.0
    drop: Literal["before", "after"] | None = None
    answer: Answer | None = None
    meanwhile: list[Change] = field(default_factory=list)


class Faults:
    """The faults that are switched on. Guarded by the world's lock, like all else in the sandbox."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._active: dict[str, _Active] = {}
        self._veils: dict[tuple[str, str], _Veil] = {}

    def add(self, fault: AnyFault) -> str:
        """Switch a fault on and return the id under which it can be taken away."""
        fault_id = uuid.uuid4().hex[:8]
        self._active[fault_id] = _Active(fault)
        return fault_id

    def load(self, mappings: Sequence[Mapping[str, Any]]) -> list[str]:
        """Switch on exactly these faults; when one is wrong, nothing changes."""
        wanted = [read_fault(mapping) for mapping in mappings]
        self.clear()
        return [self.add(fault) for fault in wanted]

    def clear(self, fault_id: str | None = None) -> bool:
        """Take one fault away, or all; what is hidden already stays so unless all are. Return whether there was one."""
        if fault_id is not None:
            return self._active.pop(fault_id, None) is not None
        found = bool(self._active)
        self._active.clear()
        self._veils.clear()
        return found

    def as_list(self) -> list[Json]:
        """The faults that are on, and how often each struck."""
        return [
            {"id": key, **held.fault.model_dump(by_alias=True), "struck": held.struck}
            for key, held in self._active.items()
        ]

    def strike(self, service: Service, call: Call, caller: str) -> Effects:
        """Return what the faults do to this call, and count it."""
        effects = Effects()
        for held in self._active.values():
            match held.fault:
                case Throttle() as fault if fault.bucket is not None:
                    if fault.matches(service, call) and effects.answer is None:
                        effects.answer = self._from_bucket(
                            held, fault.bucket, fault.refill, service, _bucket_of(call, caller)
                        )
                case Throttle() as fault if effects.answer is None and self._hits(held, fault, service, call):
                    effects.answer = self._throttled(service, fault.retry_after)
                case Fail() as fault if effects.answer is None and self._hits(held, fault, service, call):
                    error = Rejection(fault.status, fault.code, fault.message)
                    effects.answer = (
                        rejected(service, error, now=self._now())
                        if fault.body is None
                        else Answer(fault.status, fault.body)
                    )
                case Slow() as fault if self._hits(held, fault, service, call):
                    effects.delay += fault.seconds
                case Drop() as fault if self._hits(held, fault, service, call):
                    effects.drop = fault.when
                case Meanwhile() as fault if self._hits(held, fault, service, call):
                    effects.meanwhile.append(fault.change)
                case _:
                    pass  # lag and slow operations strike where an object or an operation is made
        return effects

    def operation(self, call: Call) -> Slowly | None:
        """Return how Azure takes its time over this write, when it was told to."""
        for held in self._active.values():
            if isinstance(held.fault, Slowly) and self._hits(held, held.fault, "arm", call):
                return held.fault
        return None

    def created(self, kind: Literal["users", "groups"], object_id: str) -> None:
        """A new directory object: hide it as the lags that are on say."""
        for held in self._active.values():
            if isinstance(held.fault, Lag) and held.fault.of in (kind, "everything"):
                held.struck += 1
                self.hide(object_id, held.fault)

    def hide(self, object_id: str, lag: Lag) -> None:
        """Hide an object that exists already, as if it were new."""
        self._veils[object_id.lower(), lag.hidden_from] = _Veil(lag.reads, self._now() + timedelta(seconds=lag.seconds))

    def visible(self, object_id: str, to: Literal["directory", "roleAssignments"]) -> bool:
        """Whether a reader sees the object by now; each look that does not is one of the `reads`."""
        veil = self._veils.get((object_id, to))
        if veil is None:
            return True
        if veil.reads <= 0 and self._now() >= veil.until:
            del self._veils[object_id, to]
            return True
        veil.reads -= 1
        return False

    def _hits(self, held: _Active, fault: Matching, service: Service, call: Call) -> bool:
        if not fault.matches(service, call) or (fault.times is not None and held.struck >= fault.times):
            return False
        held.seen += 1
        if held.seen <= fault.after:
            return False
        held.struck += 1
        return True

    def _from_bucket(self, held: _Active, size: int, refill: float, service: Service, key: str) -> Answer | None:
        now = self._now()
        level, since = held.buckets.get(key, (float(size), now))
        level = min(float(size), level + (now - since).total_seconds() * refill)
        if level >= 1:
            held.buckets[key] = (level - 1, now)
            return None
        held.buckets[key] = (level, now)
        held.struck += 1
        return self._throttled(service, max(1, math.ceil((1 - level) / refill)))

    def _throttled(self, service: Service, retry_after: int) -> Answer:
        match service:
            case "graph":
                error = Rejection(429, "TooManyRequests", "Too many requests.")
            case "login":
                error = Rejection(429, "temporarily_unavailable", "The service is throttled.", more={"number": 90055})
            case "arm" | "function" | "sandbox":
                error = Rejection(
                    429, "TooManyRequests", f"The request is being throttled. Please retry after {retry_after} seconds."
                )
            case _:
                assert_never(service)
        answer = rejected(service, error, now=self._now())
        return Answer(answer.status, answer.body, {"Retry-After": str(retry_after)})


def _bucket_of(call: Call, caller: str) -> str:
    """Each caller has a bucket per subscription, and one for calls outside of any."""
    in_subscription = len(call.segments) > 1 and call.segments[0].lower() == "subscriptions"
    return f"{call.segments[1].lower() if in_subscription else ''}|{caller}"
