"""What `lzr doctor` asks about one platform: clock, sign-in, credentials, rights in Graph and ARM, and what its documents name there.

What needs a token that could not be had is skipped: the reason stands at the sign-in.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from runner.app import identity_checks
from runner.app.doctor import Instruments, Question
from runner.app.identity_checks import NO_TOKEN, PERSON, Identity
from runner.domain import diagnosis, permissions
from runner.domain.azure_actions import Granted
from runner.domain.configuration import Placed, management_group_for, stays_below
from runner.domain.diagnosis import Outcome, State, ok, skipped, warning, wrong
from runner.domain.document import ServicePrincipal
from runner.domain.facts import Facts
from runner.domain.landing_zone import AzureFunction, LandingZone
from runner.domain.permissions import Need, When, Where
from runner.domain.platform import AzurePlatform
from runner.errors import RunnerError

AT_ONCE = 8  # scopes that are asked about together
SHOWN = 5
MANAGEMENT_GROUP = "/providers/Microsoft.Management/managementGroups/"
BLUEPRINTS = "f71766dc-90d9-4b7d-bd9d-4499c4331c3f"  # application id of Azure Blueprints in every Entra tenant


@dataclass(frozen=True)
class UserIdentity:
    """A user-assigned identity that a landing zone's blueprint is assigned with."""

    zone: str
    resource_id: str
    object_id: str


