"""The API's description: OpenAPI 3.1, and the same for people to read."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse, Response

from runner.domain.actor import Act
from runner.web.api import models
from runner.web.api.examples import EXAMPLES
from runner.web.api.routes import router as api
from runner.web.gate import Needs
from runner.web.pages.rendering import page
from runner.web.problems import MEDIA_TYPE

router = APIRouter(include_in_schema=False, dependencies=[Depends(Needs(Act.LOOK))])

_ABOUT = """Runs that bring Azure tenants to what their documents say: start them, look at what they would do, approve exactly that.

Every error is a problem (RFC 9457) whose `code` is constant. Lists end where `next` is null. Programs show an API token, or the workload
identity token of their pipeline, in the Authorization header; the page uses its session, and sends the header X-CSRF-Token with changes.
"""


@router.get("/api/v1/openapi.json")
def description_() -> Response:
    """The description."""
    return JSONResponse(description())


@router.get("/api/docs")
def reading(request: Request) -> Response:
    """The description to read."""
    return page(request, "api.html", {"api": description()})


@cache
def description() -> dict[str, Any]:
    """The API as OpenAPI 3.1."""
    app = FastAPI()
    app.include_router(api)
    made = get_openapi(
        title="landing-zone-runner",
        version=version("landing-zone-runner"),
        openapi_version="3.1.0",
        summary="Landing zones and tenants as Terraform: planned, reviewed in plain words, applied exactly as approved.",
        description=_ABOUT,
        routes=app.routes,
    )
    made["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token or a workload identity token."},
        "session": {"type": "apiKey", "in": "cookie", "name": "__Host-lzr", "description": "A signed-in browser."},
    }
    made["security"] = [{"token": []}, {"session": []}]
    made["components"]["schemas"]["End"] = models.End.model_json_schema(ref_template="#/components/schemas/{model}")
    del made["components"]["schemas"]["End"]["$defs"]  # a status is there already
    for name, given in EXAMPLES.items():  # added here: FastAPI takes every null out of what it describes
        made["components"]["schemas"][name]["examples"] = given
    for path in made["paths"].values():
        for method, operation in path.items():
            if method == "get":  # it sends nothing, and changes nothing that could stand otherwise
                for status in ("409", "413"):
                    del operation["responses"][status]
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if status >= "400":
                    content[MEDIA_TYPE] = content.pop("application/json")
    return made
