"""Pages for people. What each shows is put together by small functions of values; templates only lay it out."""

from runner.web.pages import decisions as decisions  # routes of the router, as are those of the other three
from runner.web.pages import lists as lists
from runner.web.pages import runs as runs
from runner.web.pages import tenants as tenants
from runner.web.pages.routing import router as router
