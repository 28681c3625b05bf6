"""What a person decides on: everything a run would do, risks first, under one digest.

The digest covers every field of the review. An approval names it, so what is applied is exactly what was shown: another plan
file, document, engine, provider, state, membership or function call gives another digest.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from runner.domain import subscription, wording
from runner.domain.access import AccessPlan, Addition, Frozen, Warn
from runner.domain.check import CheckResult
from runner.domain.configuration import BLUEPRINTS_OWNER, Configuration, Placed
from runner.domain.facts import Facts
from runner.domain.invocation import Invocation
from runner.domain.landing_zone import ApprovalRules
from runner.domain.plan import SENSITIVE, UNKNOWN, Action, Plan, ResourceChange
from runner.domain.run import Behavior
from runner.domain.subscription import Step


class BundleFacts(Frozen):
    """What the sealed plan bundle was made from, and what it is bound to."""

    tenant: str
    engine: str
    engine_version: str
    providers: dict[str, str]
    stand_ins: bool
    configuration: str
    lock_file: str
    plan_file: str
    lineage: str
    serial: int
    cloud: str


class Risk(Frozen):
    """Something to look at before approving. `destructive` ones ask for a person under `when-destructive`."""

    code: str
    text: str
    destructive: bool = True


class Sentence(Frozen):
    """One thing that happens, in plain words, with the address it was told from."""

    sign: str
    text: str
    address: str


class Contents(Frozen):
    """A resource group that would be deleted although it is not empty: to be confirmed by its name."""

    resource_group: str
    resources: tuple[str, ...]


class StaleTags(Frozen):
    """Tags with the platform's prefix that nothing maps and that are not in the state: left by somebody who made them the same way.

    They are the runner's by their prefix, and are taken away after Terraform, each only while it has this value.
    """

    scope: str
    tags: dict[str, str]


class FunctionCall(Frozen):
    """The function call of the run. `as_approved` says that the very same call was approved before."""

    invocation: Invocation
    as_approved: bool


class Verdict(Frozen):
    """What a rule of the landing zone's approval policy said of the plan."""

    rule: str
    then: Literal["ask", "allow", "deny"]
    message: str = ""

    @property
    def denial(self) -> str:
        """What one that denies says, in a sentence without a full stop."""
        return ": ".join(filter(None, (f"The rule {self.rule} denies this", self.message.rstrip("."))))


class Review(Frozen):
    """Everything a run would do. `adopts` are groups that have a wanted name and would be used from now on: object ids by the name."""

    run: str
    tenant: str
    landing_zone: str
    behavior: Behavior
    subscription: str
    documents: str
    bundle: BundleFacts
    facts: Facts
    steps: tuple[Step, ...] = ()
    risks: tuple[Risk, ...]
    sentences: tuple[Sentence, ...]
    changes: tuple[ResourceChange, ...]
    drift: tuple[ResourceChange, ...]
    counts: dict[str, int]
    stale_tags: StaleTags | None = None
    adopts: dict[str, str] = {}
    access: AccessPlan
    function: FunctionCall | None
    contents: tuple[Contents, ...]
    warnings: tuple[Warn, ...]
    checks: tuple[CheckResult, ...] = ()
    verdict: Verdict | None = None

    @cached_property
    def digest(self) -> str:
        fields = self.model_dump(mode="json")
        for added in ("checks", "verdict"):  # reviews that were kept before there were any keep their digest
            if not fields[added]:
                del fields[added]
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def scope(self) -> str:
        """What the subscription is called in sentences about it."""
        return called(self.facts)

    @property
    def nothing_changes(self) -> bool:
        moves = self.changes or self.steps or self.stale_tags is not None or self.adopts
        return not moves and self.access.empty

    @property
    def nothing_to_decide(self) -> bool:
        """Nothing changes, and the function call (if any) is the one that was approved before."""
        return self.nothing_changes and (self.function is None or self.function.as_approved)

    @property
    def summary(self) -> dict[str, int]:
        """What lists tell of a review."""
        people = {
            "members": len(self.access.additions),
            "removals": len(self.access.removals),
            "guests": len(self.access.invitations),
        }
        return {**self.counts, **people, "steps": len(self.steps)}

    @property
    def destructive(self) -> bool:
        return any(risk.destructive for risk in self.risks)

    @property
    def blocked_by(self) -> tuple[CheckResult, ...]:
        """Checks because of which nobody may approve this."""
        return tuple(check for check in self.checks if check.stops)

    @property
    def stops(self) -> tuple[str, ...]:
        """Why nobody may approve this, in sentences without a full stop; empty where somebody may."""
        found = [f"The check {check.name} blocks this: it {_OUTCOMES[check.outcome]}" for check in self.blocked_by]
        if self.verdict is not None and self.verdict.then == "deny":
            found.append(self.verdict.denial)
        return tuple(found)


