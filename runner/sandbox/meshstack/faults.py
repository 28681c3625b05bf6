"""What can go wrong on purpose. A fault is a value; `Faults` holds those that are switched on and counts how often each has struck."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from runner.errors import InputError
from runner.sandbox.meshstack.wire import Call


class Fault(BaseModel):
    """`status` answers with it, `slow` takes its time, `drop` cuts the connection: before the effect, or after it. `expire` makes
    tokens invalid: at once, or where a path is given just before a call to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    kind: Literal["status", "slow", "drop", "expire"]
    path: str | None = None
    """A regular expression, searched in the decoded path."""
    method: str | None = None
    status: Annotated[int, Field(ge=300, le=599)] = 503
    seconds: Annotated[float, Field(ge=0)] = 1
    retry_after: Annotated[int, Field(ge=0)] | None = None
    when: Literal["before", "after"] = "before"
    skip: Annotated[int, Field(ge=0)] = 0
    """So many matching calls pass first."""
    times: Annotated[int, Field(ge=1)] | None = None
    """So often it strikes; left out, until it is mended."""
    tokens: Literal["keys", "runs"] = "keys"

    @field_validator("path")
    @classmethod
    def _compiles(cls, path: str | None) -> str | None:
        try:
            re.compile(path or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return path

    def matches(self, call: Call) -> bool:
        """Whether the call is one of those meant."""
        return (self.method is None or self.method.upper() == call.method) and (
            self.path is None or re.search(self.path, call.path) is not None
        )


def read_fault(given: Any) -> Fault:
    """Check one fault given as plain data."""
    try:
        return Fault.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "fault"
        raise InputError("The fault is wrong", code="fault-invalid", detail=f"{key}: {first['msg']}.") from error


@dataclass
class _Active:
    fault: Fault
    seen: int = 0


@dataclass
class Faults:
    """The faults that are switched on. Guarded by meshStack's lock."""

    _active: list[_Active] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Switch one on; the earlier of two that match strikes."""
        self._active.append(_Active(fault))

    def clear(self) -> None:
        """Mend everything."""
        self._active.clear()

    def striking(self, call: Call) -> Fault | None:
        """The fault that this call meets; one that has struck often enough is gone."""
        for one in [found for found in self._active if found.fault.matches(call)]:
            one.seen += 1
            if one.seen <= one.fault.skip:
                continue
            if one.fault.times is not None and one.seen - one.fault.skip >= one.fault.times:
                self._active.remove(one)
            return one.fault
        return None
