"""Templates and static files, and what every page has around it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response, StreamingResponse

from runner import packaged
from runner.domain.actor import Act, may_anywhere
from runner.domain.harmless import plain, written
from runner.domain.landing_zone import NEVER
from runner.web.desk import Desk
from runner.web.protection import STATIC

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PIECES = 500  # of a template that are sent at once
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}


def page(request: Request, template: str, values: Mapping[str, Any], *, status: int = 200) -> Response:
    """The page, with who asks (`me`, a Desk or None) and the token of its forms (`csrf`) known to its template."""
    return HTMLResponse(environment().get_template(template).render({**_around(request), **values}), status)


def streamed(request: Request, template: str, values: Mapping[str, Any]) -> Response:
    """The same, sent while it is still being laid out."""
    stream = environment().get_template(template).stream({**_around(request), **values})
    stream.enable_buffering(_PIECES)
    return StreamingResponse(iter(stream), media_type="text/html")


def _around(request: Request) -> dict[str, Any]:
    desk: Desk | None = getattr(request.state, "desk", None)
    mends = desk is not None and may_anywhere(desk.actor, Act.OPERATE)
    return {
        "csrf": getattr(request.state, "csrf", ""),
        "me": desk,
        "wrong": desk.server.shelf.shelved.wrong if desk is not None and mends else None,
        "path": request.url.path,
        "now": datetime.now(UTC),
    }


@cache
def environment() -> Environment:
    """Templates that escape everything, and stop at a name that is not there."""
    made = Environment(
        loader=FileSystemLoader(packaged.templates() / "web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["plain"] = plain
    made.filters["log"] = log_line
    made.filters["written"] = written
    made.filters["moment"] = moment
    made.filters["ago"] = ago
    made.filters["plural"] = plural
    made.filters["span"] = span
    made.filters["every"] = every
    made.filters["who"] = who
    made.globals["static"] = static_address
    return made


@cache
def static_files() -> dict[str, tuple[str, bytes]]:
    """Kind and content of every static file by the name in its address, which changes with the content."""
    found = {}
    for file in sorted((packaged.templates() / "web" / "static").iterdir()):
        content = file.read_bytes()
        found[_dated(file, content)] = (_KINDS.get(file.suffix, "application/octet-stream"), content)
    return found


def static_address(name: str) -> str:
    """The address of a static file."""
    file = packaged.templates() / "web" / "static" / name
    return STATIC + _dated_once(file)


@cache
def _dated_once(file: Path) -> str:
    return _dated(file, file.read_bytes())


def _dated(file: Path, content: bytes) -> str:
    return f"{file.stem}.{hashlib.sha256(content).hexdigest()[:12]}{file.suffix}"


def log_line(text: str) -> str:
    """A line of an engine's log without its colours."""
    return plain(_COLOURS.sub("", text))


def who(label: str) -> Markup:
    """Whom a record names, by name; the id that it names them with is beside it."""
    name, found, _ = label.rpartition(" (")
    if not found or not label.endswith(")"):
        return Markup("{}").format(plain(label))
    return Markup('<span title="{}">{}</span>').format(plain(label), plain(name))


def moment(value: datetime) -> str:
    """A point in time as records have it."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(value: datetime, now: datetime) -> str:
    """How long ago, in one unit."""
    return f"{span(now - value)} ago" if now - value >= timedelta(seconds=1) else "just now"


def span(duration: timedelta) -> str:
    """A length of time, in one unit."""
    seconds = int(duration.total_seconds())
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return plural(seconds // size, name)
    return plural(seconds, "second")


def every(period: timedelta) -> str:
    """How often something is done by itself."""
    return "only when somebody asks" if period == NEVER else f"every {span(period)}".replace("every 1 ", "every ")


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"