_OUTCOMES = {"passed": "passed", "failed": "failed", "could-not-run": "could not be run"}


def build(
    *,
    run: str,
    behavior: Behavior,
    placed: Placed,
    documents: str,
    configuration: Configuration,
    bundle: BundleFacts,
    plan: Plan,
    facts: Facts,
    steps: Sequence[Step] = (),
    stale_tags: StaleTags | None = None,
    adopts: Mapping[str, str] = MappingProxyType({}),
    access: AccessPlan,
    invocation: Invocation | None,
    approved_invocation: Mapping[str, Any] | None,
    contents: Sequence[Contents],
    warnings: Sequence[Warn],
    checks: Sequence[CheckResult] = (),
) -> Review:
    """Put the halves of a run together, worst first."""
    context = context_of(configuration, facts, plan.outputs.get("group_ids"))
    shown = [change for change in plan.changes if not wording.is_bookkeeping(change)]
    order = {Action.DELETE: 0, Action.REPLACE: 1, Action.FORGET: 2, Action.UPDATE: 3, Action.CREATE: 4}
    shown.sort(key=lambda change: order.get(change.action, 5))
    function = None
    if invocation is not None:
        function = FunctionCall(
            invocation=invocation, as_approved=approved_invocation == invocation.model_dump(mode="json")
        )
    return Review(
        run=run,
        tenant=placed.tenant.name,
        landing_zone=placed.zone.name,
        behavior=behavior,
        subscription=str(configuration.inputs["subscription_id"]),
        documents=documents,
        bundle=bundle,
        facts=facts,
        steps=tuple(steps),
        risks=(
            *risks_of_steps(steps, facts),
            *risks_of(plan, adopts, access, function, contents, context, configuration),
        ),
        sentences=tuple(
            Sentence(sign=wording.sign(change), text=wording.sentence(change, context), address=change.address)
            for change in shown
        ),
        changes=plan.changes,
        drift=plan.drift,
        counts=counts_of(plan, shown),
        stale_tags=stale_tags,
        adopts=dict(adopts),
        access=access,
        function=function,
        contents=tuple(contents),
        warnings=tuple(warnings),
        checks=tuple(checks),
    )


def counts_of(plan: Plan, shown: Sequence[ResourceChange]) -> dict[str, int]:
    """Things that are added, changed and destroyed in Azure; records that stand for no thing are `records`."""
    signs = [wording.sign(change) for change in shown]
    return {
        "add": signs.count("+") + signs.count("±"),
        "change": signs.count("~"),
        "destroy": signs.count("-") + signs.count("±"),
        "forget": signs.count("."),
        "import": sum(change.importing is not None for change in shown),
        "records": len(plan.changes) - len(shown),
        "resources": plan.resources,
    }


def context_of(configuration: Configuration, facts: Facts, group_ids: Any = None) -> wording.Context:
    """The names sentences use. `group_ids` are the object ids of groups by alias, as the state has them."""
    ids = group_ids if isinstance(group_ids, dict) else {}
    if configuration.kind == "resource-group" and "tenant" in configuration.inputs.get("resource_groups", {}):
        scope = f"the resource group {configuration.inputs['resource_groups']['tenant']['name']}"
    else:
        scope = called(facts)
    return wording.Context(
        scope=scope,
        group_names={group.alias: group.name for group in configuration.groups},
        management_group_now=facts.management_group,
        older_blueprints=frozenset(name for name, found in facts.blueprints.items() if found.older),
        principals={str(ids[group.alias]): group.name for group in configuration.groups if group.alias in ids},
        blocks={key: found.called for key, found in facts.blocks.items()},
    )


def called(facts: Facts) -> str:
    """What the subscription is called; one that is to come says so."""
    which = "the new subscription" if facts.source.to_come else "the subscription"
    return f'{which} "{facts.subscription_name}"' if facts.subscription_name else which


def risks_of_steps(steps: Sequence[Step], facts: Facts) -> Iterator[Risk]:
    """What to look at in the steps about the subscription itself."""
    for step in steps:
        if found := subscription.risk(step, called(facts)):
            code, text, destructive = found
            yield Risk(code=code, text=text, destructive=destructive)


