"""The data sources of azuread: who the provider is, groups, and service principals."""

from __future__ import annotations

from typing import Any

from runner.sandbox.provider import arguments
from runner.sandbox.provider.contract import Failed, Object, Problem
from runner.sandbox.provider.directory import NAMED_FIELDS, Fields, checked_uuids
from runner.sandbox.provider.graph import BETA, STABLE, Graph, quoted
from runner.sandbox.provider.lookup import exactly_one, explained, only

_PRINCIPAL = Fields(
    texts={
        "application_tenant_id": "appOwnerOrganizationId",
        "client_id": "appId",
        "description": "description",
        "display_name": "displayName",
        "homepage_url": "homepage",
        "login_url": "loginUrl",
        "logout_url": "logoutUrl",
        "notes": "notes",
        "preferred_single_sign_on_mode": "preferredSingleSignOnMode",
        "sign_in_audience": "signInAudience",
        "type": "servicePrincipalType",
    },
    flags={"account_enabled": "accountEnabled", "app_role_assignment_required": "appRoleAssignmentRequired"},
    lists={
        "alternative_names": "alternativeNames",
        "notification_email_addresses": "notificationEmailAddresses",
        "redirect_uris": "replyUrls",
        "tags": "tags",
    },
)


class ReadClient:
    """`data.azuread_client_config`: the identity of the provider, read off its own token."""

    def validate(self, config: Object) -> list[Problem]:
        return []

    @explained
    def read(self, session: Graph, config: Object) -> Object:
        tenant, client, caller = session.identity.tenant_id, session.identity.client_id, session.caller
        return {
            **config,
            "id": f"{tenant}-{client}-{caller}",
            "tenant_id": tenant,
            "client_id": client,
            "object_id": caller,
        }


