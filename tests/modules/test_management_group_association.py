"""Placing a subscription: it moves straight from group to group, drift is seen, and no call ever is a DELETE."""

import pytest

from runner.sandbox.azure.faults import Change, Fail, Meanwhile
from tests.modules.workbench import SUBSCRIPTION_ID, Bench

GROUPS = "/providers/Microsoft.Management/managementGroups"
THEIRS = SUBSCRIPTION_ID.replace("001", "002")
PLACEMENT = {
    "module.management_group.terraform_data.placement": "update",
    "module.management_group.azapi_resource_action.place": "replace",
    "module.management_group.data.azapi_resource_list.after": "read",
}


def build(bench: Bench, group: str) -> None:
    bench.build(
        f"""
        module "management_group" {{
          source              = "./modules/management-group-association"
          management_group_id = "{group}"
          subscription_id     = "{SUBSCRIPTION_ID}"
        }}
        output "group" {{ value = module.management_group.management_group_id }}
        """
    )


def place(bench: Bench, subscription_id: str = SUBSCRIPTION_ID) -> str:
    subscription = bench.azure.world.estate.subscription(subscription_id)
    assert subscription is not None
    return subscription.management_group


def move_by_hand(bench: Bench, group: str, subscription_id: str = SUBSCRIPTION_ID) -> None:
    moved = bench.azure.drift("PUT", f"{GROUPS}/{group}/subscriptions/{subscription_id}?api-version=2020-05-01")
    assert moved.status == 200


def call(method: str, group: str, subscription: str = "") -> str:
    return f"{method} {GROUPS}/{group}/subscriptions{subscription and '/' + subscription}?api-version=2020-05-01"


@pytest.fixture
def placed(bench: Bench) -> Bench:
    """A bench whose subscription was put into the group corp-online."""
    build(bench, "corp-online")
    bench.reconcile()
    bench.forget_calls()
    return bench


def test_the_first_apply_moves_the_subscription_with_one_put_and_reads_it_back(bench: Bench) -> None:
    build(bench, "corp-online")
    bench.plan()
    bench.apply()

    listed, put = call("GET", "corp-online"), call("PUT", "corp-online", SUBSCRIPTION_ID)
    assert bench.calls() == [listed, put, listed]
    assert place(bench) == "corp-online"
    assert bench.output("group") == "corp-online"


def test_the_second_plan_is_empty_and_only_reads(placed: Bench) -> None:
    assert placed.plan() == {}
    assert placed.calls() == [call("GET", "corp-online")] * 2


def test_a_subscription_that_is_in_the_group_already_is_taken_over_without_import(bench: Bench) -> None:
    move_by_hand(bench, "corp-online")
    build(bench, "corp-online")

    assert bench.reconcile() == [call("PUT", "corp-online", SUBSCRIPTION_ID)]
    assert bench.plan() == {}


def test_a_subscription_that_was_moved_by_hand_is_shown_and_moved_back(placed: Bench) -> None:
    move_by_hand(placed, "sandbox")

    assert placed.plan() == PLACEMENT
    assert placed.reconcile() == [call("PUT", "corp-online", SUBSCRIPTION_ID)]
    assert place(placed) == "corp-online"
    assert placed.plan() == {}


def test_a_subscription_that_fell_to_the_root_group_is_moved_back(placed: Bench) -> None:
    placed.azure.drift("DELETE", f"{GROUPS}/corp-online/subscriptions/{SUBSCRIPTION_ID}?api-version=2020-05-01")

    assert placed.plan() == PLACEMENT
    placed.apply()
    assert place(placed) == "corp-online"


def test_another_group_is_reached_without_passing_through_the_root_group(placed: Bench) -> None:
    build(placed, "corp-internal")

    assert placed.plan() == PLACEMENT
    assert placed.reconcile() == [call("PUT", "corp-internal", SUBSCRIPTION_ID)]
    assert place(placed) == "corp-internal"
    assert placed.plan() == {}


def test_another_group_that_a_person_has_chosen_already_needs_no_second_thought(placed: Bench) -> None:
    move_by_hand(placed, "corp-internal")
    build(placed, "corp-internal")

    assert placed.reconcile() == [call("PUT", "corp-internal", SUBSCRIPTION_ID)]
    assert placed.plan() == {}


