"""The application: routes of page and API, and how errors are answered on each."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Match

from runner.documents.problems import dotted
from runner.errors import InputError, RunnerError
from runner.web import hooks, pages, sign_in
from runner.web.api import openapi
from runner.web.api.routes import router as api
from runner.web.api.streams import Streams
from runner.web.gate import Gate, desk_of
from runner.web.hooks import Hooks
from runner.web.pages.rendering import page, static_files
from runner.web.problems import MEDIA_TYPE, problem, status_of
from runner.web.protection import HEALTH, HOOKS, STATIC, Origin, Protection, path_of
from runner.web.rates import Rates, TooMany
from runner.web.server import Server
from runner.web.sign_in import SigningIn
from runner.web.watch import turned_away

log = logging.getLogger("lzr")

_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}  # the address changes with the content
PUBLIC = frozenset(
    {
        HEALTH,
        STATIC + "{name}",
        HOOKS + "{name}",
        "/sign-in",
        "/sign-in/begin",
        "/sign-in/callback",
        "/sign-in/show",
        "/sign-out",
    }
)
"""Paths that need nobody to be signed in. Every other route has a `Needs`."""


@dataclass(frozen=True)
class Entrance:
    """How people and programs come in."""

    gate: Gate
    origin: Origin
    rates: Rates
    signing_in: SigningIn
    hooks: Hooks


def build(server: Server, entrance: Entrance) -> FastAPI:
    """The application for this server. Functions that answer are synchronous and run in threads, as everything they call."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.server = server
    app.state.gate = entrance.gate
    app.state.origin = entrance.origin
    app.state.rates = entrance.rates
    app.state.signing_in = entrance.signing_in
    app.state.hooks = entrance.hooks
    app.state.streams = Streams()
    for kind, answer in (
        (RunnerError, _explained),
        (RequestValidationError, _wrong),
        (HTTPException, _of_framework),
    ):
        app.add_exception_handler(kind, answer)
    app.add_api_route(HEALTH, _healthy, include_in_schema=False)
    app.add_api_route(STATIC + "{name}", _static, include_in_schema=False)
    app.include_router(sign_in.router)
    app.include_router(hooks.router)
    app.include_router(api)
    app.include_router(openapi.router)
    app.include_router(pages.router)
    app.add_middleware(Protection, origin=entrance.origin, on_bug=_bug)
    return app


def _healthy() -> Response:
    """That the process answers. Whether the store does is for `lzr doctor` to say: a server without it is not mended by a restart."""
    return PlainTextResponse("ok\n")


def _static(name: str) -> Response:
    found = static_files().get(name)
    if found is None:
        raise InputError("There is no such file", code="not-found", hint="")
    return Response(found[1], media_type=found[0], headers=_FOREVER)


def _explained(request: Request, error: Exception) -> Response:
    assert isinstance(error, RunnerError)  # noqa: S101 - as it was registered
    turned_away(request, error)
    return _answered(request, error)


async def _wrong(request: Request, error: Exception) -> Response:
    """A request that has not the form that its operation takes. What was given is not repeated: it may be a secret in a wrong place."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as it was registered
    if (refused := await _refused(request)) is not None:
        return refused
    found = InputError(
        "The request is wrong",
        code="request-wrong",
        detail="; ".join(f"{dotted(tuple(one['loc']))}: {one['msg']}" for one in error.errors()[:20]),
        hint="The description of the API is at /api/v1/openapi.json.",
    )
    places = [{"field": dotted(tuple(one["loc"])), "message": one["msg"]} for one in error.errors()[:100]]
    return _answered(request, found, problems=places)


async def _refused(request: Request) -> Response | None:
    """The answer to whoever is not let in: the framework reads a body before it asks who sends it, and only whoever is somebody is told
    what is wrong with theirs."""
    if hasattr(request.state, "desk") or request.url.path in PUBLIC:
        return None
    try:
        await desk_of(request)
    except RunnerError as error:
        return await run_in_threadpool(_explained, request, error)
    return None


async def _of_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as it was registered
    if error.status_code == 400 and (refused := await _refused(request)) is not None:
        return refused
    if isinstance(error.__cause__, RunnerError):  # raised while the framework read the request's body
        return _answered(request, error.__cause__)
    codes = {404: "not-found", 405: "method-not-allowed", 400: "request-wrong"}
    headers = dict(error.headers or {})
    found = InputError("There is nothing here", code=codes.get(error.status_code, "request-wrong"), detail="", hint="")
    if error.status_code == 405:
        found.summary = "This is not done so"
        headers["Allow"] = ", ".join(_methods(request))
    elif error.status_code == 400:
        found.summary, found.detail = "The request is wrong", "Its body cannot be read."
    return _answered(request, found, headers=headers)


def _methods(request: Request) -> list[str]:
    """Every method that something answers at this path; a single route, which is what the framework asks, knows its own only."""
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.router.routes
        )
    ]


def _bug(request: Request, error: Exception) -> Response:
    log.error("request_failed", exc_info=error, extra={"path": path_of(request.url.path)})
    found = RunnerError("The server has a bug", code="internal-error", hint="Its log says where.")
    return _answered(request, found)


def _answered(
    request: Request,
    error: RunnerError,
    *,
    problems: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A page for people and a problem for programs."""
    status = status_of(error)
    if status >= 500:
        facts = {"path": path_of(request.url.path), "code": error.code, "detail": error.detail}
        log.warning("request_failed", extra=facts)
    if _is_page(request):
        if error.code == "not-signed-in" and request.method == "GET" and not request.url.path.startswith("/sign-in"):
            where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?{urlencode({'next': where})}", 303)
        return page(request, "error.html", {"error": error, "status": status}, status=status)
    more = dict(headers or {})
    if status == 401:
        more["WWW-Authenticate"] = "Bearer"
        if "hx-request" in request.headers:  # a part of a page, which cannot show the sign-in
            more["HX-Redirect"] = "/sign-in"
    if isinstance(error, TooMany):
        more["Retry-After"] = str(error.retry_after)
    told = problem(error) | ({"problems": problems} if problems is not None else {})
    return JSONResponse(told, status, more, media_type=MEDIA_TYPE)


def _is_page(request: Request) -> bool:
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