@dataclass(frozen=True)
class PlatformChecks:
    """The questions about one platform with its landing zones and the tenants that are placed in them."""

    platform: AzurePlatform
    zones: Sequence[LandingZone]
    tenants: Sequence[Placed]
    tools: Instruments
    stop: threading.Event

    def questions(self) -> Iterator[Question]:
        spec = self.platform.spec
        own = self._identity(spec.service_principal, spec.entra_tenant)
        homes = [self._identity(home.service_principal, home.entra_tenant) for home in spec.home_tenants]
        about = f"platform {self.platform.name}"
        yield Question("clock", about, lambda: [diagnosis.of_clock(own.rights.ahead())])
        scopes = {"Resource Manager": spec.endpoints.arm_scope, "Graph": spec.endpoints.graph_scope}
        yield Question("sign-in", about, lambda: identity_checks.signs_in(own, scopes))
        yield Question("credential-expiry", about, lambda: identity_checks.expires(own, homes, now=self.tools.now()))
        yield Question("graph-roles", about, lambda: identity_checks.graph_roles(own, self._needed(Where.GRAPH)))
        if spec.administrative_unit_id is not None:
            yield Question(
                "administrative-unit",
                about,
                partial(identity_checks.administrative_unit, own, spec.administrative_unit_id),
            )
        if spec.subscription_id is not None and spec.type == "azurerg":
            yield Question(
                "subscription-rights", about, lambda: self._subscriptions(own, {spec.subscription_id or "": ""})
            )
        if spec.plan_service_principal is not None:
            yield from self._of_planner(self._identity(spec.plan_service_principal, spec.entra_tenant), [own, *homes])
        for home in homes:
            yield from self._of_home(home, [own, *homes])
        for zone in self.zones:
            yield from self._of_zone(own, zone)
        own_subscriptions = {
            placed.tenant.spec.platform_tenant_id or "": placed.tenant.name
            for placed in self.tenants
            if spec.type == "azure" and placed.tenant.spec.platform_tenant_id
        }
        if own_subscriptions:
            tenants = f"{len(own_subscriptions)} tenant{'s' if len(own_subscriptions) > 1 else ''} of {about}"
            yield Question("subscription-rights", tenants, lambda: self._subscriptions(own, own_subscriptions))
            yield Question("origin-rights", tenants, lambda: self._origins(own, own_subscriptions))
        yield from self._of_blueprints(own)
        yield from self._of_template_specs(own)

    def _identity(self, principal: ServicePrincipal, entra_tenant: str) -> Identity:
        rights = self.tools.rights(self.platform, principal, entra_tenant, self.stop)
        return Identity(principal, entra_tenant, self.platform.spec.endpoints, rights)

    def _needed(self, where: Where) -> tuple[Need, ...]:
        return permissions.needed(where, permissions.conditions(self.platform, self.zones))

    def _of_planner(self, planner: Identity, others: Sequence[Identity]) -> Iterator[Question]:
        """The identity that plans: it signs in to both, and sees the management groups."""
        about = f"planServicePrincipal of platform {self.platform.name}"
        endpoints = self.platform.spec.endpoints
        scopes = {"Resource Manager": endpoints.arm_scope, "Graph": endpoints.graph_scope}
        yield Question("sign-in", about, lambda: identity_checks.signs_in(planner, scopes))
        yield Question(
            "credential-expiry", about, lambda: identity_checks.expires(planner, others, now=self.tools.now())
        )
        reading = [need for need in self._needed(Where.MANAGEMENT_GROUP) if need.permission.endswith("/read")]
        for group in dict.fromkeys(zone.spec.azure_management_group_id for zone in self.zones):
            if group is not None and self.platform.spec.type == "azure":
                yield Question("plan-rights", about, partial(self._sees, planner, MANAGEMENT_GROUP + group, reading))

    def _sees(self, identity: Identity, scope: str, needs: Sequence[Need]) -> Iterator[Outcome]:
        if (token := identity.arm) is None:
            yield skipped(NO_TOKEN)
        elif (granted := identity.rights.granted(scope)) is None:
            yield wrong(_unseen(scope), _reader(scope, identity.assignee(token)))
        else:
            yield diagnosis.of_actions(tuple(needs), granted, scope=scope, assignee=identity.assignee(token))

    def _of_home(self, identity: Identity, others: Sequence[Identity]) -> Iterator[Question]:
        about = f"home tenant {identity.entra_tenant} of platform {self.platform.name}"
        scopes = {"Graph": self.platform.spec.endpoints.graph_scope}
        yield Question("sign-in", about, lambda: identity_checks.signs_in(identity, scopes))
        yield Question(
            "credential-expiry", about, lambda: identity_checks.expires(identity, others, now=self.tools.now())
        )
        yield Question("graph-roles", about, lambda: identity_checks.graph_roles(identity, self._needed(Where.HOME)))

    # --- Landing zones

    def _of_zone(self, own: Identity, zone: LandingZone) -> Iterator[Question]:
        about = f"landing zone {zone.name}"
        group = zone.spec.azure_management_group_id
        if group is not None and self.platform.spec.type == "azure":
            yield Question("management-group", about, lambda: self._management_group(own, group))
            yield Question("management-group-rights", about, lambda: self._rights_at_group(own, group))
        if zone.spec.azure_function is not None:
            yield Question("function", about, partial(self._function, own, zone.spec.azure_function))

    def _management_group(self, own: Identity, group: str) -> Iterator[Outcome]:
        if own.arm is None:
            yield skipped(NO_TOKEN)
            return
        with self.tools.azure(self.platform, self.stop) as azure:
            found = azure.resources.management_group(group)
            meant = None if found is not None else azure.resources.management_group_named(group)
        if found is not None:
            called = f" ({found.display_name})" if found.display_name not in ("", group) else ""
            yield ok(f"Management group {group} is there{called}.")
        else:
            yield wrong(
                f"There is no management group with the id {group}, or the identity may not see it.",
                f"azureManagementGroupId: {meant}   (the group with that display name)"
                if meant
                else "az account management-group list --query '[].{id:name, name:displayName}' --output table",
            )

    def _rights_at_group(self, own: Identity, group: str) -> Iterator[Outcome]:
        token = own.arm
        if token is None:
            yield skipped(NO_TOKEN)
            return
        scope = MANAGEMENT_GROUP + group
        granted = own.rights.granted(scope)
        if granted is None:
            yield wrong(_unseen(f"management group {group}"), _reader(scope, own.assignee(token)))
            return
        yield self._judged(
            Where.MANAGEMENT_GROUP, granted, scope, own.assignee(token), told=f"On management group {group}: "
        )
        below = self._judged(
            Where.SUBSCRIPTION, granted, scope, own.assignee(token), told=f"Inherited by subscriptions in {group}: "
        )
        # a role may be given on each subscription instead, which is looked at there
        yield replace(below, state=State.WARNING) if below.state is State.WRONG else below

    def _subscriptions(self, own: Identity, subscriptions: dict[str, str]) -> Iterator[Outcome]:
        """One outcome for all subscriptions that are alike; the tenant's name by the subscription's id."""
        token = own.arm
        if token is None:
            yield skipped(NO_TOKEN)
            return
        scopes = [f"/subscriptions/{found}" for found in subscriptions]
        names = {f"/subscriptions/{found}": tenant or found for found, tenant in subscriptions.items()}
        with ThreadPoolExecutor(AT_ONCE) as several:
            granted = dict(zip(scopes, several.map(own.rights.granted, scopes), strict=True))
        alike: dict[tuple[Granted, ...] | None, list[str]] = {}
        for scope, found in granted.items():
            alike.setdefault(found, []).append(scope)
        for found, places in alike.items():
            told = f"On the subscription of {_some([names[place] for place in places])}: "
            if found is None:
                yield wrong(
                    f"{told}it does not exist, or the identity has no role there.",
                    _reader(places[0], own.assignee(token)),
                )
            else:
                outcome = self._judged(Where.SUBSCRIPTION, found, places[0], own.assignee(token), told=told)
                others = "other one" if len(places) == 2 else f"{len(places) - 1} others"
                more = f"\nThe same for the {others}." if outcome.fix and len(places) > 1 else ""
                yield replace(outcome, fix=outcome.fix + more)

    def _origins(self, own: Identity, subscriptions: dict[str, str]) -> Iterator[Outcome]:
        """The management groups that subscriptions are to be moved out of; leaving the root group needs no right there."""
        token = own.arm
        if token is None:
            yield skipped(NO_TOKEN)
            return
        with self.tools.azure(self.platform, self.stop) as azure, ThreadPoolExecutor(AT_ONCE) as several:
            facts = dict(zip(subscriptions, several.map(azure.resources.subscription, subscriptions), strict=True))
        groups = {
            group.lower(): group
            for placed in self.tenants
            if (found := facts.get(placed.tenant.spec.platform_tenant_id or "")) is not None
            if (group := found.management_group) is not None and (target := management_group_for(placed, None))
            if group.lower() not in (target.lower(), token.tenant_id)
            and not stays_below(placed, Facts(above=found.above))
        }
        if not groups:
            yield ok("Every subscription is in its management group, or where it comes from is not to be seen.")
        for group in sorted(groups.values()):
            scope = MANAGEMENT_GROUP + group
            granted = own.rights.granted(scope)
            told = f"On management group {group}, which subscriptions leave: "
            if granted is None:
                yield wrong(told + "it may not be seen.", _reader(scope, own.assignee(token)))
            else:
                yield self._judged(Where.ORIGIN, granted, scope, own.assignee(token), told=told)

    def _function(self, own: Identity, function: AzureFunction) -> Iterator[Outcome]:
        if own.is_person:
            yield skipped(PERSON)
            return
        application = function.azure_function_scope
        scope = application if application.endswith("/.default") else application.rstrip("/") + "/.default"
        if own.graph is None:
            yield skipped(NO_TOKEN)
            return
        offer = own.rights.offer(application)
        try:
            token = own.sign_in(scope)
        except RunnerError as error:
            yield wrong(
                f"No token for {application}: {error.detail or error.summary}",
                "\n".join(part for part in (error.hint, diagnosis.consent_function_role()) if part),
            )
            return
        if token.roles is None:
            yield warning(
                f"The token for {application} cannot be looked into, so its roles are not known.",
                diagnosis.consent_function_role(),
            )
            return
        outcome = diagnosis.of_function(
            token.roles,
            version=token.version,
            accepted=offer.token_version if offer else None,
            offers=offer.roles if offer else None,
            restricted=offer.assignment_required if offer else None,
        )
        yield replace(outcome, text=f"{application}: {outcome.text}")

    # --- Blueprints

    def _of_blueprints(self, own: Identity) -> Iterator[Question]:
        principal = self.platform.spec.blueprint_service_principal
        about = f"platform {self.platform.name}"
        if principal is not None:
            yield Question("blueprint-principal", about, partial(self._blueprint_principal, own, principal))
        for identity in user_identities(self.zones):
            yield Question(
                "blueprint-identity", f"landing zone {identity.zone}", partial(self._user_identity, own, identity)
            )

    def _of_template_specs(self, own: Identity) -> Iterator[Question]:
        for spec in template_specs(self.zones):
            about = f"template spec {spec.rpartition('/')[2]}"
            yield Question("template-spec", about, partial(self._rights_at, own, spec, Where.TEMPLATE_SPEC))

    def _rights_at(self, own: Identity, scope: str, where: Where) -> Iterator[Outcome]:
        yield from self._sees(own, scope, self._needed(where))

    def _blueprint_principal(self, own: Identity, object_id: str) -> Iterator[Outcome]:
        if own.graph is None:
            yield skipped(NO_TOKEN)
            return
        found = own.rights.principal(object_id)
        look = f"az ad sp list --filter \"appId eq '{BLUEPRINTS}'\" --query '[].id' --output tsv"
        if found is None:
            yield wrong(
                f"There is no service principal with the object id {object_id}, or the identity may not see it.", look
            )
        elif found.lower() != BLUEPRINTS:
            yield wrong(f"{object_id} is the service principal of application {found}, not of Azure Blueprints.", look)
        else:
            yield ok(f"{object_id} is Azure Blueprints.")

    def _user_identity(self, own: Identity, identity: UserIdentity) -> Iterator[Outcome]:
        token = own.arm
        if token is None:
            yield skipped(NO_TOKEN)
            return
        granted = own.rights.granted(identity.resource_id)
        if granted is None:
            yield wrong(_unseen(identity.resource_id), _reader(identity.resource_id, own.assignee(token)))
            return
        needs = permissions.needed(Where.IDENTITY, {When.IDENTITY})
        yield diagnosis.of_actions(needs, granted, scope=identity.resource_id, assignee=own.assignee(token))
        if own.rights.principal(identity.object_id) is None:
            yield warning(
                f"There is no service principal with the object id {identity.object_id}, or the identity may not see it.",
                f"az identity show --ids {identity.resource_id} --query principalId --output tsv",
            )

    # --- ARM

    def _judged(self, where: Where, granted: Iterable[Granted], scope: str, assignee: str, *, told: str) -> Outcome:
        outcome = diagnosis.of_actions(self._needed(where), tuple(granted), scope=scope, assignee=assignee)
        return replace(outcome, text=told + outcome.text[0].lower() + outcome.text[1:])


