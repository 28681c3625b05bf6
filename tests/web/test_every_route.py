"""Every page and every operation of the API is refused without the right role: whatever routes there are, also those of tomorrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from runner.domain.actor import Act, Grant, Role
from runner.web import hooks, pages, sign_in
from runner.web.api import openapi
from runner.web.api.routes import router as api
from runner.web.app import PUBLIC
from runner.web.gate import Needs
from tests.web.serving import TENANT, ZONE, Site, ada, waiting

_SMALLER = {Act.LOOK: (), Act.OPERATE: (Role.VIEWER, Role.APPROVER), Act.APPROVE: (Role.VIEWER, Role.OPERATOR)}
_ENOUGH = {Act.LOOK: Role.VIEWER, Act.OPERATE: Role.OPERATOR, Act.APPROVE: Role.APPROVER, Act.ADMINISTER: Role.ADMIN}


_ROUTERS = (hooks.router, sign_in.router, api, openapi.router, pages.router)


def _routes() -> list[APIRoute]:
    return [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _needs(dependant: Dependant) -> Iterator[Act]:
    if isinstance(dependant.call, Needs):
        yield dependant.call.act
    for below in dependant.dependencies:
        yield from _needs(below)


def _act(route: APIRoute) -> Act | None:
    found = set(_needs(route.dependant))
    assert len(found) <= 1, route.path
    return next(iter(found), None)


_ALL = [
    pytest.param(route, method, id=f"{method} {route.path}")
    for route in _routes()
    for method in sorted(route.methods or ())
]
_GUARDED = [one for one in _ALL if one.values[0].path not in PUBLIC]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def web(web_of_module: Site) -> Site:
    return web_of_module


@pytest.fixture(scope="module")
def asked(web: Site) -> Any:
    """How to ask for a route of a run that waits."""
    run = waiting(web)
    fill = {"run_id": run.id, "name": TENANT, "number": "0", "decision": "approve"}

    def path(route: APIRoute) -> str:
        text = route.path.replace("/zones/{name}", f"/zones/{ZONE}")
        for name, value in fill.items():
            text = text.replace("{" + name + "}", value)
        assert "{" not in text, f"this test does not know {route.path}"
        return text

    return path


def test_the_walk_sees_what_the_application_serves(web: Site) -> None:
    described = set(openapi.description()["paths"])
    walked = {route.path for route in _routes()}
    assert described <= walked
    assert {"/", "/runs/{run_id}", "/tenants", "/sign-in", "/api/v1/openapi.json"} <= walked
    assert len(walked) > 40


def test_the_application_has_no_other_routes_than_those_walked(web: Site) -> None:
    of_its_own = [route for route in web.app.routes if isinstance(route, APIRoute)]
    assert {route.path for route in of_its_own} <= PUBLIC
    included = [getattr(route, "original_router", route) for route in web.app.routes if route not in of_its_own]
    assert {id(router) for router in included} == {id(router) for router in _ROUTERS}
    assert all(isinstance(route, APIRoute) for router in _ROUTERS for route in router.routes)


@pytest.mark.parametrize(("route", "method"), _ALL)
def test_a_route_says_what_it_needs_or_is_known_to_be_public(route: APIRoute, method: str) -> None:
    assert (_act(route) is not None) != (route.path in PUBLIC)
    if method not in ("GET", "HEAD"):
        assert _act(route) is not Act.LOOK, "what changes something needs more than looking"


@pytest.mark.parametrize(("route", "method"), _GUARDED)
def test_nobody_is_let_in_without_a_session_or_token(web: Site, asked: Any, route: APIRoute, method: str) -> None:
    path = asked(route)
    answer = web.client().request(method, path)
    assert answer.status_code == 401, answer.text
    assert answer.json()["code"] == "not-signed-in"
    for bad in (
        "Bearer",
        "Bearer nonsense",
        "Bearer lzr_aaaaaaaaaa_" + "b" * 40 + "_00000000",
        "Basic YTpi",
        "Bearer a.b.c",
    ):
        answer = web.client(authorization=bad).request(method, path)
        assert answer.status_code == 401, (bad, answer.text)
        assert bad.partition(" ")[2] in ("",) or bad.partition(" ")[2] not in answer.text
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = web.client(**{"content-type": kind}).request(method, path, content=b"{wrong=%zz")
        assert answer.status_code == 401, (kind, answer.text)
    page = web.client(accept="text/html").request(method, path)
    if path.startswith("/api/") or method != "GET":
        assert page.status_code == 401
    else:
        assert page.status_code == 303
        assert page.headers["location"].startswith("/sign-in?next=")


@pytest.mark.parametrize(("route", "method"), _GUARDED)
def test_a_role_that_is_too_small_is_refused(web: Site, asked: Any, route: APIRoute, method: str) -> None:
    act = _act(route)
    assert act is not None
    for role in _SMALLER[act]:
        answer = web.program(Grant(role=role)).request(method, asked(route))
        assert answer.status_code == 403, (role, answer.text)
        assert answer.json()["code"] == "not-allowed"
    nothing = web.program(Grant(role=_ENOUGH[act], zones=("elsewhere",))).request(
        method, asked(route), json={"digest": "a" * 64}
    )
    if "{run_id}" in route.path or route.path.startswith(
        ("/tenants/{", "/zones/{", "/api/v1/tenants/{", "/api/v1/zones/{")
    ):
        assert nothing.status_code in (404, 422), (route.path, nothing.text)  # what may not be seen does not exist


@pytest.mark.parametrize(("route", "method"), [one for one in _ALL if one.values[1] not in ("GET", "HEAD")])
def test_another_site_cannot_change_anything(web: Site, asked: Any, route: APIRoute, method: str) -> None:
    person = web.person(ada())
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        answer = person.client.request(method, asked(route), headers=headers | {"accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    if route.path not in PUBLIC:
        for wrong in ("", "x", "0" * 43):
            answer = person.client.request(
                method, asked(route), headers={"x-csrf-token": wrong, "accept": "application/json"}
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
