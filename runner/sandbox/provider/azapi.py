"""The stand-in for azapi 2.12.0: its settings and its table of types.

Not here, because the real provider's catalogue of resource types is not: `schema_validation_enabled` checks nothing, and the default
`output` is an empty object. Both are how the observed release behaves with the flag off and no catalogue.
"""

from __future__ import annotations

from threading import Event

from runner.sandbox.provider import access, schema
from runner.sandbox.provider.arm import Arm
from runner.sandbox.provider.azapi_action import Action
from runner.sandbox.provider.azapi_reads import ReadAction, ReadClient, ReadId, ReadList, ReadResource
from runner.sandbox.provider.azapi_resource import AnyResource
from runner.sandbox.provider.azapi_update import Update
from runner.sandbox.provider.contract import Failed, Object, Provider
from runner.sandbox.provider.rest import Rest


def connect(block: Object, stop: Event) -> Arm:
    """Make a session from the provider block and the environment; nothing is sent before the first resource asks."""
    settings = access.Settings(block, access.environment_of_process())
    host, port = access.sandbox_origin(settings.environment)
    endpoints = (block.get("endpoint") or [{}])[0]
    authority, endpoint, audience = (
        endpoints.get(argument) or settings.text("", f"ARM_{argument.upper()}")
        for argument in ("active_directory_authority_host", "resource_manager_endpoint", "resource_manager_audience")
    )
    if not authority or not endpoint:
        environment = settings.text("environment", "ARM_ENVIRONMENT") or "public"
        raise Failed(
            "The stand-in provider refuses this cloud",
            f"The environment is {environment!r} without an authority and a Resource Manager endpoint of its own, but this provider "
            "talks to the sandbox only. The sandbox sets ARM_ENVIRONMENT=custom, ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST and "
            "ARM_RESOURCE_MANAGER_ENDPOINT.",
        )
    authority = access.sandbox_address(settings, authority, "The authority (active_directory_authority_host)")
    endpoint = access.sandbox_address(settings, endpoint, "The Resource Manager endpoint (resource_manager_endpoint)")
    rest = Rest(host, port, access.certificate_authority(settings.environment), stop, user_agent="lzr-stand-in-azapi")
    if (attempts := block.get("maximum_busy_retry_attempts")) is not None:
        rest.attempts = 1 + int(attempts)
    return Arm(
        endpoint=endpoint,
        scope=f"{(audience or endpoint).rstrip('/')}/.default",
        identity=access.Identity(settings, authority, rest, access.identity_for_azapi),
        rest=rest,
        stop=stop,
        subscription_id=settings.text("subscription_id", "ARM_SUBSCRIPTION_ID"),
        block=block,
    )


PROVIDER: Provider[Arm] = Provider(
    name="azapi",
    schema=lambda: schema.load("azapi"),
    connect=connect,
    resources={
        "azapi_resource": AnyResource(),
        "azapi_resource_action": Action(),
        "azapi_update_resource": Update(),
    },
    data_sources={
        "azapi_client_config": ReadClient(),
        "azapi_resource": ReadResource(),
        "azapi_resource_action": ReadAction(),
        "azapi_resource_id": ReadId(),
        "azapi_resource_list": ReadList(),
    },
)
