"""Groups and the roles they get: one run for both, members left alone, drift of a condition seen."""

import re

import pytest

from runner.sandbox.azure.faults import Fail, Lag
from tests.modules.workbench import CALLER, SUBSCRIPTION, SUBSCRIPTION_ID, TENANT, Bench

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
CONDITION = "@Resource[Microsoft.Storage/storageAccounts:name] StringEquals 'wiki'"
UNIT = "7d3f0c52-cccc-4a6e-9c55-2a4b6f1d0001"

GROUP = 'module.groups.azuread_group_without_members.this["reader"]'
ASSIGNMENT = 'module.roles.azapi_resource.this["reader"]'


def build(
    bench: Bench,
    *,
    name: str = "shop-reader",
    role: str = READER,
    condition: str | None = None,
    unit: str | None = None,
) -> None:
    bench.build(
        f"""
        module "groups" {{
          source                 = "./modules/entra-groups"
          groups                 = {{ reader = {{ display_name = "{name}" }} }}
          administrative_unit_id = {f'"{unit}"' if unit else "null"}
        }}
        module "roles" {{
          source          = "./modules/role-assignments"
          scope           = "{SUBSCRIPTION}"
          subscription_id = "{SUBSCRIPTION_ID}"
          assignments = {{
            reader = {{
              principal_id       = module.groups.group_ids["reader"]
              role_definition_id = "{role}"
              condition          = {f'"{condition}"' if condition else "null"}
            }}
          }}
        }}
        output "group_ids" {{ value = module.groups.group_ids }}
        output "assignment_ids" {{ value = module.roles.assignment_ids }}
        """
    )


@pytest.fixture
def given(bench: Bench) -> Bench:
    """A bench whose group holds the role of a reader."""
    build(bench)
    bench.reconcile()
    return bench


def group_id(bench: Bench) -> str:
    ids = bench.output("group_ids")
    assert isinstance(ids, dict)
    return str(ids["reader"])


def assignment_id(bench: Bench) -> str:
    ids = bench.output("assignment_ids")
    assert isinstance(ids, dict)
    return str(ids["reader"])


def assignment(bench: Bench) -> dict[str, str]:
    answer = bench.azure.drift("GET", f"{assignment_id(bench)}?api-version=2022-04-01")
    assert answer.status == 200
    assert isinstance(answer.body, dict)
    return dict(answer.body["properties"])


def put_assignment(bench: Bench, **properties: str) -> None:
    body = {
        "properties": {key: assignment(bench)[key] for key in ("principalId", "principalType", "roleDefinitionId")}
        | properties
    }
    assert bench.azure.drift("PUT", f"{assignment_id(bench)}?api-version=2022-04-01", body).status in (200, 201)


def graph(bench: Bench, method: str, path: str, body: object = None) -> int:
    return bench.azure.drift(method, f"/v1.0{path}", body, tenant=TENANT).status


