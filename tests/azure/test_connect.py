"""A platform's Azure as a whole: found by its addresses or through a proxy, shared between runs, and light."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.azure.connect import Connections, connect
from runner.domain.access import Invitee, Known
from runner.domain.invocation import Invocation
from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Person
from runner.errors import Canceled, RemoteFailed
from runner.network.way_out import Network
from runner.ports import Azure
from runner.sandbox.azure.server import Sandbox
from tests.doubles.invitations import MemoryInvitations

TENANT = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0001"
CORP = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0002"
PARTNER = "7d3f0c52-1111-4a6e-9c55-2a4b6f1d0003"
CLIENT_ID = "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0001"
HOOKS = "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0002"
SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
PRINCIPAL = {"clientId": CLIENT_ID, "auth": {"type": "credential", "credential": {"env": "SECRET"}}}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The example company that comes with the sandbox."""
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def platform(**spec: Any) -> AzurePlatform:
    given = {
        "entraTenant": TENANT,
        "servicePrincipal": PRINCIPAL,
        "homeTenants": [{"entraTenant": tenant, "servicePrincipal": PRINCIPAL} for tenant in (CORP, PARTNER)],
        "b2bUserInvitation": {"redirectUrl": "https://portal.example"},
    }
    document = {"apiVersion": "landing-zone-runner/v1", "kind": "AzurePlatform", "metadata": {"name": "azure"}}
    return AzurePlatform.model_validate(document | {"spec": given | spec})


def at(sandbox: Sandbox) -> dict[str, str]:
    return {"authority": sandbox.url, "resourceManager": sandbox.url, "graph": sandbox.url}


def secret(reference: object) -> str:
    return "sandbox-runner-secret"


def use(azure: Azure, function_url: str) -> None:
    """One call of each kind, as a run makes them."""
    people = [Person(username=name, roles=("reader",)) for name in ("dev1@corp.example", "dev3@partner.example")]
    found = azure.directory.look_up(people)
    assert isinstance(found["dev1@corp.example"], Invitee)
    assert isinstance(found["dev3@partner.example"], Known)
    facts = azure.resources.subscription(SUBSCRIPTION)
    assert facts is not None
    assert facts.management_group == "sandbox"
    answer = azure.functions.call(Invocation(url=function_url, scope=HOOKS, headers=(("x-mesh-project", "p"),)))
    assert (answer.status, json.loads(answer.body)) == (200, {"message": "onboarded"})


def test_azure_by_its_own_addresses(sandbox: Sandbox) -> None:
    network = Network(ca_file=sandbox.ca_file)
    with connect(
        platform(cloud=at(sandbox)),
        network=network,
        secret=secret,
        invitations=MemoryInvitations(),
        stop=threading.Event(),
        allowed_function_hosts=(sandbox.host,),
    ) as azure:
        use(azure, sandbox.function_url)

    call = sandbox.world.function_calls[-1]
    assert (call.caller, call.headers["x-mesh-project"]) == (CLIENT_ID, "p")


@pytest.mark.parametrize("cloud", ["public", "usgov", "china"])
def test_azure_by_the_names_of_its_clouds_through_a_proxy(cloud: str, sandbox: Sandbox) -> None:
    """As behind a company's proxy: the known authorities with instance discovery as it is, one private certificate authority."""
    network = Network(ca_file=sandbox.ca_file, proxy=sandbox.proxy_url)
    with connect(
        platform(cloud=cloud), network=network, secret=secret, invitations=MemoryInvitations(), stop=threading.Event()
    ) as azure:
        use(azure, "https://lz-hooks.azurewebsites.net/api/onboard")


def test_the_machines_identity_signs_in_as_well(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AZURE_POD_IDENTITY_AUTHORITY_HOST", sandbox.identity_url.removesuffix("/metadata/identity/oauth2/token")
    )
    network = Network(ca_file=sandbox.ca_file, proxy="http://127.0.0.1:1", no_proxy=("127.0.0.1",))
    by_machine = platform(cloud=at(sandbox), servicePrincipal={"auth": {"type": "managedIdentity"}})
    with connect(
        by_machine, network=network, secret=secret, invitations=MemoryInvitations(), stop=threading.Event()
    ) as azure:
        assert azure.resources.management_group("corp-online") is not None