class ReadGroup:
    """`data.azuread_group`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config, checked_uuids("object_id"), exactly_one("display_name", "mail_nickname", "object_id")
        )

    @explained
    def read(self, session: Graph, config: Object) -> Object:
        group = self._found(session, config)
        path = f"{BETA}/groups/{group['id']}"
        collection = "transitiveMembers" if config["include_transitive_members"] else "members"
        return {
            **config,
            **NAMED_FIELDS.read(group),
            "id": f"/groups/{group['id']}",
            "object_id": group["id"],
            "dynamic_membership": [
                {"enabled": group.get("membershipRuleProcessingState") != "Paused", "rule": group["membershipRule"]}
            ]
            if group.get("membershipRule")
            else [],
            **dict.fromkeys(
                (
                    "auto_subscribe_new_members",
                    "external_senders_allowed",
                    "hide_from_address_lists",
                    "hide_from_outlook_clients",
                ),
                False,
            ),
            "members": [member["id"] for member in session.collect(f"{path}/{collection}")],
            "owners": [owner["id"] for owner in session.collect(f"{path}/owners")],
        }

    def _found(self, session: Graph, config: Object) -> Any:
        if config["object_id"]:
            group = session.find(f"{BETA}/groups/{config['object_id']}")
            if group is None:
                raise Failed(f'No group found with object ID: "{config["object_id"]}"', path=("object_id",))
            for argument, key in (("mail_enabled", "mailEnabled"), ("security_enabled", "securityEnabled")):
                if config[argument] is not None and bool(group.get(key)) != config[argument]:
                    detail = f'The group with object ID "{group["id"]}" has {argument} = {str(bool(group.get(key))).lower()}.'
                    raise Failed("Group does not have the specified setting", detail, (argument,))
            return group
        argument, key = ("display_name", "displayName") if config["display_name"] else ("mail_nickname", "mailNickname")
        clauses = [f"{key} eq {quoted(config[argument])}"]
        clauses += [
            f"{name} eq {str(config[flag]).lower()}"
            for flag, name in (("mail_enabled", "mailEnabled"), ("security_enabled", "securityEnabled"))
            if config[flag] is not None
        ]
        filter_ = " and ".join(clauses)
        return only(
            session.collect(f"{BETA}/groups", filter=filter_),
            "group",
            f"matching specified filter ({filter_})",
            argument,
        )


class ReadServicePrincipal:
    """`data.azuread_service_principal`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config, checked_uuids("object_id", "client_id"), exactly_one("client_id", "display_name", "object_id")
        )

    @explained
    def read(self, session: Graph, config: Object) -> Object:
        found = self._found(session, config)
        beta = session.get(f"{BETA}/servicePrincipals/{found['id']}", select="samlMetadataUrl")
        roles, scopes = found.get("appRoles") or [], found.get("oauth2PermissionScopes") or []
        single_sign_on = found.get("samlSingleSignOnSettings")
        return {
            **config,
            **_PRINCIPAL.read(found),
            "id": f"/servicePrincipals/{found['id']}",
            "object_id": found["id"],
            "app_role_ids": {role["value"]: role["id"] for role in roles if role.get("value")},
            "app_roles": [_app_role(role) for role in roles],
            "oauth2_permission_scope_ids": {scope["value"]: scope["id"] for scope in scopes if scope.get("value")},
            "oauth2_permission_scopes": [_permission_scope(scope) for scope in scopes],
            "saml_metadata_url": beta.get("samlMetadataUrl") or "",
            "saml_single_sign_on": [{"relay_state": single_sign_on.get("relayState") or ""}] if single_sign_on else [],
            "service_principal_names": [
                name for name in found.get("servicePrincipalNames") or [] if name != found.get("appId")
            ],
            **_features(found.get("tags") or []),
        }

    def _found(self, session: Graph, config: Object) -> Any:
        if config["object_id"]:
            found = session.find(f"{STABLE}/servicePrincipals/{config['object_id']}")
            if found is None:
                raise Failed(f'Service principal "{config["object_id"]}" was not found', path=("object_id",))
            return found
        argument, key = ("display_name", "displayName") if config["display_name"] else ("client_id", "appId")
        filter_ = f"{key} eq {quoted(config[argument])}"
        found = session.collect(f"{STABLE}/servicePrincipals", filter=filter_)
        return only(found, "service principal", f"matching filter: {filter_}", argument)


def _app_role(role: Object) -> Object:
    return {
        "allowed_member_types": role.get("allowedMemberTypes") or [],
        "description": role.get("description") or "",
        "display_name": role.get("displayName") or "",
        "enabled": bool(role.get("isEnabled")),
        "id": role.get("id") or "",
        "value": role.get("value") or "",
    }


def _permission_scope(scope: Object) -> Object:
    names = ("adminConsentDescription", "adminConsentDisplayName", "userConsentDescription", "userConsentDisplayName")
    arguments_ = (
        "admin_consent_description",
        "admin_consent_display_name",
        "user_consent_description",
        "user_consent_display_name",
    )
    return {
        **{argument: scope.get(name) or "" for argument, name in zip(arguments_, names, strict=True)},
        "enabled": bool(scope.get("isEnabled")),
        "id": scope.get("id") or "",
        "type": scope.get("type") or "",
        "value": scope.get("value") or "",
    }


def _features(tags: list[str]) -> Object:
    """Read the features that Azure keeps as tags, under their present and their former names."""
    single = "WindowsAzureActiveDirectoryCustomSingleSignOnApplication" in tags
    enterprise = "WindowsAzureActiveDirectoryIntegratedApp" in tags
    gallery = "WindowsAzureActiveDirectoryGalleryApplicationNonPrimaryV1" in tags
    hidden = "HideApp" in tags
    return {
        "feature_tags": [
            {"custom_single_sign_on": single, "enterprise": enterprise, "gallery": gallery, "hide": hidden}
        ],
        "features": [
            {
                "custom_single_sign_on_app": single,
                "enterprise_application": enterprise,
                "gallery_application": gallery,
                "visible_to_users": not hidden,
            }
        ],
    }
