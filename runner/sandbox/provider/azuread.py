"""The stand-in for azuread 3.9.0: its settings and its table of types."""

from __future__ import annotations

from threading import Event

from runner.sandbox.provider import access, schema
from runner.sandbox.provider.azuread_groups import Group
from runner.sandbox.provider.azuread_members import GROUP_MEMBER, UNIT_MEMBER, Invitation
from runner.sandbox.provider.azuread_reads import ReadClient, ReadGroup, ReadServicePrincipal
from runner.sandbox.provider.azuread_users import ReadUser, ReadUsers
from runner.sandbox.provider.contract import Failed, Object, Provider
from runner.sandbox.provider.graph import Graph
from runner.sandbox.provider.rest import Rest


def connect(block: Object, stop: Event) -> Graph:
    """Make a session from the provider block and the environment; nothing is sent before the first resource asks."""
    settings = access.Settings(block, access.environment_of_process())
    host, port = access.sandbox_origin(settings.environment)
    metadata_host = settings.text("metadata_host", "ARM_METADATA_HOSTNAME", "ARM_METADATA_HOST")
    if not metadata_host:
        environment = settings.text("environment", "ARM_ENVIRONMENT") or "public"
        raise Failed(
            "The stand-in provider refuses this cloud",
            f"The environment is {environment!r} and no metadata_host says where it is, but this provider talks to the sandbox only. "
            "The sandbox sets ARM_METADATA_HOSTNAME.",
        )
    access.sandbox_address(settings, f"https://{metadata_host}", "The metadata host (metadata_host)")
    rest = Rest(host, port, access.certificate_authority(settings.environment), stop, user_agent="lzr-stand-in-azuread")
    return Graph(settings, metadata_host, rest, stop)


PROVIDER: Provider[Graph] = Provider(
    name="azuread",
    schema=lambda: schema.load("azuread"),
    connect=connect,
    resources={
        "azuread_administrative_unit_member": UNIT_MEMBER,
        "azuread_group": Group("azuread_group", with_members=True),
        "azuread_group_member": GROUP_MEMBER,
        "azuread_group_without_members": Group("azuread_group_without_members", with_members=False),
        "azuread_invitation": Invitation(),
    },
    data_sources={
        "azuread_client_config": ReadClient(),
        "azuread_group": ReadGroup(),
        "azuread_service_principal": ReadServicePrincipal(),
        "azuread_user": ReadUser(),
        "azuread_users": ReadUsers(),
    },
    is_legacy=True,
)
