"""What pages are looked at with: a review as planning makes them, one that wants to do harm, and very many tenants."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, update

from runner.domain import plan
from runner.domain.access import AccessPlan, Addition, Invitation, Removal
from runner.domain.block_review import BlockReview
from runner.domain.configuration import Placed
from runner.domain.invocation import invocation
from runner.domain.plan import ResourceChange
from runner.domain.review import Contents, Review, Sentence
from runner.domain.run import Behavior, Status
from runner.ports import Documented
from runner.store import tables
from tests.domain.documents import CONTRIBUTOR, OWNER
from tests.domain.test_review import made
from tests.web.serving import Site

RTL = "\u202e"
SUBSCRIPTION = "4f1c2d30-0000-4000-8000-000000000001"
_ZONES = ("corp-online", "corp-internal", "sandbox", "sap")


def thing(
    block: str,
    actions: Sequence[str],
    *,
    key: str = "",
    before: Any = None,
    after: Any = None,
    type_: str = "azapi_resource",
    **marks: Any,
) -> ResourceChange:
    """A change as it is read from an engine's plan; `marks` are the fields beside before and after."""
    index = f"[{json.dumps(key)}]" if key else ""
    entry = {
        "address": f"module.{block}.{type_}.this{index}",
        "module_address": f"module.{block}",
        "mode": "managed",
        "type": type_,
        "name": "this",
        "index": key,
        "change": {"actions": list(actions), "before": before, "after": after, **marks},
    }
    return plan.read_change(entry)


def role(alias: str, definition: str) -> ResourceChange:
    """A role that a group gets."""
    body = {
        "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{definition}",
        "principalType": "Group",
    }
    return thing(
        "roles",
        ["create"],
        key=f"{alias}/{definition}",
        after={"body": {"properties": body}, "parent_id": f"/subscriptions/{SUBSCRIPTION}"},
        after_unknown={"id": True, "body": {"properties": {"principalId": True}}},
    )


def a_plan(placed: Placed, **more: Any) -> Review:
    """A first plan of the tenant, with something of everything."""
    policy = {"if": {"field": "location", "notIn": ["westeurope"]}, "then": {"effect": "audit"}}
    stricter = policy | {"then": {"effect": "deny"}}
    groups = [
        thing(
            "groups",
            ["create"],
            key=alias,
            type_="azuread_group",
            after={"display_name": f"payments.checkout-dev-{alias}", "security_enabled": True, "owners": None},
            after_unknown={"id": True, "object_id": True},
        )
        for alias in ("admin", "user", "reader")
    ]
    network = thing(
        "resource_group_network",
        ["update"],
        before={
            "location": "westeurope",
            "name": "rg-network-checkout-dev",
            "tags": {"owner": "nobody"},
            "policy": json.dumps(policy),
        },
        after={
            "location": "westeurope",
            "name": "rg-network-checkout-dev",
            "tags": {"owner": "platform"},
            "policy": json.dumps(stricter),
        },
    )
    token = thing(
        "tags",
        ["update"],
        type_="azapi_update_resource",
        before={"body": {"properties": {"tags": {"lz_workspace": "payments"}}}, "output": "old-hunter2"},
        after={
            "body": {"properties": {"tags": {"lz_workspace": "payments", "lz_zone": "corp-online"}}},
            "output": "new-hunter2",
        },
        before_sensitive={"output": True},
        after_sensitive={"output": True},
    )
    group = "/providers/Microsoft.Management/managementGroups/corp-online/subscriptions/" + SUBSCRIPTION
    place = thing(
        "management_group", ["create"], type_="azapi_resource_action", after={"resource_id": group, "method": "PUT"}
    )
    old = thing("resource_group_legacy", ["delete"], before={"name": "rg-legacy", "location": "northeurope"})
    access = AccessPlan(
        invitations=(
            Invitation(
                person="dev2@partner.example",
                email="dev2@partner.example",
                display_name="Bela Nagy",
                redirect_url="https://portal.azure.com/workloads.example",
                send_mail=True,
            ),
        ),
        additions=(
            Addition(
                alias="admin", group_name="payments.checkout-dev-admin", person="dev1@corp.example", object_id="a1"
            ),
            Addition(alias="user", group_name="payments.checkout-dev-user", person="dev2@partner.example"),
        ),
        removals=(
            Removal(
                alias="reader",
                group_name="payments.checkout-dev-reader",
                group_id="99999999-0000-4000-8000-000000000001",
                object_id="88888888-0000-4000-8000-000000000001",
                kind="user",
                label="former@corp.example",
            ),
        ),
        unchanged=3,
    )
    return made(
        place,
        *groups,
        role("admin", OWNER),
        role("user", CONTRIBUTOR),
        network,
        token,
        old,
        which=placed,
        access=access,
        call=invocation(placed.zone, placed.tenant, subscription_id=SUBSCRIPTION),
        **more,
    )


