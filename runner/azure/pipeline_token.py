"""The federated token of a pipeline, in a file that always holds a fresh one, as `workloadIdentity` wants it.

A pipeline's token lives five to ten minutes and is given out on request; runs take longer, and every engine signs in anew. So it is asked
for again every two minutes while the process lives.

GitHub Actions (`permissions: id-token: write`): https://docs.github.com/actions/reference/openid-connect-reference. Azure DevOps (a service
connection with workload identity federation, in a task that names it, with SYSTEM_ACCESSTOKEN handed to it): as AzurePipelinesCredential of
azure-identity asks. GitLab hands its token over itself (`id_tokens`), as a variable and for as long as the job may run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import httpx

from runner.errors import RemoteFailed, RunnerError
from runner.network.way_out import Network

TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - the name of a variable
AUDIENCE = "api://AzureADTokenExchange"  # what a federated credential expects unless it says otherwise
_GITLAB = "AZURE_ID_TOKEN"  # what the example's `id_tokens` calls it
_EACH = 120.0  # seconds
_LONGEST = 64 * 1024
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Offer:
    """How this pipeline gives out tokens: a request, or the token itself."""

    method: str = ""
    address: str = ""
    bearer: str = field(default="", repr=False)
    query: tuple[tuple[str, str], ...] = ()
    answered_in: str = ""
    token: str = field(default="", repr=False)


def offered(variables: Mapping[str, str]) -> Offer | None:
    """What the pipeline around this process offers; None outside of one, and where a token file is named already."""
    said = variables.get
    if said(TOKEN_FILE):
        return None
    if said("GITHUB_ACTIONS") == "true" and (address := said("ACTIONS_ID_TOKEN_REQUEST_URL")):
        asking = said("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
        return Offer("GET", address, asking, (("audience", AUDIENCE),), "value")
    bearer, connection = said("SYSTEM_ACCESSTOKEN"), said("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID")
    if said("TF_BUILD") and (address := said("SYSTEM_OIDCREQUESTURI")) and bearer and connection:
        query = (("api-version", "7.1"), ("serviceConnectionId", connection))
        return Offer("POST", address, bearer, query, "oidcToken")
    if said("GITLAB_CI") == "true" and (token := said(_GITLAB)):
        return Offer(token=token)
    return None


@contextmanager
def kept(
    offer: Offer, network: Network, *, hide: Callable[[str], object] = lambda token: None, each: float = _EACH
) -> Iterator[Path]:
    """Meanwhile a file for this user alone that holds a token; `hide` is told of each. RemoteFailed where there is none; one that cannot
    be renewed later stays as it is, and whoever signs in with it tells that it has expired."""

    def fresh() -> str:
        token = offer.token or _ask(offer, client)
        hide(token)
        return token

    stop = threading.Event()
    with TemporaryDirectory(prefix="lzr-token-") as private:
        file = Path(private) / "token"
        with network.client(network.tls()) as client:
            _write(file, fresh())
            if offer.token:
                yield file
                return

            def renew() -> None:
                while not stop.wait(each):
                    try:
                        _write(file, fresh())
                    except (RunnerError, OSError):
                        continue

            renewing = threading.Thread(target=renew, name="pipeline-token", daemon=True)
            renewing.start()
            try:
                yield file
            finally:
                stop.set()
                renewing.join()


def _ask(offer: Offer, client: httpx.Client) -> str:
    host = urlsplit(offer.address).hostname or "the pipeline"
    if urlsplit(offer.address).scheme != "https" and host not in _LOCAL:
        raise _none(f"{host} is not reached by https")
    address = httpx.URL(offer.address).copy_merge_params(dict(offer.query))
    headers = {
        "Authorization": f"Bearer {offer.bearer}",
        "Accept": "application/json",
        "X-TFS-FedAuthRedirect": "Suppress",
    }
    try:
        answer = client.request(offer.method, address, headers=headers)
        token = answer.json().get(offer.answered_in) if answer.status_code == 200 else None
    except httpx.HTTPError as error:
        raise _none(f"{host} cannot be reached ({type(error).__name__})", temporary=True) from None
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not 0 < len(token) < _LONGEST:
        raise _none(f"{host} answers {answer.status_code} and no token", temporary=answer.status_code >= 500)
    return token


def _write(file: Path, token: str) -> None:
    beside = file.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as made:
        made.write(token)
    beside.replace(file)  # whoever reads it sees one token or the other


def _none(detail: str, *, temporary: bool = False) -> RemoteFailed:
    return RemoteFailed(
        "The pipeline gives out no token",
        code="pipeline-token-unavailable",
        detail=f"{detail}.",
        hint="GitHub: permissions id-token: write. Azure DevOps: a service connection with workload identity federation.",
        temporary=temporary,
    )
