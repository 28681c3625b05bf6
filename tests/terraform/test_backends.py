"""One contract for every backend that a state can be kept in, each on a real server, with the real Terraform."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner import packaged
from runner.domain.document import SecretReference
from runner.domain.platform import AzurePlatform
from runner.domain.state import (
    AnyBackend,
    AzurermBackend,
    HttpBackend,
    LocalBackend,
    ManagedBackend,
    PgBackend,
    S3Backend,
    schema_of,
    settings,
)
from runner.errors import EngineFailed, Refused
from runner.sandbox.provider.mirror import is_stand_in
from runner.store.opening import Store
from runner.terraform.engine import Limits, discover
from runner.terraform.rehearsal import EngineRehearsal
from runner.terraform.state_access import StateAccess
from runner.terraform.state_service import StateService
from runner.terraform.workspace import Sources
from tests.domain.documents import placed
from tests.store.making import NOW
from tests.terraform import servers

SECRETS = {"ACCESS": servers.ACCESS_KEY, "KEY_ID": "testing", "KEY": "testing", "PASSWORD": "state-password"}
REMOTE = ("pg", "s3", "http", "azurerm")
OUTPUTS = {"group": {"value": "g", "type": "string"}}
STATE = {
    "version": 4,
    "terraform_version": "1.11.4",
    "serial": 3,
    "lineage": "5d1f",
    "outputs": OUTPUTS,
    "resources": [],
}
TENANT = "payments.checkout-dev"


@dataclass(frozen=True)
class Kept:
    """A backend, the variables by which its server is found, and the secrets its document refers to."""

    backend: AnyBackend
    around: Mapping[str, str]
    secrets: Mapping[str, str]

    def secret(self, reference: SecretReference) -> str:
        return self.secrets[reference.env or ""]


@pytest.fixture(params=["managed", "local", *REMOTE])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    with ExitStack() as stack:
        around: Mapping[str, str] = {}
        secrets = dict(SECRETS)
        backend: AnyBackend
        match request.param:
            case "managed":
                backend = ManagedBackend()
            case "local":
                backend = LocalBackend(type="local", directory=str(tmp_path / "states"))
            case "pg":
                backend = PgBackend(type="pg", connection=SecretReference(env="CONNECTION"))
                secrets["CONNECTION"] = request.getfixturevalue("postgres_database") + "&sslmode=disable"
            case "s3":
                address = stack.enter_context(servers.s3())
                id_, key = SecretReference(env="KEY_ID"), SecretReference(env="KEY")
                backend = S3Backend(
                    type="s3",
                    bucket=servers.BUCKET,
                    region="eu-west-1",
                    endpoint=address,
                    access_key_id=id_,
                    secret_access_key=key,
                )
            case "http":
                address = stack.enter_context(servers.http())
                password = SecretReference(env="PASSWORD")
                backend = HttpBackend(type="http", address=address, username="runner", password=password)
            case _:
                if not servers.AZURITE.exists():
                    pytest.skip("Azurite is needed: make servers")
                around = stack.enter_context(servers.azurite(tmp_path / "azurite"))
                backend = AzurermBackend(
                    type="azurerm",
                    storage_account_name=servers.ACCOUNT,
                    container_name=servers.CONTAINER,
                    access_key=SecretReference(env="ACCESS"),
                )
        yield Kept(backend, around, secrets)


def rehearsal(kept: Kept, store: Store, service: StateService, directory: Path) -> EngineRehearsal:
    return EngineRehearsal(
        find_engine=lambda: discover(None),
        states=store.states,
        service=service,
        secret=kept.secret,
        sources=Sources(templates=packaged.templates(), modules=packaged.modules()),
        directory=directory / "work",
        mirror=None,
        surroundings=kept.around,
        stand_in=is_stand_in,
        limits=Limits(),
        now=lambda: NOW,
        redact_also=lambda value: None,
    )


def access(kept: Kept, store: Store, directory: Path) -> StateAccess:
    return StateAccess(
        find_engine=lambda: discover(None),
        states=store.states,
        secret=kept.secret,
        identity=lambda platform, subscription: kept.around,
        directory=directory / "work",
        mirror=None,
        limits=Limits(),
        now=lambda: NOW,
    )


def platform_with(backend: AnyBackend) -> AzurePlatform:
    platform = placed().platform
    return platform.model_copy(update={"spec": platform.spec.model_copy(update={"state_backend": backend})})


def test_a_state_is_written_read_back_and_locked_against_a_second_engine(
    kept: Kept, file_store: Store, tmp_path: Path
) -> None:
    with StateService(file_store.states, now=lambda: NOW) as service:
        assert rehearsal(kept, file_store, service, tmp_path).state(kept.backend, threading.Event()) is True


def test_a_state_is_handed_in_read_back_and_never_written_over(kept: Kept, file_store: Store, tmp_path: Path) -> None:
    states, platform = access(kept, file_store, tmp_path), platform_with(kept.backend)
    assert states.read(platform, TENANT) is None
    content = json.dumps(STATE).encode()
    states.write(platform, TENANT, content, by="test")
    found = json.loads(states.read(platform, TENANT) or b"")
    assert (found["lineage"], found["outputs"]) == ("5d1f", OUTPUTS)
    assert found["serial"] >= 3
    states.write(platform, TENANT, content, by="test")

    others: tuple[dict[str, object], ...] = ({"serial": 40}, {"lineage": "another"}, {"outputs": {}})
    for other in others:
        with pytest.raises(Refused) as caught:
            states.write(platform, TENANT, json.dumps(STATE | other).encode(), by="test")
        assert caught.value.code == "state-in-the-way"
    assert json.loads(states.read(platform, TENANT) or b"") == found
    assert states.read(platform, "payments.checkout-prod") is None


def test_nothing_secret_is_in_what_a_backend_is_told_by_arguments(kept: Kept) -> None:
    told = json.dumps(settings(kept.backend, TENANT))
    assert not [secret for secret in kept.secrets.values() if secret in told]


def test_a_lock_that_is_not_there_is_not_released(kept: Kept, file_store: Store, tmp_path: Path) -> None:
    if not isinstance(kept.backend, S3Backend | AzurermBackend):
        return  # the others' locks are released by the store, the operating system, the database, or for the asking
    with pytest.raises(EngineFailed):
        access(kept, file_store, tmp_path).unlock(platform_with(kept.backend), TENANT, "no-such-lock")


@pytest.mark.parametrize("tenant", ["a", "payments.checkout-dev", "X" * 200, "Zürich", "a b"])
def test_every_tenant_has_a_schema_of_its_own_that_postgresql_takes(tenant: str) -> None:
    name = schema_of(tenant)
    assert len(name.encode()) <= 63
    assert name.replace("_", "").isalnum()
    assert name != schema_of(tenant + "x")
    assert name != schema_of(tenant.swapcase())