def reference_to_a_person(bench: Bench) -> dict[str, str]:
    person = bench.azure.world.directories[TENANT].users_having("userPrincipalName", "emergency@workloads.example")[0]
    return {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{person['id']}"}


def test_a_group_and_its_role_are_made_in_one_run(given: Bench) -> None:
    assert assignment(given)["principalId"] == group_id(given)
    assert assignment(given)["principalType"] == "Group"
    assert re.fullmatch(
        rf"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments/[-0-9a-f]{{36}}", assignment_id(given)
    )
    assert given.plan() == {}


def test_the_plan_shows_role_and_scope_before_the_group_exists(bench: Bench) -> None:
    build(bench)

    assert bench.plan() == {GROUP: "create", ASSIGNMENT: "create"}
    assert bench.planned(ASSIGNMENT)["parent_id"] == SUBSCRIPTION
    assert bench.planned(ASSIGNMENT)["body"]["properties"]["roleDefinitionId"].endswith(READER)


def test_the_caller_owns_the_group(given: Bench) -> None:
    owners = given.azure.drift("GET", f"/v1.0/groups/{group_id(given)}/owners", tenant=TENANT).body

    assert isinstance(owners, dict)
    assert [owner["id"] for owner in owners["value"]] == [CALLER]


def test_an_owner_whom_somebody_added_is_shown_and_taken_away(given: Bench) -> None:
    assert graph(given, "POST", f"/groups/{group_id(given)}/owners/$ref", reference_to_a_person(given)) == 204

    assert given.plan() == {GROUP: "update"}
    given.apply()
    assert given.plan() == {}


def test_members_are_nobody_s_business_here(given: Bench) -> None:
    assert graph(given, "POST", f"/groups/{group_id(given)}/members/$ref", reference_to_a_person(given)) == 204

    assert given.plan() == {}


def test_a_name_that_somebody_else_uses_is_refused(bench: Bench) -> None:
    build(bench, name="platform-team")

    assert "already exists" in bench.failure("apply", "-auto-approve")


def test_a_renamed_group_keeps_its_members_and_its_role(given: Bench) -> None:
    before = group_id(given)
    build(given, name="shop-readers")

    assert given.plan() == {GROUP: "update"}
    given.apply()
    assert group_id(given) == before
    assert given.plan() == {}


def test_a_name_that_was_changed_by_hand_is_shown(given: Bench) -> None:
    assert graph(given, "PATCH", f"/groups/{group_id(given)}", {"displayName": "renamed by hand"}) == 204

    assert given.plan() == {GROUP: "update"}


def test_a_group_that_was_deleted_by_hand_is_made_again_with_its_role(given: Bench) -> None:
    assert graph(given, "DELETE", f"/groups/{group_id(given)}") == 204

    assert given.plan() == {GROUP: "create", ASSIGNMENT: "replace"}
    given.apply()
    assert assignment(given)["principalId"] == group_id(given)
    assert given.plan() == {}


def test_a_group_is_made_inside_its_administrative_unit(bench: Bench) -> None:
    build(bench, unit=UNIT)

    assert any(f"/administrativeUnits/{UNIT}/members" in call for call in bench.reconcile())
    assert bench.plan() == {}


def test_a_principal_that_is_not_known_everywhere_yet_is_waited_for(bench: Bench) -> None:
    bench.azure.faults.add(Lag(of="groups", hidden_from="roleAssignments", reads=1))
    build(bench)

    writes = bench.reconcile()

    assert sum("/roleAssignments/" in call for call in writes) == 2
    assert bench.plan() == {}


def test_a_condition_that_is_added_or_changed_is_an_update_of_the_same_assignment(given: Bench) -> None:
    before = assignment_id(given)
    build(given, condition=CONDITION)

    assert given.plan() == {ASSIGNMENT: "update"}
    given.apply()
    assert assignment_id(given) == before
    assert assignment(given)["condition"] == CONDITION
    assert given.plan() == {}


def test_a_condition_that_is_dropped_goes_away(bench: Bench) -> None:
    build(bench, condition=CONDITION)
    bench.reconcile()
    build(bench)

    assert bench.plan() == {ASSIGNMENT: "update"}
    bench.apply()
    assert not assignment(bench).get("condition")
    assert bench.plan() == {}


def test_a_condition_that_somebody_removed_is_shown_and_set_again(bench: Bench) -> None:
    build(bench, condition=CONDITION)
    bench.reconcile()
    put_assignment(bench)
    assert not assignment(bench).get("condition")

    assert bench.plan() == {ASSIGNMENT: "update"}
    bench.apply()
    assert assignment(bench)["condition"] == CONDITION


def test_a_condition_that_somebody_changed_is_shown(bench: Bench) -> None:
    build(bench, condition=CONDITION)
    bench.reconcile()
    put_assignment(bench, condition="@Resource[x] StringEquals 'other'", conditionVersion="2.0")

    assert bench.plan() == {ASSIGNMENT: "update"}


def test_a_condition_that_somebody_added_is_shown_and_taken_away(given: Bench) -> None:
    put_assignment(given, condition=CONDITION, conditionVersion="2.0")

    assert given.plan() == {ASSIGNMENT: "update"}
    given.apply()
    assert not assignment(given).get("condition")
    assert given.plan() == {}


def test_an_assignment_that_was_deleted_by_hand_is_made_again_under_its_name(given: Bench) -> None:
    before = assignment_id(given)
    assert given.azure.drift("DELETE", f"{before}?api-version=2022-04-01").status == 200

    assert given.plan() == {ASSIGNMENT: "create"}
    given.apply()
    assert assignment_id(given) == before


def test_another_role_is_a_clean_replace(given: Bench) -> None:
    before = assignment_id(given)
    build(given, role=CONTRIBUTOR)

    assert given.plan() == {ASSIGNMENT: "replace"}
    given.apply()
    assert assignment_id(given) != before
    assert assignment(given)["roleDefinitionId"].endswith(CONTRIBUTOR)
    assert given.plan() == {}


def test_assignments_of_others_are_left_alone(given: Bench) -> None:
    before = set(given.azure.world.estate.role_assignments)
    given.build("")
    given.plan()
    given.apply()

    assert len(before - set(given.azure.world.estate.role_assignments)) == 1


def test_leaving_the_configuration_takes_role_and_group_away(given: Bench) -> None:
    role, group = assignment_id(given), group_id(given)
    given.build("")

    assert given.plan() == {GROUP: "delete", ASSIGNMENT: "delete"}
    given.apply()
    assert given.azure.drift("GET", f"{role}?api-version=2022-04-01").status == 404
    assert graph(given, "GET", f"/groups/{group}") == 404


def test_a_refused_assignment_is_tried_again_by_the_next_run(bench: Bench) -> None:
    build(bench)
    bench.plan()
    fault = bench.azure.faults.add(
        Fail(method="PUT", path="roleAssignments", status=403, code="AuthorizationFailed", message="No.")
    )
    assert "No." in bench.failure("apply", "plan")
    bench.azure.faults.clear(fault)

    assert bench.plan() == {ASSIGNMENT: "create"}
    bench.apply()
    assert bench.plan() == {}