def test_runs_share_tokens_and_each_has_its_own_stop(sandbox: Sandbox) -> None:
    sandbox.world.calls.clear()
    with Connections(
        network=Network(ca_file=sandbox.ca_file), secret=secret, invitations=MemoryInvitations()
    ) as connections:
        first, second = threading.Event(), threading.Event()
        canceled = connections.connect(platform(cloud=at(sandbox)), stop=first)
        going_on = connections.connect(platform(cloud=at(sandbox)), stop=second)
        canceled.resources.management_group("corp-online")
        first.set()

        with pytest.raises(Canceled):
            canceled.resources.management_group("corp-online")
        assert going_on.resources.management_group("corp-online") is not None

    assert sum(call.method == "POST" and call.path.endswith("/token") for call in sandbox.world.calls) == 1


def test_threads_share_one_connection_to_azure(sandbox: Sandbox) -> None:
    failures: list[BaseException] = []
    sandbox.world.calls.clear()
    with Connections(
        network=Network(ca_file=sandbox.ca_file), secret=secret, invitations=MemoryInvitations()
    ) as connections:
        azure = connections.connect(platform(cloud=at(sandbox)), stop=threading.Event())

        def ask() -> None:
            try:
                assert azure.resources.management_group("corp-online") is not None
                azure.directory.groups_named(["platform-team"])
            except BaseException as error:  # noqa: BLE001 - shown by the test itself
                failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    assert sum(call.method == "POST" and call.path.endswith("/token") for call in sandbox.world.calls) == 1


def test_an_identity_without_a_permission_is_told_which(sandbox: Sandbox) -> None:
    auditor = {"clientId": "7d3f0c52-aaaa-4a6e-9c55-2a4b6f1d0003", "auth": PRINCIPAL["auth"]}
    with connect(
        platform(cloud=at(sandbox), servicePrincipal=auditor, homeTenants=[]),
        network=Network(ca_file=sandbox.ca_file),
        secret=lambda reference: "sandbox-auditor-secret",
        invitations=MemoryInvitations(),
        stop=threading.Event(),
    ) as azure:
        group = azure.directory.groups_named(["platform-team"])["platform-team"]
        member = azure.directory.members(group)[0]

        with pytest.raises(RemoteFailed) as failure:
            azure.directory.remove_member(group, member.object_id)

    assert failure.value.code == "azure-forbidden"
    assert "Authorization_RequestDenied" in failure.value.detail


PROCESS = """
import json, sys, threading
from pathlib import Path
from runner.azure.connect import Connections
from runner.network.way_out import Network
from runner.domain.invocation import Invocation
from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Person
from tests.doubles.invitations import MemoryInvitations

document, subscription, url, scope, ca_file, host = json.loads(sys.stdin.read())
network = Network(ca_file=Path(ca_file))
secret, invitations = lambda reference: "sandbox-runner-secret", MemoryInvitations()
with Connections(network=network, secret=secret, invitations=invitations, allowed_function_hosts=[host]) as all:
    azure = all.connect(AzurePlatform.model_validate(document), stop=threading.Event())
    azure.directory.look_up([Person(username="dev1@corp.example", roles=("reader",))])
    azure.resources.subscription(subscription)
    azure.functions.call(Invocation(url=url, scope=scope, headers=()))
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


def test_a_process_that_talks_to_azure_stays_small(sandbox: Sandbox) -> None:
    """63 MB when measured, of 120 MB for the whole runner."""
    document = platform(cloud=at(sandbox)).model_dump(by_alias=True)
    given = [document, SUBSCRIPTION, sandbox.function_url, HOOKS, str(sandbox.ca_file), sandbox.host]

    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        input=json.dumps(given),
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )

    assert int(done.stdout) < 90_000
