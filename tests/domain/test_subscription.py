"""What has to be done about a subscription, as rules: from documents and facts to steps."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.domain.configuration import Placed, with_subscription
from runner.domain.facts import Facts, Source
from runner.domain.platform import PlatformSpec
from runner.domain.subscription import (
    AFTERWARDS,
    MOST_ALIASES,
    Holding,
    Stage,
    alias_of,
    aliases_of,
    name_of,
    placeholder,
    sentence,
    steps_of,
    warnings_of,
)
from tests.domain.documents import OWNER, READER, SUBSCRIPTION, placed

OWN = "11111111-0000-4000-8000-00000000000a"
PEOPLE = tuple(f"22222222-0000-4000-8000-00000000000{number}" for number in range(4))
ENROLLMENT = "/providers/Microsoft.Billing/billingAccounts/1/enrollmentAccounts/2"
SECTION = "/providers/Microsoft.Billing/billingAccounts/a/billingProfiles/b/invoiceSections/c"
HERE, THERE = "11111111-1111-4111-8111-111111111111", "99999999-1111-4111-8111-111111111111"

EA = {"enterpriseEnrollment": {"enrollmentAccountId": ENROLLMENT, "subscriptionOfferType": "DevTest"}}
POOL = {"preProvisioned": {"unusedSubscriptionNamePrefix": "unused-"}}


def agreement(source: str) -> dict[str, Any]:
    principal = {"auth": {"type": "azureCli"}}
    more = {"sourceServicePrincipal": principal, "sourceEntraTenant": source, "destinationEntraId": HERE}
    return {"customerAgreement": {"billingScope": SECTION, **more}}


def on(source: dict[str, Any], *, owners: tuple[str, ...] = (), update: bool = False, roles: str = READER) -> Placed:
    mapping = {
        "projectRoleRef": {"name": "admin"},
        "azureGroupSuffix": "admin",
        "azureRoleDefinitions": [{"azureRoleDefinitionId": roles}],
    }
    return placed(
        platform={
            "servicePrincipal": {"objectId": OWN, "auth": {"type": "azureCli"}},
            "subscriptionNamePattern": "#{workspaceIdentifier}.#{projectIdentifier}",
            "updateSubscriptionName": update,
            "provisioning": {"subscriptionOwnerObjectIds": owners, **source},
        },
        zone={"azureRoleMappings": [mapping]},
        tenant={"platformTenantId": None},
    )


def kinds(which: Placed, facts: Facts, *, leaving: bool = False) -> list[str]:
    return [step.kind for step in steps_of(which, facts, SUBSCRIPTION, leaving=leaving)]


SOURCES = st.sampled_from([EA, POOL, agreement(HERE), agreement(THERE)])
STAGES = st.sampled_from(
    [
        Source(),
        Source(how="created", stage="to-create", alias="lzr-a"),
        Source(how="created", stage="to-accept", alias="lzr-a"),
        Source(how="created"),
        Source(how="claimed", stage="to-claim"),
        Source(how="claimed"),
    ]
)
OWNERS = st.lists(st.sampled_from(PEOPLE), unique=True).map(tuple)
ANYBODY = st.lists(st.sampled_from((*PEOPLE, OWN)), unique=True).map(tuple)


@given(SOURCES, STAGES, OWNERS, ANYBODY, st.booleans(), st.sampled_from([OWNER, READER]), st.text(max_size=8))
def test_whatever_there_is_configured_owners_come_first_and_the_own_owner_goes_last(
    source: dict[str, Any],
    stage: Source,
    configured: tuple[str, ...],
    now: tuple[str, ...],
    update: bool,
    role: str,
    called: str,
) -> None:
    which = on(source, owners=configured, update=update, roles=role)
    facts = Facts(subscription_name=called, source=stage.model_copy(update={"owners": now}))
    steps = steps_of(which, facts, SUBSCRIPTION, leaving=False)
    given_to = [step.principal for step in steps if step.kind == "give-owner"]
    assert set(given_to) | set(now) >= set(configured)  # each of them is Owner in the end
    assert set(given_to) == set(configured) - set(now)
    dropped = [step for step in steps if step.kind == "drop-own-owner"]
    assert {step.principal for step in dropped} <= {OWN}  # never anybody else's
    if dropped:
        assert steps[-1] == dropped[0]
        assert configured or role == OWNER  # never the last one
        assert stage.how == "created"  # the runner's own, on what it made
    assert len({(step.kind, step.principal) for step in steps}) == len(steps)
    if stage.how == "existing":
        assert {step.kind for step in steps} <= {"give-owner"}
    if stage.to_come:
        assert "rename" not in kinds(which, facts)


@given(st.text("abcXYZ.-_09", min_size=1, max_size=120), st.integers(1, MOST_ALIASES))
def test_an_alias_is_what_azure_takes_and_another_one_for_each_tenant(name: str, number: int) -> None:
    one = placed()
    tenant = one.tenant.model_copy(update={"metadata": one.tenant.metadata.model_copy(update={"name": name})})
    which = one.model_copy(update={"tenant": tenant})
    alias = alias_of(which, number)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,63}", alias)
    assert alias == alias_of(with_subscription(which, PEOPLE[0]), number)  # the id has no part in it
    assert alias != alias_of(which, number + 1)
    longer = tenant.model_copy(update={"metadata": tenant.metadata.model_copy(update={"name": f"{name}x"})})
    assert alias_of(which.model_copy(update={"tenant": longer}), number) != alias


def test_after_a_cancelled_subscription_the_next_alias_is_used() -> None:
    which = on(EA)
    aliases = aliases_of(which, None)
    assert aliases == tuple(alias_of(which, number) for number in range(1, MOST_ALIASES + 1))
    held = Holding(
        tenant="x", how="created", stage=Stage.ORDERED, alias=aliases[1], at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert aliases_of(which, held) == aliases[1:]
    assert aliases_of(which, held.model_copy(update={"stage": Stage.CANCELLED})) == aliases[2:]
    claimed = held.model_copy(update={"stage": Stage.CANCELLED, "how": "claimed", "alias": ""})
    assert aliases_of(which, claimed) == aliases


def test_a_placeholder_is_the_tenants_own_and_no_real_id() -> None:
    assert placeholder(placed()) == placeholder(on(EA))
    assert uuid.UUID(placeholder(placed())).version == 5


@pytest.mark.parametrize(
    ("source", "stage", "expected"),
    [
        (EA, "to-create", ["create", "give-owner", "drop-own-owner"]),
        (agreement(HERE), "to-create", ["create", "give-owner", "drop-own-owner"]),
        (agreement(THERE), "to-create", ["create", "accept", "give-owner", "drop-own-owner"]),
        (agreement(THERE), "to-accept", ["accept", "give-owner", "drop-own-owner"]),
    ],
)
def test_what_is_ordered_is_made_accepted_and_handed_over(
    source: dict[str, Any], stage: str, expected: list[str]
) -> None:
    facts = Facts(source=Source.model_validate({"how": "created", "stage": stage, "alias": "lzr-a"}))
    assert kinds(on(source, owners=PEOPLE[:1]), facts) == expected


def test_an_order_says_where_it_is_paid_and_where_it_goes() -> None:
    facts = Facts(source=Source(how="created", stage="to-create", alias="lzr-a"))
    (step, *_) = steps_of(on(EA), facts, SUBSCRIPTION, leaving=False)
    assert (step.billing_scope, step.workload, step.management_group) == (ENROLLMENT, "DevTest", "corp-online")
    assert (step.name, step.alias, step.owner) == ("payments.checkout-dev", "lzr-a", "")
    (crossing, accept, *_) = steps_of(on(agreement(THERE)), facts, SUBSCRIPTION, leaving=False)
    assert (crossing.management_group, crossing.to_tenant, crossing.owner) == ("", HERE, OWN)
    assert (accept.management_group, accept.from_tenant) == ("corp-online", THERE)
    assert "it moves from Entra tenant" in sentence(accept, "the new subscription")


@pytest.mark.parametrize(
    ("how", "stage", "called", "update", "expected"),
    [
        ("claimed", "to-claim", "unused-1", False, ["claim", "rename"]),
        ("claimed", "there", "unused-1", False, ["rename"]),  # died between the two
        ("claimed", "there", "renamed by hand", False, []),
        ("claimed", "there", "renamed by hand", True, ["rename"]),
        ("created", "there", "renamed by hand", False, []),
        ("created", "there", "renamed by hand", True, ["rename"]),
        ("existing", "there", "renamed by hand", True, []),
        ("claimed", "there", "payments.checkout-dev", True, []),
    ],
)
def test_names_are_given_once_and_later_only_where_asked(
    how: str, stage: str, called: str, update: bool, expected: list[str]
) -> None:
    source = Source.model_validate({"how": how, "stage": stage})
    assert kinds(on(POOL, update=update), Facts(subscription_name=called, source=source)) == expected


@pytest.mark.parametrize(("zone_says", "state", "expected"), [
    (True, "Enabled", ["cancel"]),
    (True, "Warned", ["cancel"]),
    (True, "Disabled", []),
    (False, "Enabled", []),
])  # fmt: skip
def test_a_leaving_tenants_subscription_is_cancelled_where_its_zone_says_so(
    zone_says: bool, state: str, expected: list[str]
) -> None:
    which = placed(zone={"automateDeletionReplication": zone_says})
    assert kinds(which, Facts(subscription_state=state), leaving=True) == expected
    assert set(expected) <= AFTERWARDS


def test_who_stays_owner_for_want_of_another_is_told() -> None:
    facts = Facts(source=Source(how="created", owners=(OWN,)))
    assert [one.code for one in warnings_of(on(EA), facts)] == ["own-owner-stays"]
    assert warnings_of(on(EA, owners=PEOPLE[:1]), facts) == ()
    assert warnings_of(on(EA, roles=OWNER), facts) == ()
    assert warnings_of(placed(), Facts()) == ()


def test_a_resource_groups_tenant_has_no_subscription_of_its_own() -> None:
    which = placed(
        platform={"type": "azurerg", "subscriptionId": SUBSCRIPTION, "resourceGroupNamePattern": "rg"},
        zone={"azureManagementGroupId": None, "azureRgLocation": "westeurope"},
    )
    assert kinds(which, Facts()) == []
    assert with_subscription(which, PEOPLE[0]) is which


def test_the_name_is_made_by_the_pattern() -> None:
    assert name_of(on(EA)) == "payments.checkout-dev"


def spec(**more: Any) -> dict[str, Any]:
    principal = {"objectId": OWN, "auth": {"type": "azureCli"}}
    return {"entraTenant": HERE, "servicePrincipal": principal, "subscriptionNamePattern": "x", **more}


@pytest.mark.parametrize(
    ("provisioning", "change", "told"),
    [
        ({}, {}, "exactly one"),
        ({**EA, **POOL}, {}, "exactly one"),
        (EA, {"subscriptionNamePattern": None}, "subscriptionNamePattern is needed"),
        (EA, {"servicePrincipal": {"auth": {"type": "azureCli"}}}, "objectId is needed"),
        ({**EA, "subscriptionOwnerObjectIds": [OWN]}, {}, "own identity"),
        (POOL, {"subscriptionNamePattern": "unused-#{projectIdentifier}"}, "would look free"),
    ],
)
def test_provisioning_that_cannot_work_is_refused(
    provisioning: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        PlatformSpec.model_validate(spec(provisioning=provisioning, **change))
