"""Plan a run: look around, plan both halves, and leave one review that somebody can decide."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace

from runner.app import adoption, blocks, deciding, deleting, deployments, sourcing
from runner.app.contents import contents_of
from runner.app.facts import look_around, overlapping, the_group, warnings_of
from runner.app.journal import RunJournal
from runner.app.walk import Ports, begin, end_badly, imports_of, leaving_of, raise_if_stopped, review_of, snapshot_of
from runner.domain import access, review, subscription, tagging, versions
from runner.domain.access import AccessPlan, Group, Member, Removal, Wanted, Warn
from runner.domain.configuration import Configuration, Placed, Snapshot, compose, tag_scope, unmapped_roles, wanted
from runner.domain.facts import Facts
from runner.domain.invocation import invocation
from runner.domain.plan import Action, Plan
from runner.domain.review import Review, StaleTags
from runner.domain.run import DRIFTED, VERSIONS, Behavior, Run, Status
from runner.errors import InputError
from runner.ports import Approval, Azure, Directory, Planned


def plan_run(run_id: str, ports: Ports, stop: threading.Event) -> Run:
    """Plan a pending run and leave it where somebody can decide, or in an end status. Raises nothing but bugs of the store."""
    run = begin(run_id, Status.PLANNING, ports)
    if run.status is not Status.PLANNING or run.executor != ports.executor:
        return run
    journal = ports.journal(run_id)
    try:
        raise_if_stopped(stop)
        snapshot = snapshot_of(run, ports)
        with ports.azure(snapshot.placed.platform, stop) as azure:
            made = _review(run, snapshot, azure, ports, journal, stop)
        return _decide(run, snapshot.placed, made, ports)
    except BaseException as error:  # noqa: BLE001 - the end of a run: one of the two places where errors end
        return end_badly(run, error, ports)


def _review(
    run: Run, snapshot: Snapshot, azure: Azure, ports: Ports, journal: RunJournal, stop: threading.Event
) -> Review:
    with journal.step("look around"):
        sourced = sourcing.find(run, snapshot, azure, ports)
        placed, source = sourced.placed, sourced.source
        stays = run.behavior is Behavior.APPLY or placed.platform.spec.type == "azure"  # the tags of a group go with it
        tags = azure.resources.tags(tag_scope(placed)) if stays and not source.to_come else {}
        adopted = ports.runs.adopted(run.tenant)
        names = _names_of(placed, adopted, azure.directory)
        adopted = {
            name: one for name, one in adopted.items() if one in names
        }  # a deleted one: a group of our own is made
        suspended = run.behavior is Behavior.APPLY and deleting.suspends_access(placed, ports)
        facts = look_around(placed, leaving_of(run), azure, tags, source)
        looked = deployments.look(run, placed, azure, ports, to_come=source.to_come)
        facts = facts.model_copy(update={"adopted_groups": adopted, "access_suspended": suspended, **looked.found})
        group = the_group(placed, leaving_of(run), azure.resources)
        modules, code = (
            blocks.look(placed, ports) if run.behavior is Behavior.APPLY and not source.to_come else ({}, {})
        )
        facts = facts.model_copy(update={"blocks": modules})
    with journal.step("look people up") as note:
        found = azure.directory.look_up(() if suspended else placed.tenant.spec.users)
        note(f"{len(found)} people")
    facts, configuration, planned = _plan_infrastructure(run, placed, facts, names, code, azure, ports, journal, stop)
    with journal.step("compare access"):
        aim = with_known_groups(wanted(placed, configuration.groups), planned)
        if suspended:
            aim = Wanted(groups=aim.groups, people={})
        current = {g.alias: azure.directory.members(g.object_id) for g in aim.groups if g.object_id}
        granted = ports.runs.granted(run.tenant)
        if run.behavior is Behavior.APPLY:
            changes = access.diff(aim, found, current, granted)
        else:
            changes = leaving_access(placed, aim, found, current, granted)
    with journal.step("review"):
        warnings = (
            *configuration.warnings,
            *unmapped_roles(placed),
            *changes.warnings,
            *sourced.warnings,
            *looked.warnings,
            *subscription.warnings_of(placed, facts),
            *warnings_of(facts),
            *overlapping(snapshot, group, azure.resources),
            *_taken_over(placed, configuration, facts, planned.plan, tags),
        )
        call = None
        if run.behavior is Behavior.APPLY:
            call = invocation(placed.zone, placed.tenant, subscription_id=configuration.inputs["subscription_id"])
        made = review.build(
            run=run.id,
            behavior=run.behavior,
            placed=placed,
            documents=snapshot.digest,
            configuration=configuration,
            bundle=planned.bundle,
            plan=planned.plan,
            facts=facts,
            steps=(
                *deployments.steps_of_leaving(planned.plan, facts, configuration.inputs["subscription_id"]),
                *subscription.steps_of(
                    placed, facts, configuration.inputs["subscription_id"], leaving=run.behavior is Behavior.DESTROY
                ),
            ),
            stale_tags=stale_tags_of(placed, configuration, planned.plan, tags),
            adopts={name: one for name, one in facts.adopted_groups.items() if name not in adopted},
            access=changes,
            invocation=call,
            approved_invocation=ports.runs.approved_invocation(run.tenant),
            contents=contents_of(planned.plan.changes, azure.resources),
            warnings=warnings,
        )
    drifted = not made.nothing_changes and ports.runs.applied_documents(run.tenant) == snapshot.digest
    made = deciding.looked_at(made, placed, run, planned.document, ports, journal, stop, drifted=drifted)
    for warning in made.warnings:
        journal.warn(warning.code, warning.text)
    ports.runs.keep_review(run.id, digest=made.digest, review=made.model_dump(mode="json"))
    ports.runs.note(
        run.id,
        digest=made.digest,
        warnings=len(made.warnings),
        risks=sum(risk.destructive for risk in made.risks),
        counts=made.summary,
        options={
            **({DRIFTED: True} if drifted else {}),
            VERSIONS: versions.planned(placed, facts) if run.behavior is Behavior.APPLY else {},
        },
    )
    return made


def _plan_infrastructure(
    run: Run,
    placed: Placed,
    facts: Facts,
    names: Mapping[str, str],
    code: blocks.Code,
    azure: Azure,
    ports: Ports,
    journal: RunJournal,
    stop: threading.Event,
) -> tuple[Facts, Configuration, Planned]:
    """Plan; where something that would be created exists already, plan again with it taken in, until nothing more is found: what one thing
    is called may be known only once another one is taken in. So it is where a blueprint's assignment would be deleted that is to stay."""
    leaving, imports = leaving_of(run), imports_of(run)
    while True:
        configuration = compose(placed, facts, leaving=leaving, imports=imports)
        configuration = replace(configuration, groups=_as_they_are_called(configuration.groups, names), code=code)
        planned = ports.infrastructure.plan(
            run,
            placed.platform,
            configuration,
            journal=journal,
            stop=stop,
            for_checks=bool(placed.zone.spec.approval.checks),
        )
        if stays := deployments.dropped(run, planned.plan, facts, ports.now()):
            facts = facts.model_copy(update={"released": (*facts.released, *stays)})
            continue
        creates = [
            change
            for change in planned.plan.changes
            if change.action is Action.CREATE and change.address not in {item.address for item in imports}
        ]
        if not creates:
            return facts, configuration, planned
        with journal.step("look for what exists already") as note:
            own = adoption.in_flight(run, ports.runs)
            found = adoption.existing(creates, azure, own_groups=own)
            note(f"{len(found.imports) + len(found.groups)} found")
        if not (found.imports or found.groups):
            return facts, configuration, planned
        imports = (*imports, *found.imports)
        ports.runs.note(run.id, options={"imports": [item.model_dump() for item in imports]})
        facts = facts.model_copy(update={"adopted_groups": {**facts.adopted_groups, **found.groups}})
        names = {**names, **{object_id: name for name, object_id in found.groups.items()}}


