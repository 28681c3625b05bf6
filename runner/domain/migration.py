"""From a blueprint to the deployment stack that takes its place: an ARM template, the stack as a landing zone has it, and a report.

The artifacts are those of Microsoft.Blueprint 2018-11-01-preview. What becomes what follows Microsoft's own page
(https://learn.microsoft.com/azure/azure-resource-manager/bicep/migrate-blueprint): resource groups, policy and role assignments become
resources, template artifacts nested deployments, locks deny settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.domain.access import Frozen
from runner.domain.blueprint import Blueprint, LockMode
from runner.domain.deployment_stack import DenyMode

SCHEMA = "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#"
DENY: dict[LockMode, DenyMode] = {
    "None": "none",
    "AllResourcesReadOnly": "denyWriteAndDelete",
    "AllResourcesDoNotDelete": "denyDelete",
}
_GROUPS, _DEPLOYMENTS = "Microsoft.Resources/resourceGroups", "Microsoft.Resources/deployments"
_LONGEST_DEPLOYMENT = 64
_TYPES = {"string": "string", "array": "array", "bool": "bool", "int": "int", "object": "object"}
_TYPES |= {"securestring": "secureString", "secureobject": "secureObject"}

_ARTIFACT = re.compile(r"artifacts\(\s*'([^']+)'\s*\)\.outputs\.(\w+)")
_GROUP_OF = re.compile(r"resourceGroups\(\s*'([^']+)'\s*\)\.(name|location)")
_OWN_GROUP = re.compile(r"resourceGroup\(\s*\)\.(name|location)")


@dataclass(frozen=True)
class Definition:
    """A published version of a blueprint as ARM gives it: its `properties`, and its artifacts whole."""

    version: str
    properties: Mapping[str, Any]
    artifacts: Sequence[Mapping[str, Any]]


class Line(Frozen):
    """One line of the report: what it is, what becomes of it (nothing where that is empty), and what somebody should know."""

    what: str
    becomes: str
    note: str = ""


class Migrated(Frozen):
    """A blueprint's template, its entry under `deploymentStacks`, and what maps and what does not."""

    template: dict[str, Any]
    stack: dict[str, Any]
    report: tuple[Line, ...]


def migrate(blueprint: Blueprint, definition: Definition, *, location: str, template_file: str) -> Migrated:
    """The stack that deploys what this version of the blueprint does. `location` is the assignment's."""
    work = _Work(blueprint, definition)
    parameters = dict(work.parameters())
    groups = [work.group(name, found) for name, found in work.groups.items()]
    artifacts = [
        resource
        for artifact in sorted(definition.artifacts, key=lambda one: str(one.get("name", "")))
        for resource in work.artifact(artifact)
    ]
    template: dict[str, Any] = {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "metadata": {"description": f"Blueprint {blueprint.name}, version {definition.version}."},
        "parameters": {**parameters, **work.added},
        "resources": [*groups, *artifacts],
    }
    stack: dict[str, Any] = {"name": blueprint.name, "location": location, "templateFile": template_file}
    declared = {name.lower() for name in template["parameters"]}
    given = {name: value for name, value in blueprint.parameters.items() if name.lower() in declared}
    if given:
        stack["parameters"] = given
    stack["denySettings"] = _deny(blueprint)
    stack["actionOnUnmanage"] = {"resources": "detach", "resourceGroups": "detach"}
    return Migrated(template=template, stack=stack, report=(*work.report, *_of_assignment(blueprint, given)))


def _deny(blueprint: Blueprint) -> dict[str, Any]:
    settings: dict[str, Any] = {"mode": DENY[blueprint.lock_mode]}
    if blueprint.lock_mode != "None":
        settings["applyToChildScopes"] = True
    if blueprint.excluded_principals:
        settings["excludedPrincipals"] = list(blueprint.excluded_principals)
    if blueprint.excluded_actions:
        settings["excludedActions"] = list(blueprint.excluded_actions)
    return settings