def a_hostile_plan(placed: Placed, *, many: int = 3000) -> Review:
    """A plan whose every value would like to be more than text."""
    script = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    evil = [
        f'"><svg onload=alert(3)>{RTL}gpj.exe',
        "</textarea><script>alert(4)</script>",
        "javascript:alert(5)",
        "{{ 7 * 7 }}{% raw %}",
        "\x1b[31mred\x1b[0m\x07\x00",
        "\U0001f4a3\u0627\u0644" * 50,
        "x" * 20_000,
    ]
    changes = [
        thing(
            f"resource_group_{number:04}",
            ["create"],
            key=f"{number:04} {evil[number % len(evil)][:60]}",
            after={"name": evil[number % len(evil)], script: script},
        )
        for number in range(many)
    ]
    huge = thing(
        "stack_huge",
        ["update"],
        before={"template": "a\n" * 2_500_000, "one": "b" * 5_000_000},
        after={"template": "a\n" * 2_500_000 + script, "one": "c" * 5_000_000},
    )
    drift = plan.read_drift(
        {**_entry(script), "change": {"actions": ["update"], "before": {script: 1}, "after": {script: script}}}
    )
    review = made(
        *changes,
        huge,
        which=placed,
        contents=(Contents(resource_group=script, resources=(script, RTL)),),
        access=AccessPlan(
            additions=(Addition(alias="admin", group_name=script, person=f"{script}{RTL}", object_id=script),)
        ),
    )
    return review.model_copy(update={"drift": (drift,), "stale_tags": None, "adopts": {script: script}})


def _entry(address: str) -> dict[str, Any]:
    return {"address": address, "mode": "managed", "type": "azapi_resource", "name": "this"}


def a_block(block: str, text: str, change: ResourceChange) -> BlockReview:
    """A review of a building block that makes one thing."""
    return BlockReview(
        run="r",
        block=block,
        name="Storage",
        behavior="APPLY",
        source="https://git.example/x",
        commit="c" * 40,
        engine="tofu",
        engine_version="1.10.0",
        providers={},
        plan_file="p",
        predecessor=False,
        sentences=(Sentence(sign="+", text=text, address=change.address),),
        changes=(change,),
        drift=(),
        counts={"add": 1, "resources": 1},
    )


def a_large_plan(placed: Placed, *, many: int = 3000) -> Review:
    """A plan of ordinary changes, very many of them."""
    changes = [
        thing(
            f"resource_group_{number:04}",
            ["update"] if number % 3 else ["create"],
            before={"name": f"rg-{number:04}", "location": "westeurope", "tags": {"a": "1"}} if number % 3 else None,
            after={"name": f"rg-{number:04}", "location": "westeurope", "tags": {"a": "2", "workspace": "payments"}},
            after_unknown={"id": True},
        )
        for number in range(many)
    ]
    return made(*changes, which=placed)


def many_tenants(web: Site, count: int = 10_000, named: Callable[[int], str] | None = None) -> None:
    """Tenants of twenty workspaces in four zones, nine of ten with a run."""
    named = named or (lambda number: f"ws{number % 20:02}.project-{number:05}")
    names = [named(number) for number in range(count)]
    known = [
        Documented(
            tenant=name,
            landing_zone=_ZONES[number % len(_ZONES)],
            platform="azure",
            workspace=name.partition(".")[0],
            digest=f"{number:064}",
        )
        for number, name in enumerate(names)
    ]
    web.store.fleet.know([*known, *_documented(web)])
    now = web.server.now
    rows = [row for number, name in enumerate(names) if number % 10 for row in [_run(number, name, now)]]
    with web.store.engine.begin() as tx:
        tx.execute(insert(tables.runs), rows)
        of = update(tables.tenants)
        for number, name in enumerate(names):
            if number % 10:
                values = {"newest_run": f"run-{number:05}", "settled": now - timedelta(hours=number % 300)}
                values |= {
                    "applied_documents": f"{number:064}" if number % 7 else "older",
                    "drifted": now if number % 13 == 0 else None,
                }
                tx.execute(of.where(tables.tenants.c.tenant == name).values(**values))


def _documented(web: Site) -> Iterator[Documented]:
    read = web.server.shelf.documents()
    for name in read.tenants:
        placed = read.placed(name)
        yield Documented(
            tenant=name,
            landing_zone=placed.zone.name,
            platform=placed.platform.name,
            workspace=placed.tenant.spec.workspace_identifier,
            digest=read.digest(name),
        )


def _run(number: int, name: str, now: Any) -> dict[str, Any]:
    status = (Status.APPLIED, Status.UNCHANGED, Status.FAILED, Status.WAITING, Status.APPLIED)[number % 5]
    return {
        "id": f"run-{number:05}",
        "tenant": name,
        "landing_zone": _ZONES[number % len(_ZONES)],
        "behavior": Behavior.APPLY,
        "status": status,
        "requested_by": "schedule",
        "reason": "by the landing zone's schedule",
        "created": now - timedelta(hours=number % 300),
        "updated": now - timedelta(hours=number % 300),
        "source": "",
        "workspace": name.partition(".")[0],
        "documents": f"{number:064}",
        "snapshot": {},
        "options": {},
        "executor": "",
        "digest": "",
        "warnings": 0,
        "risks": number % 4 if status is Status.WAITING else 0,
        "counts": {"add": number % 9, "change": number % 4, "destroy": number % 2},
    }
