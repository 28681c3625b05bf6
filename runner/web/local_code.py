"""Signing in without an issuer: a code that only whoever sees the server's terminal knows."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from hmac import compare_digest

VALID = timedelta(minutes=15)


class LocalCode:
    """A code that opens one session within some minutes. `show` puts it where its reader is. Safe to use from several threads."""

    def __init__(self, now: Callable[[], datetime], show: Callable[[str], None]) -> None:
        self._now = now
        self._show = show
        self._lock = threading.Lock()
        self._code = ""
        self._expires = now()

    def tell(self) -> None:
        """Show the code, a new one where there is none or it is too old. Anybody on the machine may ask for that: it shows them nothing,
        and takes from nobody the code that they were shown."""
        with self._lock:
            if not self._code or self._now() >= self._expires:
                self._code, self._expires = secrets.token_urlsafe(24), self._now() + VALID
            self._show(self._code)

    def used(self, code: str) -> bool:
        """Whether this is the code, which is none any more then."""
        with self._lock:
            good = (
                bool(self._code) and self._now() < self._expires and compare_digest(code.encode(), self._code.encode())
            )
            if good:
                self._code = ""
            return good
