"""Azure as the runner uses it besides its engine: people and groups, what is read before composing, functions, and identities.

`connect` puts it together from a platform document. The rest of the program knows these adapters by their ports only.
"""

from __future__ import annotations

from runner.imports import left_out

with left_out("httpx._main"):  # its command line, which loads rich where that is installed
    import httpx  # noqa: F401
