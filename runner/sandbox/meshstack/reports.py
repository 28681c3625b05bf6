"""What a source may say about a run: read strictly, for meshStack takes nothing else."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from runner.sandbox.meshstack.wire import Json, Rejection

Status = Literal["PENDING", "IN_PROGRESS", "SUCCEEDED", "FAILED", "ABORTED"]


class _Said(BaseModel):
    # meshStack ignores properties that it does not know
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Output(_Said):
    """One output of a step."""

    value: Any
    type: Literal["STRING", "CODE", "INTEGER", "BOOLEAN"]
    is_sensitive: StrictBool = False


class Step(_Said):
    """One step; what is left out stays as it was."""

    id: StrictStr
    display_name: StrictStr | None = None
    status: Status | None = None
    user_message: StrictStr | None = None
    system_message: StrictStr | None = None
    outputs: dict[str, Output] | None = None


class Report(BaseModel):
    """The body of a status report."""

    model_config = ConfigDict(frozen=True)

    status: Status | None = None
    steps: list[Json] = []
    summary: StrictStr | None = None
    artifact: StrictStr | None = None
    changes_detected: StrictBool | None = None


class _Sent(_Said):
    status: Status | None = None
    steps: list[Step] | None = None
    summary: StrictStr | None = None
    artifact: StrictStr | None = None
    changes_detected: StrictBool | None = None


_STEPS: TypeAdapter[list[Step]] = TypeAdapter(list[Step])


def read_report(body: Json) -> Report:
    """A report; a 400 where it is none, and the real server's 500 for a run that is said to be PENDING."""
    if body.get("status") == "PENDING":
        raise Rejection(500, "the run itself was reported as PENDING")
    try:
        sent = _Sent.model_validate(body)
    except ValidationError as error:
        raise _refusal(error) from None
    return Report(**sent.model_dump(exclude={"steps"}), steps=[_plain(step) for step in sent.steps or ()])


def read_steps(given: Any) -> list[Json]:
    """The steps of a registration; there may be none."""
    try:
        return [_plain(step) for step in _STEPS.validate_python(given or [])]
    except ValidationError as error:
        raise _refusal(error) from None


def _plain(step: Step) -> Json:
    return step.model_dump(by_alias=True, exclude_none=True)


def _refusal(error: ValidationError) -> Rejection:
    first = error.errors(include_url=False, include_input=False)[0]
    return Rejection(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