def _names_of(placed: Placed, adopted: Mapping[str, str], directory: Directory) -> dict[str, str]:
    """What the groups are called that exist without the runner, by object id. InputError where one of the documents is not there."""
    documented = [group.object_id for group in placed.tenant.spec.existing_groups]
    names = directory.group_names([*documented, *adopted.values()]) if documented or adopted else {}
    for object_id in documented:
        if object_id not in names:
            raise InputError(
                "No such group",
                code="unknown-group",
                detail=f"There is no group with the object id {object_id}, or the runner may not see it.",
                hint="Check existingGroups of the tenant.",
            )
    return names


def _as_they_are_called(groups: tuple[Group, ...], names: Mapping[str, str]) -> tuple[Group, ...]:
    """Adopted groups under their own names: a reviewer has to know which group that is."""
    return tuple(
        group.model_copy(update={"name": names[group.object_id]}) if group.adopted and group.object_id else group
        for group in groups
    )


def with_known_groups(aim: Wanted, planned: Planned) -> Wanted:
    """Object ids of the groups that exist in the state and stay; a group that is made or made anew has none yet."""
    ids: Mapping[str, str] = planned.plan.outputs.get("group_ids") or {}
    fresh = {
        change.key
        for change in planned.plan.changes
        if change.block == "groups" and change.action in (Action.CREATE, Action.REPLACE)
    }
    groups = tuple(
        group if group.adopted or group.alias in fresh else group.model_copy(update={"object_id": ids.get(group.alias)})
        for group in aim.groups
    )
    return Wanted(groups=groups, people=aim.people)


