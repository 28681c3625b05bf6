"""The data sources of azapi: one resource, a list, an action, an id taken apart, and who the provider is."""

from __future__ import annotations

from runner.sandbox.provider import arguments, identities, resource_id
from runner.sandbox.provider.arm import Arm, RequestFailed
from runner.sandbox.provider.azapi_action import METHODS, perform
from runner.sandbox.provider.azapi_update import checked_target, names_of, output_of, target_of
from runner.sandbox.provider.contract import Failed, Object, Problem
from runner.sandbox.provider.envelope import location_of, normal_location, tags_of
from runner.sandbox.provider.resource_id import InvalidId
from runner.sandbox.provider.values import plain


class ReadClient:
    """`data.azapi_client_config`: the identity of the provider, read off its own token."""

    def validate(self, config: Object) -> list[Problem]:
        return []

    def read(self, session: Arm, config: Object) -> Object:
        tenant, subscription = session.identity.tenant_id, session.subscription_id
        return {
            **config,
            "id": f"clientConfigs/subscriptionId={subscription};tenantId={tenant}",
            "tenant_id": tenant,
            "subscription_id": subscription,
            "subscription_resource_id": f"/subscriptions/{subscription}",
            "object_id": session.identity.object_id(session.scope),
        }


class ReadResource:
    """`data.azapi_resource`."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config,
            arguments.checked_type,
            arguments.checked_ids("parent_id", "resource_id"),
            arguments.checked_retry,
            arguments.checked_timeouts,
            arguments.checked_exports,
            checked_target,
        )

    def read(self, session: Arm, config: Object) -> Object:
        target = target_of(config, default_subscription=session.subscription_id)
        known = {**arguments.with_retry_defaults(config), **names_of(target)}
        try:
            found = session.get(target.id, target.api_version, arguments.options(config, "read"))
        except RequestFailed as failure:
            if failure.status != 404:
                raise Failed("Failed to retrieve resource", f"retrieving {target}: {failure.shown}") from failure
            if not config["ignore_not_found"]:
                raise Failed("Resource not found", f"{target} not found") from failure
            nothing = {"location": None, "tags": None, "identity": None, "output": None}
            return {**known, **nothing, "exists": False}
        body = found if isinstance(found, dict) else {}
        identity = identities.from_body(body.get("identity"))
        return {
            **known,
            "exists": True,
            "tags": tags_of(found),
            "location": normal_location(location_of(found)) or None,
            "identity": [identity] if identity else None,
            "output": output_of(config, found),
        }


class ReadList:
    """`data.azapi_resource_list`: all pages of a collection."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config,
            arguments.checked_type,
            arguments.checked_ids("parent_id"),
            arguments.checked_retry,
            arguments.checked_timeouts,
            arguments.checked_exports,
        )

    def read(self, session: Arm, config: Object) -> Object:
        try:
            # The address of a collection is that of a member without its name.
            member = resource_id.build("_", config["parent_id"], config["type"])
        except InvalidId as error:
            raise Failed("Invalid configuration", str(error), ("parent_id",)) from error
        path = member.id.rpartition("/")[0]
        try:
            found = session.collect(path, member.api_version, arguments.options(config, "read"))
        except RequestFailed as failure:
            raise Failed(
                "Failed to list resources", f"Failed to list resources, url: {path}, error: {failure.shown}"
            ) from failure
        return {**arguments.with_retry_defaults(config), "id": path, "output": output_of(config, found)}


class ReadAction:
    """`data.azapi_resource_action`: a request that changes nothing."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(
            config,
            arguments.checked_type,
            arguments.checked_ids("resource_id"),
            arguments.checked_one_of("method", *METHODS),
            arguments.checked_body,
            arguments.checked_retry,
            arguments.checked_timeouts,
            arguments.checked_exports,
        )

    def read(self, session: Arm, config: Object) -> Object:
        results = perform(session, config, plain(config["body"]), arguments.options(config, "read"))
        del results["exist"]
        action = f"/{config['action']}" if config["action"] else ""
        return {
            **arguments.with_retry_defaults(config),
            "id": f"{config['resource_id'] or '/'}{action}",
            "method": config["method"] or "POST",
            **results,
        }


class ReadId:
    """`data.azapi_resource_id`: an id taken apart or put together; asks nobody."""

    def validate(self, config: Object) -> list[Problem]:
        return arguments.check(config, _checked_bare_type, arguments.checked_ids("parent_id", "resource_id"))

    def read(self, session: Arm, config: Object) -> Object:
        bare = str(config["type"]).partition("@")[0]
        target = target_of({**config, "type": f"{bare}@any"}, default_subscription=session.subscription_id)
        segments = [part for part in target.id.split("/") if part]
        parts = dict(zip(segments[::2], segments[1::2], strict=False))
        by_lower = {key.lower(): value for key, value in parts.items()}
        return {
            **config,
            **names_of(target),
            "parts": parts,
            "provider_namespace": by_lower.get("providers"),
            "resource_group_name": by_lower.get("resourcegroups"),
            "subscription_id": by_lower.get("subscriptions"),
        }


def _checked_bare_type(config: Object) -> list[Problem]:
    if not isinstance(config["type"], str) or "/" in config["type"]:
        return []
    return [Problem("Invalid configuration", f'The argument "type" is invalid: {config["type"]!r}', ("type",))]
