"""What there is before a test of the directory, told once, and as the sandbox's seed and as a platform document."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.domain.platform import AzurePlatform, B2bUserInvitation
from tests.doubles.directory import LookUpBy, User

WORKLOAD = "11111111-0000-4000-8000-000000000001"
HOMES = {
    "corp.example": "11111111-0000-4000-8000-000000000002",
    "partner.example": "11111111-0000-4000-8000-000000000003",
}
CLIENT_ID = "11111111-aaaa-4000-8000-000000000001"
SERVICE_PRINCIPAL = "11111111-bbbb-4000-8000-000000000001"
INVITES = B2bUserInvitation(redirect_url="https://portal.example/welcome")


@dataclass
class Group:
    name: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    applications: list[str] = field(default_factory=list)


@dataclass
class Scene:
    """What there is before a test: people at home by domain, the workload tenant's users, its groups, the platform's rules."""

    home: dict[str, list[User]] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    look_up_by: LookUpBy = "userPrincipalName"
    invitation: B2bUserInvitation | None = INVITES


def seed_of(scene: Scene) -> dict[str, Any]:
    """The seed of a sandbox with this scene in it."""
    tenants = [tenant_of(WORKLOAD, "workload.example", scene.users, scene.groups)]
    tenants += [tenant_of(HOMES[domain], domain, users, []) for domain, users in scene.home.items()]
    return {"tenants": tenants, "azure": {"tenant": WORKLOAD}}


def platform_at(url: str, scene: Scene, *, homes: Sequence[str] = ()) -> AzurePlatform:
    """The platform document of the scene; `homes` are home tenants by another name than the scene's own."""
    principal = {"clientId": CLIENT_ID, "auth": {"type": "credential", "credential": {"env": "SECRET"}}}
    home_names = [*(HOMES[domain] for domain in scene.home), *homes]
    spec: dict[str, Any] = {
        "entraTenant": WORKLOAD,
        "cloud": {"authority": url, "resourceManager": url, "graph": url},
        "servicePrincipal": principal,
        "userLookUpStrategy": scene.look_up_by,
        "homeTenants": [{"entraTenant": name, "servicePrincipal": principal} for name in home_names],
        "b2bUserInvitation": scene.invitation and scene.invitation.model_dump(by_alias=True),
    }
    document = {
        "apiVersion": "landing-zone-runner/v1",
        "kind": "AzurePlatform",
        "metadata": {"name": "azure"},
        "spec": spec,
    }
    return AzurePlatform.model_validate(document)


def tenant_of(tenant: str, domain: str, users: list[User], groups: list[Group]) -> dict[str, Any]:
    application = {
        "name": "runner",
        "clientId": CLIENT_ID,
        "objectId": SERVICE_PRINCIPAL if tenant == WORKLOAD else str(uuid.uuid4()),
        "secrets": ["secret"],
        "graphPermissions": ["Directory.Read.All", "Group.ReadWrite.All", "User.Invite.All"],
    }
    return {
        "id": tenant,
        "name": domain,
        "domain": domain,
        "applications": [application],
        "users": [user_of(user, domain) for user in users],
        "groups": [
            {"id": group.id, "name": group.name, "members": [*group.users, *group.groups, *group.applications]}
            for group in groups
        ],
    }


def user_of(user: User, domain: str) -> dict[str, Any]:
    identity = {"signInType": "federated", "issuer": HOMES["corp.example"], "issuerAssignedId": user.home}
    return {
        "id": user.id,
        "userPrincipalName": f"{user.name.replace('@', '_')}#EXT#@{domain}" if user.guest else user.name,
        "mail": user.mail or None,
        "otherMails": user.other_mails,
        "employeeId": user.employee_id or None,
        "userType": "Guest" if user.guest else "Member",
        "accountEnabled": user.enabled,
        "externalUserState": ("PendingAcceptance" if user.pending else "Accepted") if user.guest else None,
        "identities": [identity] if user.home else [],
    }
