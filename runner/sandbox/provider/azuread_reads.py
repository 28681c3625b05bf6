"""The data sources of azuread: who the provider is, groups, people, service principals."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any

from runner.sandbox.provider import arguments
from runner.sandbox.provider.contract import Failed, Object, Problem
from runner.sandbox.provider.directory import NAMED_FIELDS, Fields, checked_uuids
from runner.sandbox.provider.graph import BETA, STABLE, Graph, GraphFailed, quoted

_USER = Fields(
    texts={
        "age_group": "ageGroup",
        "city": "city",
        "company_name": "companyName",
        "consent_provided_for_minor": "consentProvidedForMinor",
        "country": "country",
        "creation_type": "creationType",
        "department": "department",
        "display_name": "displayName",
        "employee_hire_date": "employeeHireDate",
        "employee_id": "employeeId",
        "employee_type": "employeeType",
        "external_user_state": "externalUserState",
        "fax_number": "faxNumber",
        "given_name": "givenName",
        "job_title": "jobTitle",
        "mail": "mail",
        "mail_nickname": "mailNickname",
        "mobile_phone": "mobilePhone",
        "office_location": "officeLocation",
        "onpremises_distinguished_name": "onPremisesDistinguishedName",
        "onpremises_domain_name": "onPremisesDomainName",
        "onpremises_immutable_id": "onPremisesImmutableId",
        "onpremises_sam_account_name": "onPremisesSamAccountName",
        "onpremises_security_identifier": "onPremisesSecurityIdentifier",
        "onpremises_user_principal_name": "onPremisesUserPrincipalName",
        "postal_code": "postalCode",
        "preferred_language": "preferredLanguage",
        "state": "state",
        "street_address": "streetAddress",
        "surname": "surname",
        "usage_location": "usageLocation",
        "user_principal_name": "userPrincipalName",
        "user_type": "userType",
    },
    flags={
        "account_enabled": "accountEnabled",
        "onpremises_sync_enabled": "onPremisesSyncEnabled",
        "show_in_address_list": "showInAddressList",
    },
    lists={
        "business_phones": "businessPhones",
        "im_addresses": "imAddresses",
        "other_mails": "otherMails",
        "proxy_addresses": "proxyAddresses",
    },
)
_USER_KEYS = {
    "user_principal_name": "userPrincipalName",
    "mail": "mail",
    "mail_nickname": "mailNickname",
    "employee_id": "employeeId",
}
_BRIEF_USER = (
    "account_enabled",
    "display_name",
    "employee_id",
    "mail",
    "mail_nickname",
    "onpremises_immutable_id",
    "onpremises_sam_account_name",
    "onpremises_user_principal_name",
    "usage_location",
    "user_principal_name",
)
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


def _explained(read: Callable[[Any, Graph, Object], Object]) -> Callable[[Any, Graph, Object], Object]:
    """Turn an answer of Graph that is an error into a diagnostic."""

    def reading(source: Any, session: Graph, config: Object) -> Object:
        try:
            return read(source, session, config)
        except GraphFailed as failure:
            raise Failed("Graph cannot be read", failure.text) from failure

    return reading


class ReadClient:
    """`data.azuread_client_config`: the identity of the provider, read off its own token."""

    def validate(self, config: Object) -> list[Problem]:
        return []

    @_explained
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
            config, checked_uuids("object_id"), _exactly_one("display_name", "mail_nickname", "object_id")
        )

    @_explained
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
        return _only(
            session.collect(f"{BETA}/groups", filter=filter_),
            "group",
            f"matching specified filter ({filter_})",
            argument,
        )


class ReadUser:
    """`data.azuread_user`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(config, checked_uuids("object_id"), _exactly_one("object_id", *_USER_KEYS))

    @_explained
    def read(self, session: Graph, config: Object) -> Object:
        if config["object_id"]:
            object_id = config["object_id"]
        else:
            argument = next(name for name in _USER_KEYS if config[name])
            filter_ = f"{_USER_KEYS[argument]} eq {quoted(config[argument])}"
            found = session.collect(f"{STABLE}/users", filter=filter_)
            object_id = _only(found, "user", f'with {argument}: "{config[argument]}"', argument)["id"]
        keys = sorted({*_USER.texts.values(), *_USER.flags.values(), *_USER.lists.values(), "id", "employeeOrgData"})
        user = session.find(f"{STABLE}/users/{object_id}", select=",".join(keys))
        if user is None:
            raise Failed(f'User not found with object ID: "{object_id}"', path=("object_id",))
        manager = session.find(f"{STABLE}/users/{object_id}/manager") or {}
        organization = user.get("employeeOrgData") or {}
        return {
            **config,
            **_USER.read(user),
            "id": f"/users/{object_id}",
            "object_id": object_id,
            "cost_center": organization.get("costCenter") or "",
            "division": organization.get("division") or "",
            "manager_id": manager.get("id") or "",
        }


