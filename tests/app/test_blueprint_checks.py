"""The principal of Azure Blueprints and user-assigned identities, as the doctor looks at them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from runner import documents
from runner.app.doctor import Instruments
from runner.app.platform_checks import BLUEPRINTS, of_platforms
from runner.domain.azure_actions import Granted
from runner.domain.blueprint import Blueprint, UserAssignedIdentity
from runner.domain.diagnosis import Check, State
from runner.ports import Token

DEMO = Path(__file__).parents[2] / "examples" / "demo"
PRINCIPAL = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
RESOURCE = (
    "/subscriptions/4f1c0000-0000-4000-8000-000000009b20/resourceGroups/rg"
    "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/deployer"
)
ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"


@dataclass(frozen=True)
class KnownRights:
    """Rights by heart: service principals' applications by object id, and the roles at a scope."""

    principals: Mapping[str, str] = field(default_factory=dict)
    roles: tuple[Granted, ...] | None = ()

    def token(self, scope: str) -> Token:
        return Token(object_id="oid", tenant_id="tid", roles=frozenset(), version="1.0")

    def principal(self, object_id: str) -> str | None:
        return self.principals.get(object_id)

    def granted(self, scope: str) -> tuple[Granted, ...] | None:
        return self.roles


def checked(
    rights: KnownRights, *, principal: str | None = None, identity: UserAssignedIdentity | None = None
) -> list[Check]:
    """What the doctor says about a platform that names the principal, and a zone whose blueprint has the identity."""
    read = documents.read([DEMO])
    (platform,), (zone,) = read.platforms.values(), read.zones.values()
    blueprints = (Blueprint(name="lz", user_assigned_identity=identity),) if identity else ()
    platform = platform.model_copy(
        update={"spec": platform.spec.model_copy(update={"blueprint_service_principal": principal})}
    )
    zone = zone.model_copy(update={"spec": zone.spec.model_copy(update={"blueprints": blueprints})})
    tools = Instruments(
        rehearsal=cast("Any", None),
        azure=cast("Any", None),
        rights=lambda *_: cast("Any", rights),
        store=lambda: "",
        now=lambda: datetime(2026, 11, 1, tzinfo=UTC),
    )
    asked = of_platforms([platform], [zone], [], tools, threading.Event())
    return [
        check
        for question in asked
        if question.name.startswith("blueprint-")
        for check in question.answered(lambda text: text)
    ]


@pytest.mark.parametrize(
    ("principals", "state", "words"),
    [
        ({PRINCIPAL: BLUEPRINTS}, State.OK, "is Azure Blueprints"),
        ({PRINCIPAL: OTHER}, State.WRONG, f"application {OTHER}"),
        ({}, State.WRONG, "no service principal"),
    ],
)
def test_the_principal_has_to_be_that_of_azure_blueprints(principals: dict[str, str], state: State, words: str) -> None:
    (found,) = checked(KnownRights(principals), principal=PRINCIPAL)
    assert found.state is state
    assert words in found.text
    assert (BLUEPRINTS in found.fix) == (state is State.WRONG)


@pytest.mark.parametrize(
    ("roles", "state"),
    [((Granted((ASSIGN,)),), State.OK), ((Granted(("*/read",)),), State.WRONG), (None, State.WRONG)],
)
def test_a_user_assigned_identity_has_to_be_assignable(roles: tuple[Granted, ...] | None, state: State) -> None:
    identity = UserAssignedIdentity(resource_id=RESOURCE, object_id=PRINCIPAL)
    found = checked(KnownRights({PRINCIPAL: OTHER}, roles), identity=identity)
    assert [check.state for check in found] == [state]
    if roles is not None and state is State.WRONG:
        assert ASSIGN in found[0].text
        assert "--role 'Managed Identity Operator'" in found[0].fix


def test_an_identity_whose_object_id_is_not_there_is_a_warning() -> None:
    identity = UserAssignedIdentity(resource_id=RESOURCE, object_id=PRINCIPAL)
    found = checked(KnownRights({}, (Granted((ASSIGN,)),)), identity=identity)
    assert [check.state for check in found] == [State.OK, State.WARNING]


def test_documents_without_blueprints_are_not_asked_about_them() -> None:
    assert checked(KnownRights()) == []
