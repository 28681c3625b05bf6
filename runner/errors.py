"""Five families of errors; the family says who must act next.

An error carries a constant kebab-case `code` and `summary` (the same for one kind of problem, without anybody's names), a
`detail` in full sentences that may name things, and a `hint`: a command or a sentence that says what to do. Detail and hint are
shown to people and stored with runs, so neither may ever hold a secret. Anything else that is raised is a bug: the run fails with
`internal-error` and the traceback goes to the log only.
"""

from __future__ import annotations


class RunnerError(Exception):
    """Something the runner can explain. Raise one of the five families, never this."""

    family = "internal-error"
    exit_code = 70
    http_status = 500

    def __init__(self, summary: str, *, code: str, detail: str = "", hint: str = "") -> None:
        super().__init__(summary)
        self.summary = summary
        self.code = code
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.summary}: {self.detail}" if self.detail else self.summary


class InputError(RunnerError):
    """A document, argument or setting is wrong: its author acts."""

    family = "input"
    exit_code = 2
    http_status = 422


class Refused(RunnerError):
    """Not now, or not by you: the reviewer acts, or the moment passes."""

    family = "refused"
    exit_code = 3
    http_status = 409


class EngineFailed(RunnerError):
    """Terraform or OpenTofu could not do it: the author of the module acts."""

    family = "engine"
    exit_code = 4
    http_status = 502


class RemoteFailed(RunnerError):
    """Azure, Graph, the function or the store did not answer as it should: operations act.

    `temporary` says whether the same request may succeed later; adapters retry only then.
    """

    family = "remote"
    exit_code = 5
    http_status = 503

    def __init__(
        self,
        summary: str,
        *,
        code: str,
        detail: str = "",
        hint: str = "",
        temporary: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(summary, code=code, detail=detail, hint=hint)
        self.temporary = temporary
        self.status = status


class Canceled(RunnerError):
    """A person asked to stop: nobody acts."""

    family = "canceled"
    exit_code = 130
    http_status = 409

    def __init__(self, summary: str = "Canceled", *, code: str = "canceled", detail: str = "", hint: str = "") -> None:
        super().__init__(summary, code=code, detail=detail, hint=hint)
