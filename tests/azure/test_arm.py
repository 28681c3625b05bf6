"""What is read from Resource Manager, on the sandbox's Azure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runner.azure.connect import Connections
from runner.errors import RemoteFailed
from runner.network.way_out import Network
from runner.ports import ManagementGroupFacts, ResourceManager, SubscriptionFacts
from runner.sandbox.azure.server import Sandbox
from tests.azure.loopback import Loopback, Received, Reply
from tests.azure.scenes import SERVICE_PRINCIPAL, WORKLOAD, Scene, platform_at, seed_of
from tests.doubles.invitations import MemoryInvitations

SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
HIDDEN = "4f1c2d30-0000-4000-8000-000000000002"
NOWHERE = "4f1c2d30-0000-4000-8000-000000000003"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-portal"
STORAGE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/"

AZURE = {
    "tenant": WORKLOAD,
    "managementGroups": [
        {"id": "corp", "name": "Corporate"},
        {"id": "corp-online", "name": "Online", "parent": "corp"},
        {"id": "twin-1", "name": "Twin"},
        {"id": "twin-2", "name": "Twin"},
    ],
    "subscriptions": [
        {
            "id": SUBSCRIPTION,
            "name": "portal",
            "managementGroup": "corp-online",
            "state": "Warned",
            "resourceGroups": [
                {
                    "name": "rg-portal",
                    "location": "westeurope",
                    "resources": [{"type": "Microsoft.Storage/storageAccounts", "name": f"st{n}"} for n in range(7)],
                },
                {"name": "rg-empty", "location": "westeurope"},
            ],
        },
        {"id": HIDDEN, "name": "hidden", "managementGroup": "twin-1"},
    ],
    "roleAssignments": [
        {"principal": SERVICE_PRINCIPAL, "role": "Reader", "scope": f"/subscriptions/{SUBSCRIPTION}"},
        {
            "principal": SERVICE_PRINCIPAL,
            "role": "Management Group Contributor",
            "scope": "/providers/Microsoft.Management/managementGroups/corp",
        },
    ],
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def grow(sandbox: Sandbox, **more: Any) -> None:
    seed = seed_of(Scene()) | {"azure": AZURE | more, "pageSize": 3}
    sandbox.world.seed(seed)


@pytest.fixture
def resources(sandbox: Sandbox) -> Iterator[ResourceManager]:
    grow(sandbox)
    with Connections(
        network=Network(ca_file=sandbox.ca_file), secret=lambda reference: "secret", invitations=MemoryInvitations()
    ) as connections:
        yield connections.connect(platform_at(sandbox.url, Scene()), stop=threading.Event()).resources


def test_a_subscription_with_its_state_and_place(resources: ResourceManager) -> None:
    assert resources.subscription(SUBSCRIPTION) == SubscriptionFacts(
        id=SUBSCRIPTION, display_name="portal", state="Warned", above=(WORKLOAD, "corp", "corp-online")
    )


def test_a_subscription_whose_place_may_not_be_read(resources: ResourceManager, sandbox: Sandbox) -> None:
    sandbox.faults.load([{"kind": "fail", "service": "arm", "path": "getEntities", "status": 403}])

    found = resources.subscription(SUBSCRIPTION)
    sandbox.faults.clear()

    assert found is not None
    assert found.management_group is None


@pytest.mark.parametrize("subscription", [HIDDEN, NOWHERE])
def test_a_subscription_that_may_not_be_seen_or_is_none(subscription: str, resources: ResourceManager) -> None:
    assert resources.subscription(subscription) is None


def test_a_management_group_is_found_by_id_and_never_by_name(resources: ResourceManager) -> None:
    assert resources.management_group("corp-online") == ManagementGroupFacts(
        "corp-online", "Online", (WORKLOAD, "corp")
    )
    assert resources.management_group("CORP-online") == resources.management_group("corp-online")
    assert resources.management_group("Online") is None
    assert resources.management_group(SUBSCRIPTION) is None


@pytest.mark.parametrize("group", ["none", "twin-1"])
def test_a_management_group_that_may_not_be_seen_or_is_none(group: str, resources: ResourceManager) -> None:
    assert resources.management_group(group) is None


def test_the_id_of_a_management_group_that_somebody_named(resources: ResourceManager, sandbox: Sandbox) -> None:
    assert resources.management_group_named("online") == "corp-online"
    assert resources.management_group_named("nothing") is None
    root = {
        "principal": SERVICE_PRINCIPAL,
        "role": "Reader",
        "scope": "/providers/Microsoft.Management/managementGroups/" + WORKLOAD,
    }
    grow(sandbox, roleAssignments=[root])
    assert resources.management_group_named("Twin") is None
    assert resources.management_group_named("Corporate") == "corp"


def test_the_locations_of_a_subscription(resources: ResourceManager) -> None:
    assert {"westeurope", "northeurope"} <= set(resources.locations(SUBSCRIPTION))
    assert "europe" not in resources.locations(SUBSCRIPTION)  # a logical one holds no resource group
    assert resources.locations(HIDDEN) == ()


@pytest.mark.parametrize("scope", [f"/subscriptions/{SUBSCRIPTION}", GROUP])
def test_tags_are_read_and_taken_away_only_while_they_have_the_value(
    scope: str, resources: ResourceManager, sandbox: Sandbox
) -> None:
    writes = {"principal": SERVICE_PRINCIPAL, "role": "Contributor", "scope": f"/subscriptions/{SUBSCRIPTION}"}
    grow(sandbox, roleAssignments=[writes])
    tags = f"{scope}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"
    given = {"lz_a": "1", "lz_b": "2", "Other": "3"}
    sandbox.drift("PATCH", tags, {"operation": "Replace", "properties": {"tags": given}})
    assert resources.tags(scope) == given

    resources.remove_tags(scope, {"LZ_A": "1", "lz_b": "another", "gone": "4"})
    assert resources.tags(scope) == {"lz_b": "2", "Other": "3"}


def test_what_does_not_exist_has_no_tags(resources: ResourceManager) -> None:
    assert resources.tags(f"{GROUP}-none") == {}
    assert resources.tags(f"/subscriptions/{NOWHERE}") == {}


def test_everything_in_a_resource_group_over_all_pages(resources: ResourceManager) -> None:
    assert sorted(resources.resources_in(GROUP)) == [f"{STORAGE}st{number}" for number in range(7)]


def test_an_empty_or_absent_resource_group_holds_nothing(resources: ResourceManager) -> None:
    assert resources.resources_in(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-empty") == ()
    assert resources.resources_in(f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-none") == ()


def test_subscriptions_below_management_groups_come_each_once_with_their_state(sandbox: Sandbox) -> None:
    above = "/providers/Microsoft.Management/managementGroups/corp"
    grow(sandbox, roleAssignments=[{"principal": SERVICE_PRINCIPAL, "role": "Reader", "scope": above}])
    with Connections(
        network=Network(ca_file=sandbox.ca_file), secret=lambda reference: "secret", invitations=MemoryInvitations()
    ) as connections:
        resources = connections.connect(platform_at(sandbox.url, Scene()), stop=threading.Event()).resources
        below = resources.subscriptions_below(["corp", "corp-online"])
        with pytest.raises(RemoteFailed):
            resources.subscriptions_below(["twin-1"])
    assert below == (SubscriptionFacts(SUBSCRIPTION, "portal", "Warned", ("corp-online",)),)


def test_where_a_resource_group_is(resources: ResourceManager) -> None:
    assert resources.location_of(GROUP) == "westeurope"
    assert resources.location_of(f"{GROUP}-none") is None


def test_role_assignments_right_at_a_scope_by_their_role(resources: ResourceManager) -> None:
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    assert list(resources.role_assignments(f"/subscriptions/{SUBSCRIPTION}", SERVICE_PRINCIPAL)) == [reader]
    assert resources.role_assignments(GROUP, SERVICE_PRINCIPAL) == {}  # those above reach it and are not its own
    assert resources.role_assignments(f"/subscriptions/{SUBSCRIPTION}", NOWHERE) == {}


def test_whether_a_resource_exists(resources: ResourceManager) -> None:
    assert resources.exists(GROUP, api_version="2024-03-01")
    assert resources.exists(f"{STORAGE}st1", api_version="2023-05-01")
    assert not resources.exists(f"{STORAGE}none", api_version="2023-05-01")
    assert not resources.exists(f"/subscriptions/{NOWHERE}/resourceGroups/rg", api_version="2024-03-01")


@pytest.mark.parametrize(
    "resource_id",
    ["", "/", "relative", "/a//b", "/a/../b", "/a/.", "/a?b=c", "/a#b", "/a%2fb", "https://evil.example/", "/a\\b"],
)
def test_what_is_no_id_never_reaches_an_address(resource_id: str, resources: ResourceManager) -> None:
    with pytest.raises(ValueError, match="id"):
        resources.exists(resource_id, api_version="2024-03-01")
    with pytest.raises(ValueError, match="id"):
        resources.resources_in(resource_id)
    for ask in (
        lambda: resources.tags(resource_id),
        lambda: resources.location_of(resource_id),
        lambda: resources.role_assignments(resource_id, SERVICE_PRINCIPAL),
    ):
        with pytest.raises(ValueError, match="id"):
            ask()


@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_answer_that_says_nothing_is_an_error(status: int, serve: Callable[..., Loopback]) -> None:
    def script(received: Received) -> Reply:
        return Reply(status, body={"error": {"code": "X", "message": "x"}})

    server = serve(script)
    with Connections(
        network=Network(ca_file=server.ca_file), secret=lambda reference: "secret", invitations=MemoryInvitations()
    ) as connections:
        stop = threading.Event()
        resources = connections.connect(
            platform_at(server.url, Scene()), stop=stop, sleep=lambda seconds: None
        ).resources

        for ask in (
            lambda: resources.subscription(SUBSCRIPTION),
            lambda: resources.management_group("corp"),
            lambda: resources.resources_in(GROUP),
            lambda: resources.exists(GROUP, api_version="2024-03-01"),
        ):
            with pytest.raises(RemoteFailed):
                ask()


def test_a_provider_that_is_not_registered_has_no_resources(serve: Callable[..., Loopback]) -> None:
    server = serve(lambda received: Reply(409, body={"error": {"code": "MissingSubscriptionRegistration"}}))
    with Connections(
        network=Network(ca_file=server.ca_file), secret=lambda reference: "secret", invitations=MemoryInvitations()
    ) as connections:
        resources = connections.connect(platform_at(server.url, Scene()), stop=threading.Event()).resources

        assert not resources.exists(f"{STORAGE}st1", api_version="2023-05-01")
