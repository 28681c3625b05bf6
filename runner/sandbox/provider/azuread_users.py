"""The data sources of azuread about people."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Any

from runner.sandbox.provider import arguments
from runner.sandbox.provider.contract import Failed, Object, Problem
from runner.sandbox.provider.directory import Fields, checked_uuids
from runner.sandbox.provider.graph import STABLE, Graph, quoted
from runner.sandbox.provider.lookup import exactly_one, explained, only

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


class ReadUser:
    """`data.azuread_user`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(config, checked_uuids("object_id"), exactly_one("object_id", *_USER_KEYS))

    @explained
    def read(self, session: Graph, config: Object) -> Object:
        if config["object_id"]:
            object_id = config["object_id"]
        else:
            argument = next(name for name in _USER_KEYS if config[name])
            filter_ = f"{_USER_KEYS[argument]} eq {quoted(config[argument])}"
            found = session.collect(f"{STABLE}/users", filter=filter_)
            object_id = only(found, "user", f'with {argument}: "{config[argument]}"', argument)["id"]
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
            config, checked_uuids("object_ids"), exactly_one("object_ids", "return_all", *self._LISTS)
        )

    @explained
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
                users.append(only(found, "user", f'with {argument.removesuffix("s")}: "{wanted}"', argument))
        return users
