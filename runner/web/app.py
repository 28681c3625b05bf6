"""The application: routes of page and API, and how errors are answered on each."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from runner.errors import RunnerError
from runner.web.gate import Gate
from runner.web.problems import MEDIA_TYPE, problem, status_of
from runner.web.server import Server

log = logging.getLogger("lzr")


def build(server: Server, gate: Gate) -> FastAPI:
    """The application for this server. Functions that answer are synchronous and run in threads, as everything they call."""
    app = FastAPI(title="landing-zone-runner", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.server = server
    app.state.gate = gate
    app.add_exception_handler(RunnerError, _explained)
    app.add_exception_handler(Exception, _bug)
    app.add_api_route("/healthz", _healthy, include_in_schema=False)
    return app


def _healthy() -> Response:
    """That the process answers. Whether the store does is for `lzr doctor` to say: a server without it is not mended by a restart."""
    return PlainTextResponse("ok\n")


async def _explained(request: Request, error: Exception) -> Response:
    assert isinstance(error, RunnerError)  # noqa: S101 - as it was registered
    headers = {"WWW-Authenticate": "Bearer"} if status_of(error) == 401 else None
    return JSONResponse(problem(error), status_of(error), headers, media_type=MEDIA_TYPE)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("request_failed", exc_info=error, extra={"path": request.url.path})
    found = RunnerError("The server has a bug", code="internal-error", hint="Its log says where.")
    return JSONResponse(problem(found), 500, media_type=MEDIA_TYPE)
