"""What a pipeline gets of a command: how every tenant stands, in a shape that programs read. Knows no store and no CI."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from runner.cli import WAITING
from runner.domain.review import Review
from runner.domain.run import Run, Status
from runner.errors import InputError, RunnerError

VERSION = 1
_LARGEST = 64 * 1024 * 1024
_OVERALL = {0: "done", 2: "wrong-input", 3: "refused", WAITING: "waiting", 130: "canceled"}


@dataclass(frozen=True)
class Stand:
    """How one run stands. `review` gives what it would do, None where there is none; `url` is its page, where a server has one."""

    run: Run
    review: Callable[[], Review | None]
    url: str = ""


@dataclass(frozen=True)
class Outcome:
    """All of it. `refused` are tenants of which no run may begin now, with the reason; `error` is why nothing began at all, or why it
    ended early."""

    stands: tuple[Stand, ...]
    exit_code: int
    refused: tuple[tuple[str, RunnerError], ...] = ()
    error: RunnerError | None = None

    @property
    def overall(self) -> str:
        """`done`, `waiting`, `wrong-input`, `refused`, `canceled` or `failed`."""
        return _OVERALL.get(self.exit_code, "failed")

    @property
    def changes(self) -> bool:
        """Whether something waits to be applied: for a person's approval, or approved already."""
        return any(stand.run.status in (Status.WAITING, Status.APPROVED) for stand in self.stands)

    def as_json(self) -> dict[str, Any]:
        """The shape of `--result`; the README documents it."""
        return {
            "version": VERSION,
            "overall": self.overall,
            "exitCode": self.exit_code,
            "changes": self.changes,
            "counts": _total(stand.run.counts for stand in self.stands),
            "runs": [_of_run(stand) for stand in self.stands],
            "refused": [{"tenant": tenant, "error": error_json(why)} for tenant, why in self.refused],
            "error": None if self.error is None else error_json(self.error),
        }


def _total(each: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in each:
        total.update(counts)  # unlike +, which leaves out what is none
    return dict(total)


def error_json(error: RunnerError) -> dict[str, str]:
    """An error as JSON has it everywhere."""
    return {
        "family": error.family,
        "code": error.code,
        "summary": error.summary,
        "detail": error.detail,
        "hint": error.hint,
    }


def _of_run(stand: Stand) -> dict[str, Any]:
    run, review = stand.run, stand.review()
    return {
        "id": run.id,
        "tenant": run.tenant,
        "landingZone": run.landing_zone,
        "behavior": run.behavior,
        "status": run.status,
        "digest": run.digest,
        "counts": run.counts,
        "risks": [risk.model_dump() for risk in review.risks] if review is not None else [],
        "warnings": [warning.model_dump() for warning in review.warnings] if review is not None else [],
        "confirmDelete": [held.resource_group for held in review.contents] if review is not None else [],
        "failure": None if run.failure is None else run.failure.model_dump(),
        "url": stand.url or None,
    }


class Planned(BaseModel):
    """A run as an earlier `--result` names it."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)

    id: str
    tenant: str
    status: Status
    digest: str


class _Result(BaseModel):
    version: Literal[1]
    runs: tuple[Planned, ...]


def planned(file: Path) -> Sequence[Planned]:
    """The runs of an earlier result. InputError where the file is none."""
    try:
        content = file.read_bytes() if file.stat().st_size <= _LARGEST else b""
        return _Result.model_validate(json.loads(content)).runs
    except OSError as error:
        raise _no_result(file, error.strerror or type(error).__name__) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _no_result(file, f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise _no_result(file, "it is not JSON") from None


def _no_result(file: Path, why: str) -> InputError:
    return InputError(
        "This is no result of a plan",
        code="no-result",
        detail=f"{file}: {why}.",
        hint="Give the file that lzr ci plan --result wrote.",
    )
