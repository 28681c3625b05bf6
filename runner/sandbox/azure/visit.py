"""What every Graph call shares: whose directory it is about, what the caller may, and how lists and objects are shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from runner.sandbox.azure.directory import Directory
from runner.sandbox.azure.faults import Faults
from runner.sandbox.azure.filters import Node, is_advanced, matches, properties, read_filter
from runner.sandbox.azure.tokens import Caller
from runner.sandbox.azure.wire import Answer, Call, Json, Rejection, page
from runner.sandbox.azure.world import World

Type = Literal[
    "user", "group", "servicePrincipal", "application", "administrativeUnit", "directoryObject", "appRoleAssignment"
]


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One call's surroundings. Without a caller it is somebody in the portal, who may do everything."""

    world: World
    faults: Faults
    directory: Directory
    caller: Caller | None
    by: str

    def require(self, permissions: Collection[str], *, unit_of: str | None = None) -> None:
        """Raise what Graph answers to an application without one of these permissions.

        With `unit_of`, administering that unit, or a unit that contains that object, is enough.
        """
        if self.caller is None or not set(permissions).isdisjoint(self.caller.roles):
            return
        app = self.directory.service_principal(self.caller.object_id)
        if unit_of is not None and app is not None:
            units = {unit.id for unit in self.directory.units_of(unit_of)} | {unit_of}
            if units & set(app.administers):
                return
        raise Rejection(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

    def sees(self, object_id: str) -> bool:
        """Whether directory reads see the object by now."""
        return self.faults.visible(object_id, "directory")

    def show(self, object_id: str, *, typed: bool = True) -> Json:
        """A directory object, whatever it is, as Graph shows it."""
        shown, type_ = self._shown(object_id)
        return ({"@odata.type": f"#microsoft.graph.{type_}"} if typed else {}) | shown

    def _shown(self, object_id: str) -> tuple[Json, Type]:
        directory = self.directory
        if user := directory.users.get(object_id):
            return user, "user"
        if group := directory.groups.get(object_id):
            return {"id": group.id} | group.attributes, "group"
        if unit := directory.units.get(object_id):
            return {"id": unit.id, "displayName": unit.name}, "administrativeUnit"
        app = directory.service_principal(object_id)
        if app is None:
            raise not_found(object_id)
        return {
            "id": app.object_id,
            "appId": app.client_id,
            "displayName": app.name,
            "appDisplayName": app.name,
            "accountEnabled": True,
            "appOwnerOrganizationId": directory.id,
            "appRoleAssignmentRequired": app.assignment_required,
            "appRoles": [
                {
                    "id": role.id,
                    "value": role.value,
                    "displayName": role.name,
                    "allowedMemberTypes": ["Application"],
                    "isEnabled": True,
                }
                for role in app.app_roles
            ],
            "servicePrincipalNames": list(app.audiences),
            "servicePrincipalType": "ManagedIdentity" if app.managed_identity else "Application",
        }, "servicePrincipal"

    def objects(
        self,
        call: Call,
        ids: Sequence[str],
        *,
        typed: bool,
        known: Collection[str] | None = None,
        defaults: Sequence[str] = (),
    ) -> Answer:
        """Answer a list of directory objects."""
        return self.collection(
            call, [self.show(found, typed=typed) for found in ids if self.sees(found)], known=known, defaults=defaults
        )

    def collection(
        self, call: Call, items: Sequence[Json], *, known: Collection[str] | None = None, defaults: Sequence[str] = ()
    ) -> Answer:
        """Answer a list: filtered, counted, cut into pages, with the properties that were selected."""
        if "$filter" in call.query:
            node = self.checked_filter(call, known)
            items = [item for item in items if matches(node, item)]
        shown, link = page(items, call=call, most=self.world.contents.page_size, show=selecting(call, defaults))
        body: Json = {"@odata.context": f"{call.origin}/{call.segments[0]}/$metadata#{'/'.join(call.segments[1:])}"}
        if call.query.get("$count", "").lower() == "true":
            body["@odata.count"] = len(items)
        if link:
            body["@odata.nextLink"] = link
        return Answer(200, body | {"value": shown})

    def checked_filter(self, call: Call, known: Collection[str] | None) -> Node:
        """Read the `$filter`; a 400 for a property that the type does not have, or an advanced query not asked for as one."""
        node = read_filter(call.query["$filter"])
        for name in properties(node):
            if known is not None and name not in known:
                raise Rejection(400, "BadRequest", f"Invalid filter clause: Could not find a property named '{name}'.")
        eventual = (
            call.headers.get("consistencylevel", "").lower() == "eventual"
            and call.query.get("$count", "").lower() == "true"
        )
        if is_advanced(node) and not eventual:
            raise Rejection(
                400,
                "Request_UnsupportedQuery",
                "Unsupported query: it needs the header 'ConsistencyLevel: eventual' and '$count=true'.",
            )
        return node


def selecting(call: Call, defaults: Sequence[str]) -> Callable[[Json], Json]:
    """How an object is cut to what `$select` names; without it to the type's defaults, all when there are none."""
    names = [name.strip() for name in call.query.get("$select", "").split(",") if name.strip()] or list(defaults)
    if not names:
        return lambda item: item

    def select(item: Json) -> Json:
        chosen = {name: item.get(name) for name in names if name in item or name in defaults}
        return {name: item[name] for name in ("@odata.type", "id") if name in item} | chosen

    return select


def not_found(object_id: str) -> Rejection:
    """What Graph answers about an object that is not there."""
    return Rejection(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
    )


def references(given: object) -> list[str]:
    """The object ids in `…@odata.bind` or `@odata.id`: the last part of each address."""
    links = given if isinstance(given, list) else [given]
    if not all(isinstance(link, str) and link for link in links):
        raise Rejection(400, "Request_BadRequest", "Invalid URL format specified in payload.")
    return [str(link).rstrip("/").rsplit("/", 1)[-1].lower() for link in links]