def risks_of(
    plan: Plan,
    adopts: Mapping[str, str],
    access: AccessPlan,
    function: FunctionCall | None,
    contents: Sequence[Contents],
    context: wording.Context,
    configuration: Configuration,
) -> list[Risk]:
    """What to look at, worst first."""
    risks = [
        Risk(
            code="deletes-contents",
            text=f"Deletes {len(item.resources)} resources in the resource group {item.resource_group}, "
            "which has to be named to approve it",
        )
        for item in contents
    ]
    risks += [
        Risk(code="takes-over", text=wording.adoption(name, object_id)) for name, object_id in sorted(adopts.items())
    ]
    for change in plan.changes:
        if wording.is_bookkeeping(change):
            continue
        if change.importing is not None:
            risks.append(Risk(code="takes-over", text=wording.sentence(change, context)))
        if wording.sign(change) in ("-", "±"):
            risks.append(Risk(code=f"{change.action}s", text=wording.sentence(change, context)))
        if (role := wording.role_of(change)) in wording.HIGHEST_ROLES and change.action in (
            Action.CREATE,
            Action.UPDATE,
            Action.REPLACE,
        ):
            group = context.group_names.get(change.key.rpartition("/")[0], change.key)
            who = "Azure Blueprints" if change.block == BLUEPRINTS_OWNER else f"the group {group}"
            risks.append(
                Risk(
                    code="gives-highest-rights",
                    text=f"Gives {wording.role_name(role or '')} on {context.scope} to {who}",
                )
            )
        risks += _rights_of_blocks(change, context)
        if change.action is Action.UPDATE and change.block.removeprefix("blueprint_") in context.older_blueprints:
            risks.append(Risk(code="downgrades-blueprint", text=wording.sentence(change, context)))
        if change.block == "management_group" and change.action in (Action.CREATE, Action.REPLACE):
            text = wording.sentence(change, context)
            if text.startswith("Move"):
                risks.append(Risk(code="leaves-management-group", text=text))
    risks += _rights_given(plan, access, context, configuration)
    if access.removals:
        count = len(access.removals)
        risks.append(Risk(code="takes-access", text=f"Takes access away from {count} member{'s' if count > 1 else ''}"))
    if function is not None and not function.as_approved:
        risks.append(
            Risk(
                code="new-function-call",
                text="Calls the function in a way that was not approved before",
                destructive=False,
            )
        )
    return risks


def _rights_of_blocks(change: ResourceChange, context: wording.Context) -> Iterator[Risk]:
    """Rights that a building block gives: a role, or that somebody may activate one."""
    if not change.block.startswith("block_") or change.action not in (Action.CREATE, Action.UPDATE, Action.REPLACE):
        return
    role = wording.role_in(change)
    if (eligible := wording.eligibility_of(change)) is not None:
        role = eligible[1]
    if role is not None:
        highest = role in wording.HIGHEST_ROLES
        code = "gives-highest-rights" if highest else "gives-rights"
        yield Risk(code=code, text=wording.sentence(change, context), destructive=highest)


def _rights_given(
    plan: Plan, access: AccessPlan, context: wording.Context, configuration: Configuration
) -> Iterator[Risk]:
    """Rights that people get through a group: the highest ones by becoming a member, and any by a role of a group that others use."""
    fresh = {c.key.rpartition("/")[0] for c in plan.changes if c.block == "roles" and c.action is Action.CREATE}
    roles: dict[str, list[str]] = {}
    for assignment in configuration.inputs.get("role_assignments", {}).values():
        roles.setdefault(assignment["group"], []).append(assignment["role_definition_id"].lower())
    for group in configuration.groups:
        if group.adopted and group.alias in fresh:
            what = " and ".join(wording.role_name(role) for role in roles[group.alias])
            yield Risk(
                code="gives-rights-to-existing-group",
                text=f"Gives {what} on {context.scope} to everybody in the existing group {group.name} ({group.object_id})",
            )
        highest = [wording.role_name(role) for role in roles.get(group.alias, ()) if role in wording.HIGHEST_ROLES]
        joining = [addition.person for addition in access.additions if addition.alias == group.alias]
        if joining and highest and group.alias not in fresh:  # else it is told of the group already
            yield Risk(
                code="gives-highest-rights",
                text=f"Gives {' and '.join(highest)} on {context.scope} to {', '.join(joining)} by the group {group.name}",
            )


Decision = Literal["person", "policy"]


def decision(rules: ApprovalRules, review: Review, *, leaves_by_itself: bool = False) -> Decision:
    """Who decides: a person, or the zone's policy at once, of whose rules one may have said so. Contents that go, things that exist already
    and would be taken in, and a zone that wants four eyes always ask a person; so does a tenant that leaves, but where the zone approves
    deletions by itself; and what a rule denies or a check blocks never runs on."""
    takes_in = review.adopts or any(change.importing is not None for change in review.changes)
    leaves = review.behavior is Behavior.DESTROY and not leaves_by_itself
    if review.contents or takes_in or leaves or rules.four_eyes or review.stops:
        return "person"
    if review.verdict is not None:
        return "policy" if review.verdict.then == "allow" else "person"
    if rules.policy == "never" or (rules.policy == "when-destructive" and not review.destructive):
        return "policy"
    return "person"


