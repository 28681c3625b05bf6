"""What people decide about a run. A form leads back to the run; one that is refused says why, and loses nothing that was typed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import RedirectResponse, Response

from runner.domain.run import Run, Status
from runner.errors import Refused
from runner.web.desk import Desk
from runner.web.pages import comparing, runs
from runner.web.pages.routing import Approving, Operating, router

Comment = Annotated[str, Form(max_length=2000)]


@router.post("/runs/{run_id}/approve")
def approve(
    request: Request,
    run_id: str,
    desk: Approving,
    digest: Annotated[str, Form(min_length=64, max_length=64)],
    comment: Comment = "",
    confirmed: Annotated[str, Form(max_length=5000)] = "",
    apply: Annotated[bool, Form()] = False,
) -> Response:
    """Approve exactly what the form was shown with."""
    try:
        desk.approve(run_id, digest=digest, confirmed=confirmed.split(), comment=comment, apply=apply)
    except Refused as refused:
        return _refused(request, desk, run_id, refused, digest=digest, comment=comment)
    return _back(run_id)


@router.post("/runs/{run_id}/reject")
def reject(request: Request, run_id: str, desk: Approving, comment: Comment = "") -> Response:
    """Reject it."""
    try:
        desk.reject(run_id, comment=comment)
    except Refused as refused:
        return _refused(request, desk, run_id, refused, comment=comment)
    return _back(run_id)


@router.post("/runs/{run_id}/apply")
def apply(request: Request, run_id: str, desk: Operating) -> Response:
    """Have it applied."""
    try:
        desk.apply(run_id)
    except Refused as refused:
        return _refused(request, desk, run_id, refused)
    return _back(run_id)


@router.post("/runs/{run_id}/cancel")
def cancel(request: Request, run_id: str, desk: Operating) -> Response:
    """Stop it."""
    try:
        desk.cancel(run_id)
    except Refused as refused:
        return _refused(request, desk, run_id, refused)
    return _back(run_id)


def _back(run_id: str) -> Response:
    return RedirectResponse(f"/runs/{run_id}", 303)


def _refused(
    request: Request, desk: Desk, run_id: str, refused: Refused, *, digest: str = "", comment: str = ""
) -> Response:
    """The run as it is now, with why it was refused, and what is different from what the form was shown with."""
    if refused.code == "not-allowed":
        raise refused
    run = desk.run(run_id)
    newer = _newer(desk, run)
    seen = desk.review(run_id, digest=digest) if digest else None
    now = desk.review(newer.id) if newer is not None else desk.review(run_id)
    moved = seen is not None and now is not None and (newer is not None or digest != run.digest)
    different = comparing.compared(seen, now) if moved and seen is not None and now is not None else ()
    more = {"refused": refused, "comment": comment, "newer": newer, "different": different if moved else None}
    return runs.shown(request, desk, run, more=more, status=409)


def _newer(desk: Desk, run: Run) -> Run | None:
    """The run that took this one's place and waits."""
    if run.status is not Status.SUPERSEDED:
        return None
    return next(iter(desk.runs(tenant=run.tenant, statuses=(Status.WAITING,), limit=1)), None)
