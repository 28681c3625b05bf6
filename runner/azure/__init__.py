"""Azure as the runner uses it besides its engine: people and groups, what is read before composing, functions, and identities.

`connect` puts it together from a platform document. The rest of the program knows these adapters by their ports only.
"""

from __future__ import annotations

import runner.network  # noqa: F401  # brings httpx without its command line
