"""The building blocks that come with the runner: made, quiet afterwards, healed, changed and taken away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.workbench import SUBSCRIPTION, SUBSCRIPTION_ID, TENANT, Bench

BUDGET = f"{SUBSCRIPTION}/providers/Microsoft.Consumption/budgets/monthly"
BUDGET_ADDRESS = "module.budget.azapi_resource.this"
GROUP = "7d3f0c52-eeee-4a6e-9c55-2a4b6f1d0001"
OTHER_GROUP = "7d3f0c52-eeee-4a6e-9c55-2a4b6f1d0002"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
INSTANCES = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleEligibilityScheduleInstances"
RESOURCE_GROUP = f"{SUBSCRIPTION}/resourceGroups/rg-ids"


def resources(bench: Bench, part: str) -> list[dict[str, Any]]:
    found = bench.azure.world.estate.resources.items()
    return [one for key, one in found if part.lower() in key]


# --- budget ----------------------------------------------------------------------------------------------------------


def budget(bench: Bench, *, amount: int = 500, more: str = "") -> None:
    bench.build(
        f"""
        module "budget" {{
          source        = "./modules/budget"
          scope         = "{SUBSCRIPTION}"
          amount        = {amount}
          notifications = {{ most = {{ threshold = 80, contact_roles = ["Owner"] }} }}
          {more}
        }}
        """
    )


def test_a_budget_begins_this_month_and_stays_as_it_is(bench: Bench) -> None:
    budget(bench)
    bench.reconcile()

    (made,) = resources(bench, "/budgets/monthly")
    assert made["properties"]["timePeriod"]["startDate"] == f"{bench.azure.world.now():%Y-%m}-01T00:00:00Z"
    assert bench.plan() == {}


def test_a_budget_that_somebody_changed_is_shown_and_healed(bench: Bench) -> None:
    budget(bench)
    bench.reconcile()
    resources(bench, "/budgets/monthly")[0]["properties"]["notifications"] = {}

    assert bench.plan() == {BUDGET_ADDRESS: "update"}
    bench.apply()
    assert list(resources(bench, "/budgets/monthly")[0]["properties"]["notifications"]) == ["most"]
    assert bench.plan() == {}


def test_another_amount_is_a_change_in_place_and_a_budget_that_is_not_wanted_goes(bench: Bench) -> None:
    budget(bench)
    bench.reconcile()
    budget(bench, amount=600)
    assert bench.plan() == {BUDGET_ADDRESS: "update"}
    bench.apply()
    assert resources(bench, "/budgets/monthly")[0]["properties"]["amount"] == 600

    bench.build("")
    bench.reconcile()
    assert resources(bench, "/budgets/monthly") == []


def test_a_month_that_is_over_is_azures_error(bench: Bench) -> None:
    budget(bench, more='start_date = "2020-01-01T00:00:00Z"')

    assert "current time grain" in bench.failure("apply", "-auto-approve")


# --- resource providers ----------------------------------------------------------------------------------------------


def registration(bench: Bench, *namespaces: str) -> None:
    listed = ", ".join(f'"{one}"' for one in namespaces)
    bench.build(
        f"""
        module "providers" {{
          source          = "./modules/resource-provider-registration"
          subscription_id = "{SUBSCRIPTION_ID}"
          namespaces      = [{listed}]
        }}
        """
    )


def registered(bench: Bench, namespace: str) -> str:
    found = bench.azure.drift("GET", f"{SUBSCRIPTION}/providers/{namespace}?api-version=2021-04-01")
    assert isinstance(found.body, dict)
    return str(found.body["registrationState"])


def test_providers_are_registered_once(bench: Bench) -> None:
    registration(bench, "Microsoft.ContainerService", "Microsoft.Web")
    bench.reconcile()

    assert registered(bench, "Microsoft.ContainerService") in ("Registering", "Registered")
    bench.forget_calls()
    assert bench.plan() == {}
    assert bench.writes() == []


def test_a_provider_that_somebody_unregistered_is_registered_again(bench: Bench) -> None:
    registration(bench, "Microsoft.Web")
    bench.reconcile()
    path = f"{SUBSCRIPTION}/providers/Microsoft.Web/unregister?api-version=2021-04-01"
    assert bench.azure.drift("POST", path).status == 200

    assert bench.plan() == {
        'module.providers.terraform_data.registration["Microsoft.Web"]': "update",
        'module.providers.azapi_resource_action.register["Microsoft.Web"]': "replace",
    }
    bench.apply()
    assert registered(bench, "Microsoft.Web") in ("Registering", "Registered")
    assert bench.plan() == {}


def test_nothing_is_ever_unregistered(bench: Bench) -> None:
    registration(bench, "Microsoft.Web")
    bench.reconcile()
    bench.build("")

    assert bench.reconcile() == []
    assert registered(bench, "Microsoft.Web") in ("Registering", "Registered")


# --- eligible roles --------------------------------------------------------------------------------------------------


@pytest.fixture
def people(bench: Bench) -> Bench:
    """An Azure with two groups."""
    from runner.sandbox.azure.directory import Group, group_defaults

    directory = bench.azure.world.directories[TENANT]
    for object_id in (GROUP, OTHER_GROUP):
        directory.put_group(Group(object_id, group_defaults({"displayName": object_id})))
    return bench


def eligible(bench: Bench, *, principal: str = GROUP, role: str = CONTRIBUTOR, duration: str = "P365D") -> None:
    bench.build(
        f"""
        module "eligible" {{
          source          = "./modules/eligible-role-assignments"
          scope           = "{SUBSCRIPTION}"
          subscription_id = "{SUBSCRIPTION_ID}"
          group_ids       = {{ admin = "{principal}" }}
          assignments     = {{ a = {{ group = "admin", role_definition_id = "{role}", duration = "{duration}" }} }}
        }}
        """
    )


def held(bench: Bench) -> list[tuple[str, str]]:
    return [
        (one["properties"]["principalId"], one["properties"]["roleDefinitionId"].rpartition("/")[2])
        for one in resources(bench, f"{INSTANCES}/")
    ]


def test_a_role_becomes_eligible_with_one_request_and_then_nothing_happens(people: Bench) -> None:
    eligible(people)

    (call,) = people.reconcile()
    assert call.startswith(f"PUT {SUBSCRIPTION}/providers/Microsoft.Authorization/roleEligibilityScheduleRequests/")
    assert held(people) == [(GROUP, CONTRIBUTOR)]
    assert people.plan() == {}


def test_an_eligibility_that_ran_out_is_requested_again_and_nothing_is_removed(people: Bench) -> None:
    eligible(people)
    people.reconcile()
    (instance,) = resources(people, f"{INSTANCES}/")
    del people.azure.world.estate.resources[instance["id"].lower()]

    assert len(people.reconcile()) == 1
    assert held(people) == [(GROUP, CONTRIBUTOR)]
    assert people.plan() == {}


def test_another_duration_is_asked_for_without_taking_the_eligibility_away(people: Bench) -> None:
    eligible(people)
    people.reconcile()
    eligible(people, duration="P30D")

    assert len(people.reconcile()) == 1
    asked = [one["properties"]["requestType"] for one in resources(people, "/roleeligibilityschedulerequests/")]
    assert asked == ["AdminAssign", "AdminUpdate"]
    assert people.plan() == {}


@pytest.mark.parametrize("change", [{"principal": OTHER_GROUP}, {"role": READER}])
def test_another_principal_or_role_takes_the_old_eligibility_away(people: Bench, change: dict[str, str]) -> None:
    eligible(people)
    people.reconcile()
    eligible(people, **change)
    people.reconcile()

    assert held(people) == [(change.get("principal", GROUP), change.get("role", CONTRIBUTOR))]
    assert people.plan() == {}


def test_an_assignment_that_is_not_wanted_any_more_is_removed(people: Bench) -> None:
    eligible(people)
    people.reconcile()
    people.build("")
    people.reconcile()

    assert held(people) == []


# --- pipeline identity -----------------------------------------------------------------------------------------------


def identity(bench: Bench, *subjects: str) -> None:
    credentials = ", ".join(
        f'{{ issuer = "https://token.pipelines.example", subject = "{subject}" }}' for subject in subjects
    )
    names = [f"main-{number}" for number in range(len(subjects))]
    bench.build(
        f"""
        module "pipeline" {{
          source            = "./modules/pipeline-identity"
          resource_group_id = "{RESOURCE_GROUP}"
          name              = "deployer"
          location          = "westeurope"
          credentials       = zipmap({str(names).replace("'", '"')}, [{credentials}])
        }}
        output "principal" {{ value = module.pipeline.principal_id }}
        """
    )


@pytest.fixture
def group(bench: Bench) -> Bench:
    assert (
        bench.azure.drift("PUT", f"{RESOURCE_GROUP}?api-version=2022-09-01", {"location": "westeurope"}).status == 201
    )
    return bench


def test_an_identity_trusts_its_pipelines_and_keeps_its_principal(group: Bench) -> None:
    identity(group, "repo:a:ref:refs/heads/main", "repo:b:ref:refs/heads/main")
    group.reconcile()
    principal = group.output("principal")

    found = resources(group, "/federatedidentitycredentials/")
    assert {one["properties"]["subject"] for one in found} == {
        "repo:a:ref:refs/heads/main",
        "repo:b:ref:refs/heads/main",
    }
    assert found[0]["properties"]["audiences"] == ["api://AzureADTokenExchange"]
    assert group.plan() == {}

    identity(group, "repo:c:ref:refs/heads/main")
    group.reconcile()
    (left,) = resources(group, "/federatedidentitycredentials/")
    assert left["properties"]["subject"] == "repo:c:ref:refs/heads/main"
    assert group.output("principal") == principal
    assert group.plan() == {}


def test_a_credential_that_somebody_changed_is_healed(group: Bench) -> None:
    identity(group, "repo:a:ref:refs/heads/main")
    group.reconcile()
    resources(group, "/federatedidentitycredentials/")[0]["properties"]["subject"] = "repo:evil"

    assert group.plan() == {'module.pipeline.azapi_resource.credential["main-0"]': "update"}
    group.apply()
    assert (
        resources(group, "/federatedidentitycredentials/")[0]["properties"]["subject"] == "repo:a:ref:refs/heads/main"
    )


def test_an_identity_that_is_not_wanted_any_more_goes_with_its_credentials(group: Bench) -> None:
    identity(group, "repo:a:ref:refs/heads/main")
    group.reconcile()
    group.build("")
    group.reconcile()

    assert resources(group, "/userassignedidentities/") == []
