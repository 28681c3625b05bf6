"""From a seed to a world's contents: what must fit together does, or an `InputError` names the key that does not.

Knows how ids that a seed leaves out are derived, so that the same seed gives the same world. Nothing is half-grown.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from runner.sandbox.azure.contents import Contents, FunctionApp
from runner.sandbox.azure.directory import (
    Application,
    AppRole,
    ClientSecret,
    Directory,
    FederatedCredential,
    Group,
    Unit,
    group_defaults,
    user_defaults,
)
from runner.sandbox.azure.estate import BillingScope, Estate, ManagementGroup, RoleDefinition, Subscription
from runner.sandbox.azure.seed import (
    ApplicationForm,
    AzureForm,
    ManagementGroupForm,
    PlacedResourceForm,
    RoleAssignmentForm,
    Seed,
    SubscriptionForm,
    TenantForm,
    wrong,
)

Json = dict[str, Any]

LASTING = datetime(2099, 12, 31, tzinfo=UTC)
NAMESPACE = uuid.UUID("5a6d0c1e-8f57-4c5e-9d0a-6f2f8f4a7b10")


def grow(seed: Seed) -> Contents:
    """Make what a seed describes; what does not fit together is an `InputError`."""
    directories = {form.id: _directory(form, at=f"tenants.{place}") for place, form in enumerate(seed.tenants)}
    for place, form in enumerate(seed.tenants):
        _assign_app_roles(form, directories[form.id], at=f"tenants.{place}")
    home = _find_directory(directories, seed.azure.tenant, at="azure.tenant")
    functions = {}
    for place, function in enumerate(seed.functions):
        tenant = (
            _find_directory(directories, function.tenant, at=f"functions.{place}.tenant") if function.tenant else home
        )
        if function.client_id and function.client_id not in tenant.applications:
            wrong(
                f"functions.{place}.clientId",
                f"No application of {tenant.domain} has the client id {function.client_id}",
            )
        functions[function.name] = FunctionApp(
            function.name,
            function.host.lower(),
            tenant.id,
            function.client_id,
            function.required_role,
            function.status,
            function.body,
        )
    estate = _estate(seed.azure, home)
    for place, scope in enumerate(seed.azure.billing_scopes):
        at = f"azure.billingScopes.{place}"
        there = _find_directory(directories, scope.tenant, at=f"{at}.tenant") if scope.tenant else home
        creators = tuple(_object(there, key, at=f"{at}.creators") for key in scope.creators)
        estate.billing_scopes[scope.id.lower()] = BillingScope(scope.id, there.id, creators)
    return Contents(directories, estate, functions, seed.page_size, seed.faults)


def _directory(form: TenantForm, *, at: str) -> Directory:
    directory = Directory(form.id, form.name, form.domain)
    for place, app in enumerate(form.applications):
        directory.applications[app.client_id] = _application(app, tenant=form.id, at=f"{at}.applications.{place}")
    for place, user in enumerate(form.users):
        given = user.model_dump(mode="json", by_alias=True, exclude_unset=True)
        attributes = user_defaults(given | {"id": user.id or _derived(form.id, user.user_principal_name)})
        if attributes["id"] in directory.users:
            wrong(f"{at}.users.{place}", f"A second user with the id {attributes['id']}")
        directory.put_user(attributes)
    for group in form.groups:
        made = Group(
            group.id or _derived(form.id, "group", group.name),
            group_defaults({"displayName": group.name, "description": group.description}),
        )
        directory.put_group(made)
    for place, group in enumerate(form.groups):
        made = directory.groups[group.id or _derived(form.id, "group", group.name)]
        directory.join(made, [_object(directory, key, at=f"{at}.groups.{place}.members") for key in group.members])
        made.owners = {_object(directory, key, at=f"{at}.groups.{place}.owners"): None for key in group.owners}
    for place, unit in enumerate(form.administrative_units):
        unit_id = unit.id or _derived(form.id, "unit", unit.name)
        members = {
            _object(directory, key, at=f"{at}.administrativeUnits.{place}.members"): None for key in unit.members
        }
        directory.units[unit_id] = Unit(unit_id, unit.name, members)
    return directory


def _application(form: ApplicationForm, *, tenant: str, at: str) -> Application:
    for number, certificate in enumerate(form.certificates):
        try:
            x509.load_pem_x509_certificate(certificate.encode())
        except ValueError:
            wrong(f"{at}.certificates.{number}", "It is no certificate in PEM")
    return Application(
        client_id=form.client_id,
        object_id=form.object_id or _derived(tenant, "servicePrincipal", form.client_id),
        name=form.name,
        secrets=tuple(
            ClientSecret(found, LASTING)
            if isinstance(found, str)
            else ClientSecret(found.value, found.ends.astimezone(UTC) if found.ends else LASTING)
            for found in form.secrets
        ),
        certificates=form.certificates,
        federated=tuple(FederatedCredential(found.issuer, found.subject, found.audience) for found in form.federated),
        identifier_uris=form.identifier_uris,
        app_roles=tuple(
            AppRole(
                role.id or _derived(form.client_id, "role", role.value), role.value, role.display_name or role.value
            )
            for role in form.app_roles
        ),
        graph_permissions=form.graph_permissions,
        administers=form.administers,
        assignment_required=form.assignment_required,
        token_version=form.token_version,
        managed_identity=form.managed_identity,
    )


def _assign_app_roles(form: TenantForm, directory: Directory, *, at: str) -> None:
    for place, app in enumerate(form.applications):
        for number, wanted in enumerate(app.assigned_roles):
            resource = directory.applications.get(wanted.application)
            role = (
                next((found for found in resource.app_roles if found.value == wanted.role), None) if resource else None
            )
            if resource is None or role is None:
                wrong(
                    f"{at}.applications.{place}.assignedRoles.{number}",
                    f"No application {wanted.application} offers the role {wanted.role}",
                )
            holder = directory.applications[app.client_id]
            directory.app_role_assignments.append(
                {
                    "id": _derived(holder.object_id, role.id),
                    "appRoleId": role.id,
                    "principalId": holder.object_id,
                    "principalType": "ServicePrincipal",
                    "principalDisplayName": holder.name,
                    "resourceId": resource.object_id,
                    "resourceDisplayName": resource.name,
                }
            )


def _estate(form: AzureForm, home: Directory) -> Estate:
    estate = Estate(home.id, {name.lower(): shown for name, shown in form.locations.items()})
    estate.blueprints_retire = form.blueprints_retire
    estate.management_groups[home.id] = ManagementGroup(home.id, "Tenant Root Group", None)
    for group in form.management_groups:
        estate.management_groups[group.id.lower()] = ManagementGroup(
            group.id, group.name or group.id, _parent(group, home)
        )
    for place, group in enumerate(form.management_groups):
        _check_parent(estate, group.id, at=f"azure.managementGroups.{place}.parent")
    for role in form.role_definitions:
        estate.role_definitions[role.id] = RoleDefinition(
            role.id, role.name, role.actions, role.not_actions, role.description, custom=True
        )
    for place, subscription in enumerate(form.subscriptions):
        _add_subscription(estate, subscription, at=f"azure.subscriptions.{place}")
    for resource in form.resources:
        _add_resource(estate, resource)
    for place, assignment in enumerate(form.role_assignments):
        _assign(estate, home, assignment, at=f"azure.roleAssignments.{place}")
    return estate


def _parent(form: ManagementGroupForm, home: Directory) -> str | None:
    """Groups hang under the root unless told otherwise; a seed may name the root itself."""
    return None if form.id.lower() == home.id else form.parent or home.id


def _check_parent(estate: Estate, name: str, *, at: str) -> None:
    """Every management group must hang under the root in the end."""
    seen: set[str] = set()
    group = estate.management_groups[name.lower()]
    while group.parent is not None:
        if group.name in seen:
            wrong(at, f"The management group {name} is its own ancestor")
        seen.add(group.name)
        parent = estate.management_group(group.parent)
        if parent is None:
            wrong(at, f"No management group has the id {group.parent}")
        group.parent = parent.name
        group = parent


def _add_subscription(estate: Estate, form: SubscriptionForm, *, at: str) -> None:
    group = estate.management_group(form.management_group) if form.management_group else estate.root
    if group is None:
        wrong(f"{at}.managementGroup", f"No management group has the id {form.management_group}")
    if form.id in estate.subscriptions:
        wrong(f"{at}.id", f"A second subscription with the id {form.id}")
    providers = dict.fromkeys(form.providers, "Registered")
    estate.subscriptions[form.id] = Subscription(form.id, form.name, group.name, form.state, dict(form.tags), providers)
    for place, wanted in enumerate(form.resource_groups):
        location = wanted.location.replace(" ", "").lower()
        if location not in estate.locations:
            wrong(f"{at}.resourceGroups.{place}.location", f"There is no location {wanted.location}")
        group_id = f"/subscriptions/{form.id}/resourceGroups/{wanted.name}"
        estate.resource_groups[group_id.lower()] = {
            "location": location,
            **({"tags": dict(wanted.tags)} if wanted.tags is not None else {}),
            "properties": {"provisioningState": "Succeeded"},
            "id": group_id,
            "name": wanted.name,
            "type": "Microsoft.Resources/resourceGroups",
        }
        for resource in wanted.resources:
            placed = PlacedResourceForm(
                id=f"{group_id}/providers/{resource.type}/{resource.name}",
                location=location,
                properties=resource.properties,
                tags=resource.tags,
            )
            _add_resource(estate, placed)


def _add_resource(estate: Estate, form: PlacedResourceForm) -> None:
    namespace, *names = form.id.rpartition("/providers/")[2].split("/")
    estate.resources[form.id.lower()] = {
        **({"kind": form.kind} if form.kind else {}),
        **({"identity": dict(form.identity)} if form.identity else {}),
        **({"location": form.location} if form.location else {}),
        **({"tags": dict(form.tags)} if form.tags is not None else {}),
        "properties": dict(form.properties),
        "id": form.id,
        "name": names[-1],
        "type": "/".join([namespace, *names[::2]]),
    }


def _assign(estate: Estate, home: Directory, form: RoleAssignmentForm, *, at: str) -> None:
    principal = _object(home, form.principal, at=f"{at}.principal")
    wanted = form.role.lower()
    role = next((found for found in estate.role_definitions.values() if wanted in (found.id, found.name.lower())), None)
    if role is None:
        wrong(f"{at}.role", f"There is no role {form.role}")
    scope = form.scope.rstrip("/")
    name = form.name or _derived(scope, principal, role.id)
    prefix = "/".join(scope.split("/")[:3]) if scope.lower().startswith("/subscriptions/") else ""
    estate.put_role_assignment(
        {
            "properties": {
                "roleDefinitionId": f"{prefix}/providers/Microsoft.Authorization/roleDefinitions/{role.id}",
                "principalId": principal,
                "principalType": home.kind_of(principal),
                "scope": scope or "/",
                "condition": form.condition,
                "conditionVersion": "2.0" if form.condition else None,
                "createdOn": "2024-01-01T00:00:00Z",
                "updatedOn": "2024-01-01T00:00:00Z",
                "createdBy": None,
                "updatedBy": None,
                "delegatedManagedIdentityResourceId": None,
                "description": None,
            },
            "id": f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
            "type": "Microsoft.Authorization/roleAssignments",
            "name": name,
        }
    )


def _find_directory(directories: Mapping[str, Directory], key: str, *, at: str) -> Directory:
    found = directories.get(key.lower()) or next(
        (held for held in directories.values() if held.domain == key.lower()), None
    )
    if found is None:
        wrong(at, f"No tenant has the id or domain {key}")
    return found


def _object(directory: Directory, key: str, *, at: str) -> str:
    """Find the one user, group or application that a seed means by an id or a name."""
    if directory.kind_of(key.lower()):
        return key.lower()
    if user := directory.user_named(key):
        return str(user["id"])
    found = [group.id for group in directory.groups.values() if group.attributes["displayName"] == key]
    found += [app.object_id for app in directory.applications.values() if app.name == key]
    if len(found) != 1:
        wrong(at, f"{len(found) or 'No'} users, groups or applications of {directory.domain} are called {key}")
    return found[0]


def _derived(*parts: str) -> str:
    return str(uuid.uuid5(NAMESPACE, "|".join(parts)))
