"""Entra's front door: metadata, OpenID configuration, instance discovery, tokens, managed identity.

Every address it gives out starts with the host the caller used: MSAL and azidentity refuse an issuer or a token
endpoint on another authority. How an application proves itself is known by `proof`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from runner.domain.platform import CLOUDS
from runner.sandbox.azure.directory import Application, Directory
from runner.sandbox.azure.hosts import LOGIN, LOOPBACK, name_of
from runner.sandbox.azure.proof import prove
from runner.sandbox.azure.tokens import ARM_AUDIENCES, GRAPH_AUDIENCES, LIFETIME, Tokens, is_loopback
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection
from runner.sandbox.azure.world import World


def answer(world: World, tokens: Tokens, call: Call) -> Answer:
    """Answer one call to the authority."""
    match (call.method, *(segment.lower() for segment in call.segments)):
        case ("GET", "metadata", "endpoints"):
            return Answer(200, _endpoints(call))
        case ("GET", _, "discovery", "instance"):
            return _instance(call)
        case ("GET", "keys") | ("GET", _, "discovery", "keys") | ("GET", _, "discovery", "v2.0", "keys"):
            return Answer(200, tokens.keys())
        case ("GET", tenant, "v2.0", ".well-known", "openid-configuration"):
            return _openid(world, call, tenant, version="/v2.0")
        case ("GET", tenant, ".well-known", "openid-configuration"):
            return _openid(world, call, tenant, version="")
        case ("POST", tenant, "oauth2", "v2.0", "token"):
            return _token(world, tokens, call, tenant, version=2)
        case ("POST", tenant, "oauth2", "token"):
            return _token(world, tokens, call, tenant, version=1)
        case _:
            raise Rejection(404, "invalid_request", "The sandbox has nothing at this address.", more={"number": 900144})


def managed_identity(world: World, tokens: Tokens, call: Call) -> Answer:
    """Answer the instance metadata endpoint and App Service's: both give a token to whoever can reach them."""
    if call.method != "GET" or [segment.lower() for segment in call.segments] != [
        "metadata",
        "identity",
        "oauth2",
        "token",
    ]:
        raise Rejection(404, "not_found", "The sandbox has nothing at this address.")
    if call.headers.get("metadata", "").lower() != "true" and "x-identity-header" not in call.headers:
        raise Rejection(400, "invalid_request", "Required metadata header not specified")
    home = world.directories[world.estate.tenant_id]
    wanted = call.query.get("client_id")
    app = next(
        (found for found in home.applications.values() if found.managed_identity and wanted in (None, found.client_id)),
        None,
    )
    if app is None:
        raise Rejection(400, "invalid_request", "Identity not found")
    audience = call.query.get("resource", "")
    if not audience:
        raise Rejection(400, "invalid_request", "Required query variable 'resource' is missing")
    token = tokens.issue(home, app, audience=audience, roles=_roles(home, app, audience))
    expires = int((world.now() + LIFETIME).timestamp())
    return Answer(
        200,
        {
            "access_token": token,
            "client_id": app.client_id,
            "expires_in": str(int(LIFETIME.total_seconds())),
            "expires_on": str(expires),
            "not_before": str(int(world.now().timestamp())),
            "resource": audience,
            "token_type": "Bearer",
        },
    )


def _endpoints(call: Call) -> Json:
    """The metadata document, in the form that azuread and azurerm read."""
    login, arm, graph = _addresses(call)
    return {
        "name": "AzureSandbox",
        "portal": arm,
        "authentication": {
            "loginEndpoint": login,
            "audiences": [f"{arm}/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": f"{arm}/",
        "microsoftGraphResourceId": f"{graph}/",
        "graph": graph,
        "graphAudience": graph,
        "media": arm,
        "gallery": arm,
        "batch": f"{arm}/batch",
        "sqlManagement": arm,
        "activeDirectoryDataLake": arm,
        "suffixes": {
            "storage": "core.sandbox.local",
            "keyVaultDns": "vault.sandbox.local",
            "acrLoginServer": "acr.sandbox.local",
            "sqlServerHostname": "sql.sandbox.local",
            "mhsmDns": "mhsm.sandbox.local",
        },
    }


def _addresses(call: Call) -> tuple[str, str, str]:
    """Authority, Resource Manager and Graph: of the cloud whose Resource Manager was asked; on loopback all are one."""
    name = name_of(call.host)
    if name in LOOPBACK:
        return call.origin, call.origin, call.origin
    asked = (cloud for cloud in CLOUDS.values() if urlsplit(cloud.resource_manager).hostname == name)
    cloud = next(asked, CLOUDS["public"])
    return cloud.authority, call.origin, cloud.graph


def _instance(call: Call) -> Answer:
    asked = call.query.get("authorization_endpoint", "")
    host = asked.removeprefix("https://").split("/", 1)[0]
    if name_of(host) not in LOGIN and name_of(host) not in LOOPBACK:
        raise Rejection(400, "invalid_instance", "Unknown or invalid instance.", more={"number": 50049})
    tenant = asked.removeprefix(f"https://{host}").strip("/").split("/", 1)[0] or "common"
    aliases = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]
    if name_of(host) in LOOPBACK:
        aliases = [host]
    elif name_of(host) not in aliases:
        aliases = [name_of(host)]
    return Answer(
        200,
        {
            "tenant_discovery_endpoint": f"https://{host}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [
                {
                    "preferred_network": aliases[0],
                    "preferred_cache": aliases[min(1, len(aliases) - 1)],
                    "aliases": aliases,
                }
            ],
        },
    )


