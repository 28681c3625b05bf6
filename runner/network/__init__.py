"""The way out of this process, for whoever speaks to somebody: proxy and authorities, and a guard for addresses that somebody else chose.

Knows no Azure and no channel. What may be connected to is judged by the address that is connected to, never by a name alone.
"""

from __future__ import annotations

from runner.imports import left_out

with left_out("httpx._main"):  # its command line, which loads rich where that is installed
    import httpx  # noqa: F401
