"""Pages for people. What each shows is put together by small functions of values; templates only lay it out."""

from runner.web.pages.routes import router as router
