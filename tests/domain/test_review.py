"""What a reviewer decides on: risks first, one digest over all of it, and what finishes an interrupted run."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain import review, wording
from runner.domain.access import AccessPlan, Addition, Invitation, Removal
from runner.domain.configuration import Configuration, compose
from runner.domain.facts import Facts, Source
from runner.domain.invocation import Invocation, invocation
from runner.domain.landing_zone import ApprovalRules
from runner.domain.plan import SENSITIVE, UNKNOWN, Action, Plan, ResourceChange
from runner.domain.review import BundleFacts, Contents, Review
from runner.domain.run import Behavior
from runner.domain.subscription import Step
from tests.domain.documents import CONTRIBUTOR, OWNER, placed

GROUP = "99999999-0000-4000-8000-000000000001"
BUNDLE = BundleFacts(
    tenant="payments.checkout-dev",
    engine="terraform",
    engine_version="1.11.4",
    providers={"registry.terraform.io/azure/azapi": "2.12.0"},
    stand_ins=False,
    configuration="c" * 64,
    lock_file="l" * 64,
    plan_file="p" * 64,
    lineage="",
    serial=0,
    cloud="https://management.azure.com",
)
FUNCTION = {
    "azureFunctionUrl": "https://lz.example/api/onboard",
    "azureFunctionScope": "3b7f0000-0000-4000-8000-000000000001",
}


def change(
    block: str, action: Action, *, type_: str = "azapi_resource", key: str = "", **values: Any
) -> ResourceChange:
    return ResourceChange(
        address=f'module.{block}.{type_}.this["{key}"]',
        module=f"module.{block}",
        type=type_,
        name="this",
        key=key,
        action=action,
        importing=values.get("importing"),
        before=values.get("before"),
        after=values.get("after"),
    )


def made(
    *changes: ResourceChange,
    access: AccessPlan | None = None,
    call: Invocation | None = None,
    approved: dict[str, Any] | None = None,
    contents: tuple[Contents, ...] = (),
    **more: Any,
) -> Review:
    which = more.get("which") or placed()
    configuration: Configuration = compose(which)
    return review.build(
        run="r1",
        behavior=Behavior.APPLY,
        placed=which,
        documents="d" * 64,
        configuration=configuration,
        bundle=more.get("bundle", BUNDLE),
        plan=Plan(changes=changes, resources=len(changes)),
        facts=Facts(subscription_name="payments", above=("root", "sandbox")),
        access=access or AccessPlan(),
        invocation=call,
        approved_invocation=approved,
        contents=contents,
        adopts=more.get("adopts", {}),
        warnings=(),
    )


def role(key: str, action: Action = Action.CREATE) -> ResourceChange:
    definition = key.rpartition("/")[2]
    body = {
        "properties": {
            "roleDefinitionId": f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{definition}"
        }
    }
    return change(
        "roles", action, key=key, after=None if action is Action.DELETE else {"body": body}, before={"body": body}
    )


def association(action: Action = Action.CREATE) -> ResourceChange:
    target = {"resource_id": "/providers/Microsoft.Management/managementGroups/corp-online/subscriptions/x"}
    return change("management_group", action, type_="azapi_resource_action", after=target, before=target)


def test_owner_and_leaving_a_management_group_come_before_everything_else() -> None:
    found = made(role(f"user/{CONTRIBUTOR}"), role(f"admin/{OWNER}"), association())
    assert [risk.text for risk in found.risks] == [
        'Gives Owner on the subscription "payments" to the group payments.checkout-dev-admin',
        'Move the subscription "payments" from management group sandbox to corp-online',
    ]


def test_a_person_who_gets_the_highest_rights_by_a_group_is_somebody_to_look_at() -> None:
    joins = Addition(alias="admin", group_name="payments.checkout-dev-admin", person="ops@corp.example", object_id="1")
    found = made(access=AccessPlan(additions=(joins,)))
    assert [(risk.code, risk.destructive) for risk in found.risks] == [("gives-highest-rights", True)]
    assert "Owner on the subscription" in found.risks[0].text
    assert "ops@corp.example by the group payments.checkout-dev-admin" in found.risks[0].text
    told_of_the_group = made(role(f"admin/{OWNER}"), access=AccessPlan(additions=(joins,)))
    assert len(told_of_the_group.risks) == 1


def test_a_role_for_an_existing_group_is_one_for_everybody_in_it() -> None:
    existing = {"existingGroups": [{"projectRoleRef": {"name": "user"}, "objectId": GROUP}]}
    found = made(role(f"user/{CONTRIBUTOR}"), which=placed(tenant=existing))
    assert [risk.code for risk in found.risks] == ["gives-rights-to-existing-group"]
    assert GROUP in found.risks[0].text


def test_what_exists_and_is_taken_over_is_something_to_look_at() -> None:
    found = made(change("resource_group_network", Action.UPDATE, importing="/x", before={"name": "rg"}))
    assert found.risks[0].code == "takes-over"


def test_a_group_that_has_the_wanted_name_is_something_to_look_at_and_a_persons_to_decide() -> None:
    found = made(adopts={"shop-admin": GROUP})
    assert [risk.code for risk in found.risks] == ["takes-over"]
    assert f"shop-admin that exists already ({GROUP})" in found.risks[0].text
    assert not found.nothing_changes
    assert review.decision(ApprovalRules(policy="never"), found) == "person"


def test_of_what_is_taken_over_only_what_the_documents_speak_of_is_a_difference() -> None:
    before = {
        "type": "Microsoft.Authorization/roleAssignments@2022-04-01",
        "schema_validation_enabled": True,
        "location": None,
        "body": {"id": "/x", "properties": {"condition": "a", "createdOn": "then", "principalId": "AB"}},
    }
    after = {
        **before,
        "schema_validation_enabled": False,
        "ignore_casing": True,
        "body": {"properties": {"condition": None, "description": None, "principalId": "ab"}},
    }
    key = f"user/{CONTRIBUTOR}"
    taken = change("roles", Action.UPDATE, key=key, importing="/x?api-version=1", before=before, after=after)
    assert [(one.path, one.before, one.after) for one in wording.differences(taken)] == [
        ("body.properties.condition", "a", None)
    ]
    assert "the role Contributor of the group" in made(taken).sentences[0].text
    assert made(taken).sentences[0].text.endswith(", and change it")
    same = taken.model_copy(update={"before": {**before, "body": {"properties": {"principalId": "AB"}}}})
    assert made(same).sentences[0].text.endswith(", as it is")


def test_a_location_that_is_written_otherwise_is_no_difference_and_another_one_is() -> None:
    for now, differs in (("WestEurope", False), ("northeurope", True)):
        values: dict[str, Any] = {
            "importing": "/x",
            "before": {"location": now},
            "after": {"location": "westeurope", "name": UNKNOWN},
        }
        found = wording.differences(change("resource_group_net", Action.UPDATE, **values))
        assert [one.path for one in found] == [*(["location"] if differs else []), "name"]


@pytest.mark.parametrize(
    ("policy", "by_itself", "contents", "decides"),
    [
        ("never", False, False, "person"),
        ("never", True, False, "policy"),
        ("never", True, True, "person"),
        ("when-destructive", True, False, "person"),
        ("always", True, False, "person"),
    ],
)
def test_a_tenant_leaves_by_policy_only_where_its_zone_says_both(
    policy: Any, by_itself: bool, contents: bool, decides: str
) -> None:
    inside = (Contents(resource_group="rg", resources=("/a",)),) if contents else ()
    found = made(change("resource_group_net", Action.DELETE, before={"name": "rg"}), contents=inside)
    leaving = found.model_copy(update={"behavior": Behavior.DESTROY})
    assert review.decision(ApprovalRules(policy=policy), leaving, leaves_by_itself=by_itself) == decides


def test_four_eyes_are_never_a_policys() -> None:
    assert review.decision(ApprovalRules(policy="never", four_eyes=True), made(association())) == "person"


def test_sentences_say_who_gets_what_where() -> None:
    found = made(role(f"user/{CONTRIBUTOR}"))
    assert [sentence.text for sentence in found.sentences] == [
        'Give the group payments.checkout-dev-user the role Contributor on the subscription "payments"'
    ]


def test_what_is_destroyed_is_said_first() -> None:
    group = change(
        "groups", Action.DELETE, type_="azuread_group_without_members", before={"display_name": "g"}, key="g"
    )
    found = made(role(f"user/{CONTRIBUTOR}"), group)
    assert [sentence.sign for sentence in found.sentences] == ["-", "+"]
    assert found.risks[0].code == "deletes"


def test_a_change_nobody_knows_is_said_by_its_address() -> None:
    found = made(change("budget", Action.CREATE, key="b"))
    assert found.sentences[0].text == 'Create module.budget.azapi_resource.this["b"]'


def test_records_of_the_engine_are_counted_and_not_told() -> None:
    found = made(change("management_group", Action.CREATE, type_="terraform_data"))
    assert found.sentences == ()
    assert (found.counts["add"], found.counts["records"]) == (0, 1)


def test_a_subscription_that_is_moved_is_changed_and_nothing_is_destroyed() -> None:
    found = made(association(Action.REPLACE))
    assert (found.counts["add"], found.counts["change"], found.counts["destroy"]) == (0, 1, 0)
    assert found.sentences[0].sign == "~"


def test_the_same_review_has_the_same_digest_and_any_difference_another() -> None:
    assert made(association()).digest == made(association()).digest
    others = [
        made(),
        made(association(), bundle=BUNDLE.model_copy(update={"plan_file": "q" * 64})),
        made(association(), bundle=BUNDLE.model_copy(update={"engine_version": "1.11.5"})),
        made(association(), bundle=BUNDLE.model_copy(update={"serial": 1})),
        made(
            association(),
            access=AccessPlan(additions=(Addition(alias="a", group_name="g", person="p", object_id="1"),)),
        ),
        made(association(), call=Invocation(url="https://x", scope="s", headers=())),
        made(association()).model_copy(update={"documents": "e" * 64}),
        made(association()).model_copy(update={"run": "r2"}),
    ]
    digests = {other.digest for other in others} | {made(association()).digest}
    assert len(digests) == len(others) + 1


def test_a_review_that_was_kept_as_json_has_the_same_digest() -> None:
    found = made(association(), role(f"admin/{OWNER}"))
    assert Review.model_validate_json(found.model_dump_json()).digest == found.digest


def test_the_function_is_asked_about_unless_it_is_the_call_approved_before() -> None:
    which = placed(zone={"azureFunction": FUNCTION})
    call = invocation(which.zone, which.tenant, subscription_id="s")
    assert call is not None
    new, known = made(call=call), made(call=call, approved=call.model_dump(mode="json"))
    moved = made(call=call, approved=call.model_copy(update={"scope": "another"}).model_dump(mode="json"))
    assert (new.nothing_to_decide, known.nothing_to_decide, moved.nothing_to_decide) == (False, True, False)


REMOVAL = Removal(alias="admin", group_name="g", group_id="1", object_id="2", kind="user", label="x")


@pytest.mark.parametrize(
    ("policy", "found", "decides"),
    [
        ("always", made(role(f"user/{CONTRIBUTOR}")), "person"),
        ("when-destructive", made(role(f"user/{CONTRIBUTOR}")), "policy"),
        ("when-destructive", made(role(f"admin/{OWNER}")), "person"),
        ("when-destructive", made(role(f"user/{CONTRIBUTOR}", Action.DELETE)), "person"),
        ("when-destructive", made(access=AccessPlan(removals=(REMOVAL,))), "person"),
        ("never", made(role(f"user/{CONTRIBUTOR}", Action.DELETE)), "policy"),
        ("never", made(contents=(Contents(resource_group="rg", resources=("r",)),)), "person"),
    ],
)
def test_the_zones_rules_decide_who_decides(policy: Any, found: Review, decides: str) -> None:
    assert review.decision(ApprovalRules(policy=policy), found) == decides


# --- continuing an interrupted run -----------------------------------------------------------------------------------

VALUES: dict[str, Any] = {"name": "n", "id": UNKNOWN, "body": {"a": 1, "b": UNKNOWN}}


def test_what_remains_of_an_approved_plan_goes_on() -> None:
    approved = made(change("a", Action.CREATE, after=VALUES), change("b", Action.CREATE, after=VALUES))
    fresh = made(change("b", Action.CREATE, after={"name": "n", "id": "now known", "body": {"a": 1, "b": [2]}}))
    assert review.strays(approved, fresh) == []


@pytest.mark.parametrize(
    "fresh",
    [
        change("c", Action.CREATE, after=VALUES),
        change("a", Action.DELETE, before=VALUES),
        change("a", Action.REPLACE, after=VALUES),
        change("a", Action.CREATE, after={**VALUES, "name": "other"}),
        change("a", Action.CREATE, after={**VALUES, "more": 1}),
        change("a", Action.CREATE, after=VALUES, importing="/x"),
    ],
    ids=["new address", "other action", "replace", "other value", "more values", "import"],
)
def test_what_was_not_approved_is_asked_again(fresh: ResourceChange) -> None:
    assert review.strays(made(change("a", Action.CREATE, after=VALUES)), made(fresh))


def test_a_masked_value_cannot_be_told_apart_and_is_asked_again() -> None:
    secret = change("a", Action.CREATE, after={"x": SENSITIVE})
    assert review.strays(made(secret), made(secret))


def test_people_and_documents_that_were_not_approved_are_asked_again() -> None:
    addition = Addition(alias="admin", group_name="g", person="p", object_id="1")
    invitation_ = Invitation(
        person="p", email="p@x.example", display_name="", redirect_url="https://x", send_mail=False
    )
    assert review.strays(made(), made(access=AccessPlan(additions=(addition,))))
    assert review.strays(made(), made(access=AccessPlan(invitations=(invitation_,))))
    assert review.strays(made(), made(access=AccessPlan(removals=(REMOVAL,))))
    assert review.strays(made(), made().model_copy(update={"documents": "e" * 64}))
    assert review.strays(made(), made(call=Invocation(url="https://x", scope="s", headers=())))


def test_another_account_of_a_person_is_asked_about_again() -> None:
    """Ids that were known at approval are what was approved; those that were not are the run's own."""
    unknown = Addition(alias="admin", group_name="g", person="p")
    known = unknown.model_copy(update={"object_id": "1", "group_id": "7"})
    another = known.model_copy(update={"object_id": "2"})

    def of(addition: Addition) -> Review:
        return made(access=AccessPlan(additions=(addition,)))

    assert review.strays(of(unknown), of(known)) == []
    assert review.strays(of(known), of(known)) == []
    assert review.strays(of(known), of(another)) == ["p would be added to g"]