@pytest.mark.parametrize(("lifecycle", "ends_in"), [("", "corp-internal"), ("create_before_destroy = true", "root")])
def test_a_design_that_lets_go_of_the_old_group_shows_in_the_sandbox(
    lifecycle: str, ends_in: str, bench: Bench
) -> None:
    """What this module is built to avoid, built on purpose: DELETE on the old group, first or (worse) last."""

    def wrong(group: str) -> None:
        bench.build(
            f"""
            resource "azapi_resource" "association" {{
              type      = "Microsoft.Management/managementGroups/subscriptions@2020-05-01"
              parent_id = "/providers/Microsoft.Management/managementGroups/{group}"
              name      = "{SUBSCRIPTION_ID}"
              lifecycle {{
                {lifecycle}
              }}
            }}
            """
        )

    wrong("corp-online")
    bench.reconcile()
    wrong("corp-internal")
    bench.plan()
    bench.forget_calls()
    bench.apply()

    put, let_go = call("PUT", "corp-internal", SUBSCRIPTION_ID), call("DELETE", "corp-online", SUBSCRIPTION_ID)
    assert bench.writes() == ([put, let_go] if lifecycle else [let_go, put])
    root = bench.azure.world.estate.root.name
    assert place(bench) == {"root": root}.get(ends_in, ends_in)


def test_other_subscriptions_in_the_groups_stay_as_they_are(placed: Bench) -> None:
    move_by_hand(placed, "corp-online", THEIRS)
    build(placed, "corp-internal")
    placed.reconcile()
    placed.build("")
    placed.reconcile()

    assert not [asked for asked in placed.calls() if THEIRS in asked]
    assert place(placed, THEIRS) == "corp-online"


def test_a_subscription_that_somebody_moves_while_it_is_placed_fails_the_apply_and_the_next_plan_moves_it_back(
    bench: Bench,
) -> None:
    build(bench, "corp-online")
    bench.plan()
    elsewhere = Change(path=call("PUT", "sandbox", SUBSCRIPTION_ID).removeprefix("PUT "), body={})
    bench.azure.faults.add(Meanwhile(method="PUT", path="corp-online", times=1, change=elsewhere))
    said = bench.failure("apply", "plan")
    assert f'Subscription {SUBSCRIPTION_ID} must be in management group "corp-online"' in said
    assert "the next plan shows that and moves it back" in said

    assert "module.management_group.azapi_resource_action.place" in bench.plan()
    bench.apply()
    assert place(bench) == "corp-online"
    assert bench.plan() == {}


def test_leaving_the_configuration_leaves_the_subscription_where_it_is(placed: Bench) -> None:
    placed.build("")

    assert list(placed.plan().values()) == ["delete"] * 2
    assert placed.reconcile() == []
    assert place(placed) == "corp-online"


def test_a_destroy_is_not_hindered_by_a_subscription_that_was_moved(placed: Bench) -> None:
    move_by_hand(placed, "sandbox")
    placed.plan("-destroy")
    placed.forget_calls()
    placed.apply()

    assert placed.writes() == []
    assert place(placed) == "sandbox"


def test_looking_for_drift_alone_does_not_fail_on_a_subscription_that_was_moved(placed: Bench) -> None:
    move_by_hand(placed, "sandbox")

    assert "Warning: Resource postcondition failed" in placed.refresh()


def test_rights_that_arrive_late_are_waited_for(bench: Bench) -> None:
    build(bench, "corp-online")
    bench.azure.faults.add(Fail(method="PUT", status=403, code="AuthorizationFailed", message="Not yet.", times=1))

    assert bench.reconcile() == [call("PUT", "corp-online", SUBSCRIPTION_ID)] * 2
    assert place(bench) == "corp-online"


def test_a_placement_that_azure_refuses_is_shown_again_by_the_next_plan(placed: Bench) -> None:
    build(placed, "corp-internal")
    placed.plan()
    fault = placed.azure.faults.add(Fail(method="PUT", status=400, code="BadRequest", message="No."))
    assert "No." in placed.failure("apply", "plan")
    placed.azure.faults.clear(fault)

    assert place(placed) == "corp-online"
    assert placed.reconcile() == [call("PUT", "corp-internal", SUBSCRIPTION_ID)]
    assert placed.plan() == {}


def test_a_group_that_does_not_exist_is_refused_before_anything_is_done(bench: Bench) -> None:
    build(bench, "nowhere")

    assert "nowhere" in bench.failure("plan")
    assert bench.writes() == []