def strays(approved: Review, fresh: Review) -> list[str]:
    """Why a fresh review does not merely finish what was approved; empty when it does.

    Each remaining change must have an address and action that were approved; every value known at approval must be equal, and
    a value unknown then may be anything now (it comes from the interrupted run itself). An import or a replacement is asked again.
    """
    reasons: list[str] = []
    before = {change.address: change for change in approved.changes}
    for change in fresh.changes:
        old = before.get(change.address)
        if change.importing or change.action is Action.REPLACE:
            reasons.append(f"{change.address} would be {'imported' if change.importing else 'replaced'}")
        elif old is None or old.action is not change.action:
            reasons.append(f"{change.address}: {change.action} was not approved")
        elif not _covers(old.after, change.after):
            reasons.append(f"{change.address} has other values than those approved")
    reasons += [
        f"another step about the subscription: {subscription.sentence(step, fresh.scope)}"
        for step in fresh.steps
        if step not in approved.steps
    ]
    additions = {(a.alias, a.person): a for a in approved.access.additions}
    reasons += [
        f"{a.person} would be added to {a.group_name}"
        for a in fresh.access.additions
        if not _is_the_approved(a, additions.get((a.alias, a.person)))
    ]
    removals = {(r.group_id, r.object_id) for r in approved.access.removals}
    reasons += [
        f"{r.label} would be removed from {r.group_name}"
        for r in fresh.access.removals
        if (r.group_id, r.object_id) not in removals
    ]
    reasons += [f"{i.email} would be invited" for i in fresh.access.invitations if i not in approved.access.invitations]
    if fresh.function and (approved.function is None or fresh.function.invocation != approved.function.invocation):
        reasons.append("the function call is another one")
    if not fresh.adopts.items() <= approved.adopts.items():
        reasons.append("groups that exist already would be used")
    allowed = approved.stale_tags.tags if approved.stale_tags else {}
    if fresh.stale_tags and not fresh.stale_tags.tags.items() <= allowed.items():
        reasons.append("tags would be taken away that were not approved")
    if fresh.contents:
        reasons.append("a resource group with contents would be deleted")
    if fresh.documents != approved.documents:
        reasons.append("the documents changed")
    return reasons


def differs(preview: Review, fresh: Review) -> list[str]:
    """Why a fresh review is not the approved preview with the id of the new subscription filled in; empty when it is."""
    filled = _filled_in(preview, fresh.subscription)
    planned = {change.address for change in fresh.changes}
    missing = [change.address for change in filled.changes if change.address not in planned]
    return strays(filled, fresh) + [f"{address} was approved and is not planned any more" for address in missing]


def _filled_in(preview: Review, real: str) -> Review:
    """The preview as it reads with the real id in place of the one that stood for it, also where that went into a name."""
    text = json.dumps(preview.model_dump(mode="json"), ensure_ascii=False)
    filled = Review.model_validate_json(text.replace(preview.subscription, real))
    changes = zip(preview.changes, filled.changes, strict=True)
    return filled.model_copy(update={"changes": tuple(_named_anew(before, after) for before, after in changes)})


def _named_anew(before: ResourceChange, after: ResourceChange) -> ResourceChange:
    """With the name that `modules/role-assignments` makes from scope, principal and role, where it was known at all."""
    old, new = assignment_name(before.after), assignment_name(after.after)
    if old is None or new is None or before.after.get("name") != old:
        return after
    return after.model_copy(update={"after": {**after.after, "name": new}})


def assignment_name(planned: Any) -> str | None:
    """The name of a planned role assignment; None of anything else, and where principal or role are not known."""
    properties = _properties(planned)
    scope, principal = (planned or {}).get("parent_id"), properties.get("principalId")
    role = str(properties.get("roleDefinitionId") or "").rpartition("/")[2]
    if not scope or not principal or not role or UNKNOWN in (scope, principal, role):
        return None
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}|{principal}|{role}".lower()))


def _properties(planned: Any) -> Mapping[str, Any]:
    body = planned.get("body") if isinstance(planned, dict) else None
    found = body.get("properties") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _is_the_approved(fresh: Addition, approved: Addition | None) -> bool:
    """The same person in the same group; ids that were not known at approval come from the interrupted run itself."""
    return approved is not None and (
        approved.object_id in (None, fresh.object_id) and approved.group_id in (None, fresh.group_id)
    )


def _covers(approved: Any, fresh: Any) -> bool:
    if approved == UNKNOWN:
        return True
    if SENSITIVE in (approved, fresh):  # cannot be told apart once masked, so a person looks again
        return False
    if isinstance(approved, dict) and isinstance(fresh, dict):
        return approved.keys() == fresh.keys() and all(_covers(approved[key], fresh[key]) for key in fresh)
    if isinstance(approved, list) and isinstance(fresh, list):
        return len(approved) == len(fresh) and all(map(_covers, approved, fresh))
    return bool(approved == fresh)