def of_platforms(
    platforms: Sequence[AzurePlatform],
    zones: Sequence[LandingZone],
    tenants: Sequence[Placed],
    tools: Instruments,
    stop: threading.Event,
) -> Iterator[Question]:
    """Everything about each platform: its clock, identities and rights, and all that its landing zones and tenants name."""
    for platform in platforms:
        yield from PlatformChecks(
            platform=platform,
            zones=[zone for zone in zones if zone.spec.platform_ref.name == platform.name],
            tenants=[placed for placed in tenants if placed.platform.name == platform.name],
            tools=tools,
            stop=stop,
        ).questions()


def user_identities(zones: Iterable[LandingZone]) -> tuple[UserIdentity, ...]:
    """The user-assigned identities that the landing zones' blueprints are assigned with, each once for a zone."""
    found = [
        UserIdentity(zone.name, identity.resource_id, identity.object_id)
        for zone in zones
        for blueprint in zone.spec.blueprints
        if (identity := blueprint.user_assigned_identity) is not None
    ]
    return tuple(dict.fromkeys(found))


def template_specs(zones: Iterable[LandingZone]) -> tuple[str, ...]:
    """Resource ids of the template specs that the landing zones' deployment stacks deploy, each once."""
    found = (stack.template_spec for zone in zones for stack in zone.spec.deployment_stacks)
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _unseen(what: str) -> str:
    return f"The rights on {what} cannot be read: it does not exist, or the identity has no role there."


def _reader(scope: str, assignee: str) -> str:
    return diagnosis.give_role("Reader", scope=scope, assignee=assignee)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