def _openid(world: World, call: Call, tenant: str, *, version: str) -> Answer:
    shown = "{tenantid}" if tenant in ("common", "organizations") else _directory(world, tenant).id
    base = f"{call.origin}/{tenant}"
    return Answer(
        200,
        {
            "issuer": f"{call.origin}/{shown}{version}",
            "authorization_endpoint": f"{base}/oauth2{version}/authorize",
            "token_endpoint": f"{base}/oauth2{version}/token",
            "jwks_uri": f"{call.origin}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token", "token"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
        },
    )


def _token(world: World, tokens: Tokens, call: Call, tenant: str, *, version: int) -> Answer:
    form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    directory = _directory(world, tenant)
    if form.get("grant_type") != "client_credentials":
        raise Rejection(
            400,
            "unsupported_grant_type",
            f"The app requested an unsupported grant type '{form.get('grant_type', '')}'.",
            more={"number": 70003},
        )
    app = directory.applications.get(form.get("client_id", "").lower())
    if app is None:
        raise Rejection(
            400,
            "unauthorized_client",
            f"Application with identifier '{form.get('client_id', '')}' was not found in the directory '{directory.name}'.",
            more={"number": 700016},
        )
    prove(app, form, call, now=world.now())
    audience = _audience(form, version=version)
    roles = _roles(directory, app, audience)
    token = tokens.issue(directory, app, audience=audience, roles=roles, version=_version(directory, audience))
    lifetime = int(LIFETIME.total_seconds())
    if version == 2:
        return Answer(
            200,
            {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token},
            _UNCACHED,
        )
    started = int(world.now().timestamp())
    return Answer(
        200,
        {
            "token_type": "Bearer",
            "expires_in": str(lifetime),
            "ext_expires_in": str(lifetime),
            "expires_on": str(started + lifetime),
            "not_before": str(started),
            "resource": audience,
            "access_token": token,
        },
        _UNCACHED,
    )


_UNCACHED = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


def _directory(world: World, tenant: str) -> Directory:
    directory = world.directory(tenant)
    if directory is None:
        raise Rejection(
            400,
            "invalid_tenant",
            f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
            more={"number": 90002},
        )
    return directory


def _audience(form: Mapping[str, str], *, version: int) -> str:
    """What the token is for: the scope without its `/.default`, or version 1's resource."""
    if version == 1:
        return form.get("resource", "")
    scope = form.get("scope", "").split(" ")[0]
    if not scope.endswith("/.default"):
        raise Rejection(
            400,
            "invalid_scope",
            f"The provided value for the input parameter 'scope' is not valid. Client credential flows must have a scope value "
            f"with /.default suffixed to the resource identifier. The scope '{scope}' is not valid.",
            more={"number": 1002012},
        )
    return scope.removesuffix("/.default")


def _version(directory: Directory, audience: str) -> int:
    """The version of the token, which is for the application to choose that the token is for; Azure's own want version 1."""
    wanted = (app.token_version for app in directory.applications.values() if audience in app.audiences)
    return next(wanted, None) or 1


def _roles(directory: Directory, app: Application, audience: str) -> list[str]:
    """The roles that go into a token; a `Rejection` when nobody answers to the audience, or it does not know the caller."""
    plain = audience.rstrip("/")
    if plain in GRAPH_AUDIENCES or is_loopback(audience):
        return list(app.graph_permissions)
    if plain in ARM_AUDIENCES:
        return []
    resource = next((found for found in directory.applications.values() if audience in found.audiences), None)
    if resource is None:
        raise Rejection(
            400,
            "invalid_resource",
            f"The resource principal named {audience} was not found in the tenant named {directory.name}.",
            more={"number": 500011},
        )
    roles = directory.roles_held(app.object_id, resource)
    if resource.assignment_required and not roles:
        raise Rejection(
            400,
            "invalid_grant",
            f"Application '{app.client_id}'({app.name}) is not assigned to a role for the application '{audience}'({resource.name}).",
            more={"number": 501051},
        )
    return roles
