"""A sandbox for each test, and clients that speak to it as the seeded applications."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from runner.sandbox.azure.server import Sandbox

RUNNER = "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0001"
RUNNER_OBJECT = "7d3f0c52-bbbb-4a6e-9c55-2a4b6f1d0001"
HOOKS = "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0002"
AUDITOR = "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0003"
WORKLOADS = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0001"
CORP = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0002"
CHECKOUT = "/subscriptions/4f1c2d30-0000-4000-8000-000000000001"
SHARED = "/subscriptions/4f1c2d30-0000-4000-8000-000000000004"

Client = Callable[..., httpx.Client]


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all: making keys is the slow part of starting a sandbox."""
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
def sandbox(directory: Path) -> Iterator[Sandbox]:
    with Sandbox(directory) as found:
        yield found


@pytest.fixture
def trust(directory: Path, sandbox: Sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(sandbox.ca_file))


@pytest.fixture
def anonymous(sandbox: Sandbox, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, verify=trust, trust_env=False) as client:
        yield client


def token(
    client: httpx.Client,
    *,
    tenant: str = WORKLOADS,
    client_id: str = RUNNER,
    secret: str = "sandbox-runner-secret",
    scope: str = "",
) -> httpx.Response:
    """Ask for a token by client secret."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    return client.post(f"/{tenant}/oauth2/v2.0/token", data=form | {"scope": scope or f"{client.base_url}/.default"})


def bearer(client: httpx.Client, **kwargs: str) -> dict[str, str]:
    """The header that an application sends."""
    answer = token(client, **kwargs)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
def azure(anonymous: httpx.Client) -> httpx.Client:
    """The runner's application in the workload tenant, for ARM and Graph."""
    anonymous.headers.update(bearer(anonymous))
    return anonymous