def leaving_access(
    placed: Placed,
    aim: Wanted,
    found: Mapping[str, access.Found],
    current: Mapping[str, tuple[Member, ...]],
    granted: Mapping[str, Collection[str]],
) -> AccessPlan:
    """Access that ends when a tenant leaves: all of it in groups the runner made, in adopted ones that of the people who are listed or
    whom the runner put there. None where the platform keeps groups and roles."""
    if placed.platform.spec.skip_user_group_permission_cleanup:
        return AccessPlan()
    removals: list[Removal] = []
    for group in aim.groups:
        known = [found[person.username] for person in aim.people.get(group.alias, ())]
        listed = {one.object_id.lower() for one in known if isinstance(one, access.Known)}
        listed |= {object_id.lower() for object_id in granted.get(group.object_id or "", ())}
        for member in current.get(group.alias, ()):
            if group.object_id and (not group.adopted or member.object_id.lower() in listed):
                removals.append(access.removal(group, group.object_id, member))
    warnings = {name: one.warning for name, one in found.items() if isinstance(one, access.Missing)}
    return AccessPlan(removals=tuple(removals), warnings=tuple(warnings.values()))


def _taken_over(
    placed: Placed, configuration: Configuration, facts: Facts, plan: Plan, existing: Mapping[str, str]
) -> tuple[Warn, ...]:
    """Tags of others that become the runner's own with this run."""
    mapped: Mapping[str, str] = configuration.inputs.get("tags", {})
    fresh = {name: value for name, value in mapped.items() if name in _tags_that(Action.CREATE, plan)}
    return tagging.taken_over(placed.platform, fresh, existing, facts.tag_spellings)


def stale_tags_of(
    placed: Placed, configuration: Configuration, plan: Plan, existing: Mapping[str, str]
) -> StaleTags | None:
    """Tags to take away beside Terraform, which takes away those in its state. InputError where there would be too many tags."""
    mapped: Mapping[str, str] = configuration.inputs.get("tags", {})
    by_terraform = _tags_that(Action.DELETE, plan)
    stale = {
        name: value
        for name, value in tagging.stale(placed.platform, mapped, existing).items()
        if name.casefold() not in {gone.casefold() for gone in by_terraform}
    }
    others = tagging.too_many(mapped, existing, (*stale, *by_terraform))
    if others is not None:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        raise InputError(
            "Too many tags",
            code="too-many-tags",
            detail=f"{len(mapped)} mapped tags and {len(others)} of others ({', '.join(others[:5])}{more}) are more than the "
            f"{tagging.MOST_TAGS} that Azure takes on {tag_scope(placed)}.",
            hint="Map fewer tags in tenantTags, or have some of the others removed.",
        )
    return StaleTags(scope=tag_scope(placed), tags=stale) if stale else None


def _tags_that(action: Action, plan: Plan) -> set[str]:
    """Names of the tags that come into the state or leave it."""
    return {
        change.key
        for change in plan.changes
        if (change.block, change.type, change.action) == ("tags", "azapi_resource_action", action)
    }


def _decide(run: Run, placed: Placed, made: Review, ports: Ports) -> Run:
    now = ports.now()
    only_looking = bool(run.options.get("plan_only")) and made.nothing_to_decide
    if made.nothing_changes and (made.function is None or only_looking):
        if run.behavior is Behavior.DESTROY:
            deleting.end_leaving(run, ports)
        ports.bundles.discard(run.id)
        ports.infrastructure.discard(run)
        return ports.runs.move(run.id, Status.UNCHANGED, now=now)
    rules = placed.zone.spec.approval
    by, expires = "", now + rules.valid_for
    if made.stops:
        by = ""
    elif made.nothing_to_decide:
        by = "policy:as-approved-before"
    elif continued := run.options.get("continues"):
        approved = review_of(ports.runs.get(continued), ports)
        compared = review.differs if approved.facts.source.to_come else review.strays
        reasons = compared(approved, made)
        standing = ports.runs.approvals(continued)
        if not standing or standing[-1].expires <= now:
            reasons.append("the approval has expired")
        else:
            expires = standing[-1].expires  # a continuation is not approved for longer than what it continues
        by = "" if reasons else f"policy:continues-{continued}"
        for reason in reasons:
            ports.journal(run.id).warn("not-covered-by-approval", f"To be approved again: {reason}.")
    elif review.decision(rules, made, leaves_by_itself=placed.zone.spec.automate_deletion_approval) == "policy":
        by = f"policy:{placed.zone.name}/{made.verdict.rule}" if made.verdict is not None else f"policy:{rules.policy}"
    if not by:
        ports.infrastructure.discard(run)
        return ports.runs.move(run.id, Status.WAITING, now=now)
    return ports.runs.approve(Approval(run=run.id, digest=made.digest, by=by, at=now, expires=expires), now=now)