class ReadUsers:
    """`data.azuread_users`."""

    _LISTS = {f"{name}s": key for name, key in _USER_KEYS.items()}

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config, checked_uuids("object_ids"), _exactly_one("object_ids", "return_all", *self._LISTS)
        )

    @_explained
    def read(self, session: Graph, config: Object) -> Object:
        users = self._found(session, config)
        names = [user["userPrincipalName"] for user in users]
        digest = urlsafe_b64encode(hashlib.sha1("/".join(names).encode(), usedforsecurity=False).digest()).decode()
        columns = {argument: [user[key] for user in users if user.get(key)] for argument, key in self._LISTS.items()}
        brief = [
            {
                "object_id": user["id"],
                **{name: value for name, value in _USER.read(user).items() if name in _BRIEF_USER},
            }
            for user in users
        ]
        return {
            **config,
            **columns,
            "id": f"users#{digest}",
            "object_ids": [user["id"] for user in users],
            "users": brief,
        }

    def _found(self, session: Graph, config: Object) -> list[Any]:
        keys = {**_USER.texts, **_USER.flags}
        select = ",".join(sorted({*(keys[name] for name in _BRIEF_USER), "id", "userType"}))
        if config["return_all"]:
            return session.collect(f"{STABLE}/users", select=select)
        argument = next(name for name in ("object_ids", *self._LISTS) if config[name])
        users: list[Any] = []
        for wanted in config[argument]:
            if argument == "object_ids":
                user = session.find(f"{STABLE}/users/{wanted}", select=select)
                found = [user] if user else []
            else:
                found = session.collect(
                    f"{STABLE}/users", filter=f"{self._LISTS[argument]} eq {quoted(wanted)}", select=select
                )
            if found or not config["ignore_missing"]:
                users.append(_only(found, "user", f'with {argument.removesuffix("s")}: "{wanted}"', argument))
        return users


class ReadServicePrincipal:
    """`data.azuread_service_principal`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config, checked_uuids("object_id", "client_id"), _exactly_one("client_id", "display_name", "object_id")
        )

    @_explained
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
        return _only(found, "service principal", f"matching filter: {filter_}", argument)


def _exactly_one(*names: str) -> Callable[[Object], list[Problem]]:
    def checks(config: Object) -> list[Problem]:
        given = [name for name in names if config[name] is not None]
        if len(given) == 1:
            return []
        detail = (
            f"one of `{','.join(names)}` must be specified"
            if not given
            else f"only one of `{','.join(names)}` can be specified"
        )
        return [Problem("Invalid combination of arguments", detail, (given[-1],) if given else ())]

    return checks


def _only(found: list[Any], what: str, how: str, argument: str) -> Any:
    """Return the only one found."""
    if len(found) == 1:
        return found[0]
    raise Failed(f"More than one {what} found {how}" if found else f"No {what} found {how}", path=(argument,))


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
