"""A resource group: never replaced, its tags left to others, nothing taken over unseen."""

import pytest

from runner.sandbox.azure.faults import Slow
from tests.modules.workbench import SUBSCRIPTION, SUBSCRIPTION_ID, Bench

ID = f"{SUBSCRIPTION}/resourceGroups/rg-shop"
ADDRESS = "module.resource_group_shop.azapi_resource.this"
TAGS = f"{ID}/providers/Microsoft.Resources/tags/default?api-version=2021-04-01"


def build(bench: Bench, *, name: str = "rg-shop", location: str = "westeurope", more: str = "") -> None:
    bench.build(
        f"""
        module "resource_group_shop" {{
          source          = "./modules/resource-group"
          subscription_id = "{SUBSCRIPTION_ID}"
          name            = "{name}"
          location        = "{location}"
        }}
        output "id" {{ value = module.resource_group_shop.id }}
        {more}
        """
    )


@pytest.fixture
def made(bench: Bench) -> Bench:
    """A bench that has made the group."""
    build(bench)
    bench.reconcile()
    return bench


def call(method: str) -> str:
    return f"{method} {ID}?api-version=2022-09-01"


def tags(bench: Bench) -> dict[str, str]:
    answer = bench.azure.drift("GET", TAGS)
    assert isinstance(answer.body, dict)
    return dict(answer.body["properties"]["tags"])


def test_a_group_is_looked_for_then_made(bench: Bench) -> None:
    build(bench)
    bench.plan()
    bench.apply()

    assert bench.calls() == [call("GET"), call("PUT"), call("GET")]
    assert bench.output("id") == ID


def test_the_second_plan_is_empty_whatever_others_have_tagged_since(made: Bench) -> None:
    assert (
        made.azure.drift("PATCH", TAGS, {"operation": "Merge", "properties": {"tags": {"policy": "x"}}}).status == 200
    )
    made.forget_calls()

    assert made.plan() == {}
    assert made.calls() == [call("GET")]


def test_the_tags_module_and_this_one_get_along(bench: Bench) -> None:
    more = """
    module "tags" {
      source = "./modules/subscription-tags"
      scope  = module.resource_group_shop.id
      tags   = { "mesh-env" = "prod" }
    }
    """
    build(bench, more=more)
    bench.azure.faults.add(
        Slow(method="GET", path=r"rg-shop\?", seconds=0.5)
    )  # tags that do not wait would be too early
    bench.reconcile()

    assert tags(bench) == {"mesh-env": "prod"}
    assert bench.plan() == {}


def test_a_group_that_exists_is_not_taken_over_unseen(bench: Bench) -> None:
    assert bench.azure.drift("PUT", ID, {"location": "westeurope", "tags": {"owner": "wiki"}}).status in (200, 201)
    build(bench)

    assert "already exists" in bench.failure("apply", "-auto-approve")
    assert bench.writes() == []


def test_a_group_that_exists_can_be_imported_and_keeps_its_tags(bench: Bench) -> None:
    bench.azure.drift("PUT", ID, {"location": "westeurope", "tags": {"owner": "wiki"}})
    bench.forget_calls()
    build(bench, more=f'import {{\n to = {ADDRESS}\n id = "{ID}?api-version=2022-09-01"\n}}')
    bench.plan()
    bench.apply()

    assert tags(bench) == {"owner": "wiki"}
    assert bench.plan() == {}


@pytest.mark.parametrize("change", [{"name": "rg-store"}, {"location": "northeurope"}])
def test_a_change_that_would_delete_what_is_in_the_group_is_refused(made: Bench, change: dict[str, str]) -> None:
    build(made, **change)

    assert "Instance cannot be destroyed" in made.failure("plan")


def test_a_group_that_was_deleted_by_hand_is_made_again(made: Bench) -> None:
    made.azure.drift("DELETE", ID)

    assert made.plan() == {ADDRESS: "create"}


def test_leaving_the_configuration_deletes_the_group(made: Bench) -> None:
    made.build("")

    assert made.plan() == {ADDRESS: "delete"}
    assert made.reconcile() == [call("DELETE")]
    assert made.azure.drift("GET", ID).status == 404


def test_a_removed_block_leaves_the_group_in_azure(made: Bench) -> None:
    made.build("removed {\n from = module.resource_group_shop\n lifecycle {\n destroy = false\n }\n}\n")

    assert made.plan() == {ADDRESS: "remove"}
    assert made.reconcile() == []
    assert made.azure.drift("GET", ID).status == 200