def _of_assignment(blueprint: Blueprint, given: Mapping[str, Any]) -> Iterator[Line]:
    note = "A stack denies on what it deployed itself: what others put into its resource groups is not protected."
    locked = blueprint.lock_mode != "None"
    yield Line(
        what=f"lock mode {blueprint.lock_mode}",
        becomes=f"denySettings.mode {DENY[blueprint.lock_mode]}",
        note=note if locked else "",
    )
    if blueprint.excluded_principals:
        what = _counted(len(blueprint.excluded_principals), "excluded principal")
        yield Line(what=what, becomes="denySettings.excludedPrincipals (at most 5)")
    if blueprint.excluded_actions:
        what = _counted(len(blueprint.excluded_actions), "excluded action")
        yield Line(what=what, becomes="denySettings.excludedActions (at most 200)")
    for name in blueprint.parameters:
        note = (
            ""
            if name in given
            else "The blueprint declares no such parameter (it may be static), so it never had an effect."
        )
        becomes = f"parameter {name} of the stack" if name in given else ""
        yield Line(what=f"parameter {name} of the landing zone", becomes=becomes, note=note)
    if blueprint.max_auto_upgrade_version:
        note = "A stack deploys the template it names, in every subscription alike: new ones get no later version."
        yield Line(what=f"maxAutoUpgradeVersion {blueprint.max_auto_upgrade_version}", becomes="", note=note)
    identity = blueprint.user_assigned_identity
    yield Line(
        what=f"user-assigned identity {identity.resource_id.rpartition('/')[2]}"
        if identity
        else "system-assigned identity",
        becomes="",
        note="A stack deploys with the runner's own identity: give it the rights that the template needs"
        + (", also outside of the subscription." if identity else "."),
    )
    yield Line(
        what=f"assignment {blueprint.name}",
        becomes="",
        note="It stays until somebody removes it: az blueprint assignment delete. Its locks stop working on 2027-01-31; until it is "
        "removed, they also bind the stack.",
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


@dataclass
class _Work:
    """What is made of one definition; `added` are parameters that it had none for, `report` what was made of what."""

    blueprint: Blueprint
    definition: Definition
    added: dict[str, Any] = field(default_factory=dict)
    report: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = self.definition.properties.get("resourceGroups")
        self.groups: dict[str, Mapping[str, Any]] = {
            str(name): group if isinstance(group, dict) else {}
            for name, group in (found.items() if isinstance(found, dict) else ())
        }
        self.kinds = {str(one.get("name")): str(one.get("kind")) for one in self.definition.artifacts}

    def parameters(self) -> Iterator[tuple[str, dict[str, Any]]]:
        found = self.definition.properties.get("parameters")
        for name, one in found.items() if isinstance(found, dict) else ():
            type_ = _TYPES.get(str(one.get("type", "")).lower(), "string")
            made: dict[str, Any] = {"type": type_}
            made |= {key: one[key] for key in ("defaultValue", "allowedValues") if key in one}
            metadata = {
                key: value
                for key, value in (one.get("metadata") or {}).items()
                if key in ("displayName", "description", "strongType")
            }
            made |= {"metadata": metadata} if metadata else {}
            secret = type_.startswith("secure")
            note = "A secret is never in a document: read it from a key vault inside the template." if secret else ""
            self.report.append(Line(what=f"parameter {name}", becomes="" if secret else f"parameter {name}", note=note))
            yield str(name), made

    def group(self, name: str, found: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {
            "type": _GROUPS,
            "apiVersion": "2022-09-01",
            "name": self.of_group(name, "name"),
            "location": self.of_group(name, "location"),
        }
        if depends := self.depends(found.get("dependsOn"), None):
            made["dependsOn"] = depends
        if isinstance(found.get("tags"), dict):
            made["tags"] = self.expression(found["tags"], None)
        self.report.append(Line(what=f"resource group {name}", becomes=f"resource group {found.get('name') or name}"))
        return made

    def of_group(self, name: str, what: str) -> str:
        """Name or location of a resource group; a new parameter where the blueprint leaves it open."""
        value = self.groups.get(name, {}).get(what)
        if isinstance(value, str) and value:
            return str(self.expression(value, None))
        parameter = re.sub(r"[^A-Za-z0-9]", "", name) + what.capitalize()
        if parameter not in self.added:
            self.added[parameter] = {"type": "string"}
            note = "The blueprint leaves it open, and the runner never gave it: write it under the stack's parameters, or a default."
            self.report.append(
                Line(what=f"{what} of resource group {name}", becomes=f"parameter {parameter}", note=note)
            )
        return f"[parameters('{parameter}')]"

    def artifact(self, artifact: Mapping[str, Any]) -> list[dict[str, Any]]:
        name, kind = str(artifact.get("name")), str(artifact.get("kind"))
        properties: Mapping[str, Any] = artifact.get("properties") or {}
        group = properties.get("resourceGroup") or None
        match kind:
            case "template":
                becomes, made = "nested deployment", [self.nested(name, properties, group)]
            case "policyAssignment":
                becomes, made = "policy assignment", [self.policy(name, properties, group)]
            case "roleAssignment":
                becomes, made = "role assignments", self.roles(name, properties, group)
            case _:
                note = "This kind of artifact is not known; write it by hand."
                self.report.append(Line(what=f"artifact {name} ({kind})", becomes="", note=note))
                return []
        note = ""
        if kind == "policyAssignment":
            note = "If its policy deploys or modifies, it needs an identity: add identity and location to it."
        self.report.append(Line(what=f"artifact {name} ({kind})", becomes=becomes, note=note))
        depends = self.depends(properties.get("dependsOn"), group)
        if group and kind != "template":
            return [self.inside(name, made, group, depends)]
        return [{**one, **({"dependsOn": depends} if depends else {})} for one in made]

    def nested(self, name: str, properties: Mapping[str, Any], group: str | None) -> dict[str, Any]:
        given = properties.get("parameters")
        # a deployment at a subscription has a place of its own
        where = {"resourceGroup": self.of_group(group, "name")} if group else {"location": "[deployment().location]"}
        return {
            "type": _DEPLOYMENTS,
            "apiVersion": "2022-09-01",
            "name": self.deployment(name),
            **where,
            "properties": {
                "mode": "Incremental",
                "expressionEvaluationOptions": {"scope": "inner"},
                "template": properties.get("template") or {},
                "parameters": self.expression(given if isinstance(given, dict) else {}, group),
            },
        }

    def inside(self, name: str, resources: list[dict[str, Any]], group: str, depends: list[str]) -> dict[str, Any]:
        """Resources at a resource group, which a template of a subscription reaches by a deployment there."""
        return {
            "type": _DEPLOYMENTS,
            "apiVersion": "2022-09-01",
            "name": self.deployment(name),
            "resourceGroup": self.of_group(group, "name"),
            **({"dependsOn": depends} if depends else {}),
            "properties": {
                "mode": "Incremental",
                "template": {
                    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
                    "contentVersion": "1.0.0.0",
                    "resources": resources,
                },
            },
        }

    def policy(self, name: str, properties: Mapping[str, Any], group: str | None) -> dict[str, Any]:
        kept = {
            key: properties[key] for key in ("displayName", "description", "policyDefinitionId") if properties.get(key)
        }
        given = properties.get("parameters")
        return {
            "type": "Microsoft.Authorization/policyAssignments",
            "apiVersion": "2022-06-01",
            "name": name[:_LONGEST_DEPLOYMENT],
            "properties": {**self.expression(kept, group), "parameters": self.expression(given or {}, group)},
        }

    def roles(self, name: str, properties: Mapping[str, Any], group: str | None) -> list[dict[str, Any]]:
        role = self.expression(properties.get("roleDefinitionId"), group)
        principals = self.expression(properties.get("principalIds") or [], group)
        seed = f"subscription().id, '{self.blueprint.name}/{name}'"

        def one(principal: str, guid: str) -> dict[str, Any]:
            return {
                "type": "Microsoft.Authorization/roleAssignments",
                "apiVersion": "2022-04-01",
                "name": f"[guid({seed}, {guid})]",
                "properties": {"roleDefinitionId": role, "principalId": principal},
            }

        if isinstance(principals, str):  # an expression: who it is, only the deployment knows
            listed = principals.removeprefix("[").removesuffix("]")
            each = f"{listed}[copyIndex()]"
            return [{**one(f"[{each}]", each), "copy": {"name": name, "count": f"[length({listed})]"}}]
        return [one(str(principal), _inner(str(principal))) for principal in principals if isinstance(principal, str)]

    def depends(self, listed: Any, group: str | None) -> list[str]:
        """What has to be there before: artifacts by the names of what became of them, resource groups by their ids."""
        made = [self.identity(str(name)) for name in listed or () if str(name) in self.kinds]
        groups = [group] if group else []
        groups += [str(name) for name in listed or () if str(name) in self.groups]
        ids = [f"[subscriptionResourceId('{_GROUPS}', {_inner(self.of_group(name, 'name'))})]" for name in groups]
        return list(dict.fromkeys([*ids, *made]))

    def identity(self, artifact: str) -> str:
        found = next((one for one in self.definition.artifacts if one.get("name") == artifact), {})
        inside = (found.get("properties") or {}).get("resourceGroup")
        if self.kinds[artifact] == "template" or inside:
            return self.deployment(artifact)
        return artifact

    def deployment(self, artifact: str) -> str:
        return f"{self.blueprint.name}-{artifact}"[:_LONGEST_DEPLOYMENT]

    def expression(self, value: Any, group: str | None) -> Any:
        """The value with the functions that only blueprints have replaced by those of templates, at any depth."""
        match value:
            case str() if value.startswith("[") and not value.startswith("[["):
                text = _ARTIFACT.sub(
                    lambda found: f"reference('{self.deployment(found[1])}').outputs.{found[2]}.value", value
                )
                text = _GROUP_OF.sub(lambda found: _inner(self.of_group(found[1], found[2])), text)
                if group:
                    text = _OWN_GROUP.sub(lambda found: _inner(self.of_group(group, found[1])), text)
                return text
            case list():
                return [self.expression(item, group) for item in value]
            case dict():
                return {key: self.expression(item, group) for key, item in value.items()}
            case _:
                return value


def _inner(text: str) -> str:
    """A value as it stands inside an expression."""
    if text.startswith("[") and not text.startswith("[["):
        return text.removeprefix("[").removesuffix("]")
    return "'" + text.replace("'", "''") + "'"