actions = st.sampled_from([Action.CREATE, Action.UPDATE, Action.DELETE])
some_changes = st.lists(
    st.tuples(st.sampled_from("abcd"), actions, st.integers(0, 2)), max_size=4, unique_by=lambda item: item[0]
)


@given(some_changes, some_changes)
def test_only_a_subset_of_what_was_approved_ever_goes_on(first: Any, second: Any) -> None:
    approved = made(*(change(block, action, after={"v": value}) for block, action, value in first))
    fresh = made(*(change(block, action, after={"v": value}) for block, action, value in second))
    assert (review.strays(approved, fresh) == []) == (set(second) <= set(first))


# --- previews --------------------------------------------------------------------------------------------------------

COMING, REAL = "00000000-0000-5000-8000-00000000000c", "4f1c2d30-0000-4000-8000-00000000000d"


def about(
    subscription: str, *, name: str | None = None, principal: str = GROUP, steps: tuple[Step, ...] = (), extra: str = ""
) -> Review:
    """A review of one role assignment on this subscription, and of another thing that tells its id."""
    scope = f"/subscriptions/{subscription}"
    properties = {
        "principalId": principal,
        "roleDefinitionId": f"{scope}/providers/Microsoft.Authorization/roleDefinitions/{OWNER}",
    }
    after: dict[str, Any] = {"parent_id": scope, "body": {"properties": properties}}
    after["name"] = name or review.assignment_name(after) or UNKNOWN
    changes = [change("roles", Action.CREATE, key=f"admin/{OWNER}", after=after)]
    changes += [change("tags", Action.CREATE, after={"resource_id": f"{scope}{extra}"})] if extra != "-" else []
    to_come = Source(how="created", stage="to-create") if subscription == COMING else Source(how="created")
    found = made(*changes).model_copy(update={"subscription": subscription, "steps": steps})
    return found.model_copy(update={"facts": Facts(subscription_name="payments", source=to_come)})


def give(principal: str, subscription: str) -> Step:
    return Step(kind="give-owner", subscription=subscription, principal=principal)


def test_a_plan_that_is_its_preview_with_the_id_filled_in_goes_on() -> None:
    assert review.differs(about(COMING), about(REAL)) == []
    assert review.differs(about(COMING, principal=UNKNOWN), about(REAL)) == []  # a group that was made first
    order = Step(kind="create", subscription=COMING, name="payments")
    preview = about(COMING, steps=(order, give(GROUP, COMING)))
    assert review.differs(preview, about(REAL, steps=(give(GROUP, REAL),))) == []


@pytest.mark.parametrize(
    "fresh",
    [
        about(REAL, principal=COMING),
        about(REAL, name=COMING),
        about(REAL, extra="/resourceGroups/other"),
        about(REAL, extra="-"),
        about(REAL, steps=(give(GROUP, REAL),)),
        about(REAL).model_copy(update={"documents": "e" * 64}),
    ],
)
def test_a_plan_that_is_another_than_its_preview_is_asked_about(fresh: Review) -> None:
    assert len(review.differs(about(COMING), fresh)) == 1


def test_the_name_of_an_assignment_is_the_one_that_terraform_makes() -> None:
    scope = "/subscriptions/4F1C2D30-0000-4000-8000-00000000000D"
    body = {"properties": {"principalId": GROUP, "roleDefinitionId": f"{scope}/providers/x/roleDefinitions/{OWNER}"}}
    expected = uuid.uuid5(uuid.NAMESPACE_URL, f"{scope.lower()}|{GROUP}|{OWNER}")
    assert review.assignment_name({"parent_id": scope, "body": body}) == str(expected)
    for unknown in (None, {}, {"parent_id": UNKNOWN, "body": body}, {"parent_id": scope, "body": UNKNOWN}):
        assert review.assignment_name(unknown) is None


def test_steps_about_the_subscription_are_changes_and_what_costs_money_asks_a_person() -> None:
    order = Step(
        kind="create", subscription=COMING, name="payments", billing_scope="/x", workload="Production", alias="a"
    )
    found = about(COMING, steps=(order,))
    assert not found.nothing_changes
    assert [(one.code, one.destructive) for one in review.risks_of_steps((order,), found.facts)] == [
        ("orders-subscription", True)
    ]
