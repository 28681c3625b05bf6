"""The walk of a run: plan it, let somebody decide, apply exactly that.

`plan_run` leaves a run waiting, approved, unchanged or ended. `apply_run` takes an approved one to its end. Each effect outside is
made inside `once(name, action)`, which gives the recorded result instead of repeating an action that is known to be finished; an
action may still run twice when the process died between its end and the record, and each one bears that. The engine's
apply does not: it records its intent first, and an intent without a result is settled by `app.recovery`, never repeated.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from runner.app import adoption
from runner.app.journal import RunJournal, failure_of
from runner.domain import access, review
from runner.domain.access import AccessPlan, Addition, Group, Invitation, Member, Removal, Wanted, Warn
from runner.domain.configuration import (
    Configuration,
    Import,
    Leaving,
    Placed,
    Snapshot,
    compose,
    unmapped_roles,
    wanted,
)
from runner.domain.events import Kind
from runner.domain.invocation import invocation
from runner.domain.plan import Action, ResourceChange
from runner.domain.platform import AzurePlatform
from runner.domain.review import Contents, Facts, Review
from runner.domain.run import Behavior, Failure, Run, Status
from runner.errors import Canceled, InputError, Refused, RemoteFailed, RunnerError
from runner.ports import Approval, Azure, Bundles, Directory, Infrastructure, Planned, ResourceManager, Runs

T = TypeVar("T")
Once = Callable[[str, Callable[[], Any]], Any]

log = logging.getLogger("lzr")


@dataclass(frozen=True)
class Ports:
    """Everything the walk needs from outside."""

    runs: Runs
    bundles: Bundles
    infrastructure: Infrastructure
    azure: Callable[[AzurePlatform, threading.Event], AbstractContextManager[Azure]]
    reread: Callable[[Run, Snapshot], str | None]
    now: Callable[[], datetime]
    redact: Callable[[str], str]
    executor: str

    def journal(self, run_id: str) -> RunJournal:
        return RunJournal(self.runs, run_id, self.now, self.redact)


class Interrupted(RunnerError):
    """An apply of this run began and its end is not known."""

    family = "interrupted"


def plan_run(run_id: str, ports: Ports, stop: threading.Event) -> Run:
    """Plan a pending run and leave it where somebody can decide, or in an end status. Raises nothing but bugs of the store."""
    run = begin(run_id, Status.PLANNING, ports)
    if run.status is not Status.PLANNING or run.executor != ports.executor:
        return run
    journal = ports.journal(run_id)
    try:
        _raise_if_stopped(stop)
        snapshot = snapshot_of(run, ports)
        with ports.azure(snapshot.placed.platform, stop) as azure:
            made = _review(run, snapshot, azure, ports, journal, stop)
        return _decide(run, snapshot.placed, made, ports)
    except BaseException as error:  # noqa: BLE001 - the end of a run: one of the two places where errors end
        return end_badly(run, error, ports)


def apply_run(run_id: str, ports: Ports, stop: threading.Event, once: Once) -> Run:
    """Apply an approved run, or go on with one whose process died. Raises Interrupted when that takes a fresh plan."""
    run = begin(run_id, Status.APPLYING, ports)
    if run.status is not Status.APPLYING or run.executor != ports.executor:
        return run
    journal = ports.journal(run_id)
    try:
        snapshot = snapshot_of(run, ports)
        placed = snapshot.placed
        made = review_of(run, ports)
        configuration = compose(placed, leaving=leaving_of(run), imports=imports_of(run))
        with ports.azure(placed.platform, stop) as azure:
            once("check", lambda: _check_nothing_moved(run, snapshot, configuration, made, azure, ports, journal))
            if run.behavior is Behavior.DESTROY:
                _change_access(run, made.access, configuration, {}, azure, ports, journal, stop, once)
            outputs = once(
                "terraform", lambda: _apply_terraform(run, placed, configuration, made, ports, journal, stop)
            )
            if run.behavior is Behavior.APPLY:
                made_groups = outputs.get("group_ids") or {}
                _change_access(run, made.access, configuration, made_groups, azure, ports, journal, stop, once)
                once("function", lambda: _call_function(made, azure, journal))
        for name, value in sorted(outputs.items()):
            journal.output(name, value)
        return _finish(run, made, ports)
    except Interrupted:
        raise
    except BaseException as error:  # noqa: BLE001 - the end of a run: one of the two places where errors end
        return end_badly(run, error, ports)


def begin(run_id: str, status: Status, ports: Ports) -> Run:
    """The run at work in this process; or as it is, where it has ended meanwhile or another process has it. One that waits for its
    turn and may not begin fails with the reason."""
    run = ports.runs.get(run_id)
    if run.status is status and run.executor == ports.executor:
        return run
    try:
        return ports.runs.move(run_id, status, now=ports.now(), executor=ports.executor)
    except Refused as refused:
        run = ports.runs.get(run_id)
        return end_badly(run, refused, ports) if run.status in (Status.PENDING, Status.APPROVED) else run


def review_of(run: Run, ports: Ports) -> Review:
    """The review that was kept for the run; Refused when there is none."""
    kept = ports.runs.review(run.id)
    if kept is None:
        raise Refused(
            "Nothing to decide yet", code="no-review", detail=f"Run {run.id} has no review.", hint=f"lzr run {run.id}"
        )
    return Review.model_validate(kept)


def snapshot_of(run: Run, ports: Ports) -> Snapshot:
    return Snapshot.model_validate(ports.runs.snapshot(run.id))


def leaving_of(run: Run) -> Leaving | None:
    return Leaving(move_to=run.options.get("move_to")) if run.behavior is Behavior.DESTROY else None


def imports_of(run: Run) -> tuple[Import, ...]:
    return tuple(Import.model_validate(item) for item in run.options.get("imports", ()))


# --- planning --------------------------------------------------------------------------------------------------------


def _review(
    run: Run, snapshot: Snapshot, azure: Azure, ports: Ports, journal: RunJournal, stop: threading.Event
) -> Review:
    placed = snapshot.placed
    with journal.step("compose"):
        configuration = compose(placed, leaving=leaving_of(run), imports=imports_of(run))
    with journal.step("look around"):
        facts = _facts(placed, configuration, azure.resources)
        configuration = replace(configuration, groups=_as_they_are_called(configuration.groups, azure.directory))
    with journal.step("look people up") as note:
        aim = wanted(placed, configuration.groups)
        found = azure.directory.look_up(placed.tenant.spec.users)
        note(f"{len(found)} people")
    configuration, planned = _plan_infrastructure(run, placed, configuration, azure, ports, journal, stop)
    with journal.step("compare access"):
        aim = with_known_groups(aim, planned)
        current = {g.alias: azure.directory.members(g.object_id) for g in aim.groups if g.object_id}
        granted = ports.runs.granted(run.tenant)
        if run.behavior is Behavior.APPLY:
            changes = access.diff(aim, found, current, granted)
        else:
            changes = leaving_access(placed, aim, found, current, granted)
    with journal.step("review"):
        warnings = (*configuration.warnings, *unmapped_roles(placed), *changes.warnings, *_of_subscription(facts))
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
            access=changes,
            invocation=call,
            approved_invocation=ports.runs.approved_invocation(run.tenant),
            contents=_contents(planned.plan.changes, azure.resources),
            warnings=warnings,
        )
        for warning in made.warnings:
            journal.warn(warning.code, warning.text)
        ports.runs.keep_review(run.id, digest=made.digest, review=made.model_dump(mode="json"))
        ports.runs.note(run.id, digest=made.digest, warnings=len(made.warnings))
    return made


def _plan_infrastructure(
    run: Run,
    placed: Placed,
    configuration: Configuration,
    azure: Azure,
    ports: Ports,
    journal: RunJournal,
    stop: threading.Event,
) -> tuple[Configuration, Planned]:
    """Plan; where an earlier apply did not come to its end, plan again with imports of what it left behind, until nothing more is
    found: what one thing is called may be known only once another one is taken in."""
    planned = ports.infrastructure.plan(run, placed.platform, configuration, journal=journal, stop=stop)
    if not adoption.is_due(run, ports.runs):
        return configuration, planned
    while True:
        with journal.step("look for what was being created") as note:
            found = [one for one in adoption.existing(planned.plan.changes, azure) if one not in configuration.imports]
            note(f"{len(found)} found")
        if not found:
            return configuration, planned
        imports = (*configuration.imports, *found)
        ports.runs.note(run.id, options={"imports": [item.model_dump() for item in imports]})
        configuration = replace(configuration, imports=imports)
        planned = ports.infrastructure.plan(run, placed.platform, configuration, journal=journal, stop=stop)


def _facts(placed: Placed, configuration: Configuration, resources: ResourceManager) -> Facts:
    subscription = resources.subscription(configuration.inputs["subscription_id"])
    if subscription is None:
        raise InputError(
            "No such subscription",
            code="unknown-subscription",
            detail=f"Subscription {configuration.inputs['subscription_id']} of {placed.tenant.name} does not exist, "
            "or the runner's identity may not see it.",
            hint="Check spec.platformTenantId, and the role assignments of the service principal.",
        )
    target = configuration.inputs.get("management_group_id")
    if target is not None and resources.management_group(target) is None:
        meant = resources.management_group_named(target)
        raise InputError(
            "No such management group",
            code="unknown-management-group",
            detail=f"There is no management group with the id {target!r}, or the runner may not read it.",
            hint=f"A group with that display name has the id {meant!r}: use the id."
            if meant
            else "Use the id, not the name.",
        )
    return Facts(
        subscription_name=subscription.display_name,
        subscription_state=subscription.state,
        management_group=subscription.management_group,
    )


def _as_they_are_called(groups: tuple[Group, ...], directory: Directory) -> tuple[Group, ...]:
    """Adopted groups under their own names: a reviewer has to know which group that is."""
    adopted = [group.object_id for group in groups if group.adopted and group.object_id]
    names = directory.group_names(adopted) if adopted else {}
    for object_id in adopted:
        if object_id not in names:
            raise InputError(
                "No such group",
                code="unknown-group",
                detail=f"There is no group with the object id {object_id}, or the runner may not see it.",
                hint="Check existingGroups of the tenant.",
            )
    return tuple(
        group.model_copy(update={"name": names[group.object_id]}) if group.adopted and group.object_id else group
        for group in groups
    )


def _of_subscription(facts: Facts) -> tuple[Warn, ...]:
    """Azure refuses most changes on a subscription that is not enabled (states of Microsoft.Resources/subscriptions)."""
    if facts.subscription_state in ("", "Enabled", "Warned", "PastDue"):
        return ()
    return (
        Warn(
            code="subscription-not-enabled",
            text=f"The subscription is {facts.subscription_state}: Azure may refuse changes.",
        ),
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


def _contents(changes: Sequence[ResourceChange], resources: ResourceManager) -> list[Contents]:
    """What is in the resource groups that would be deleted."""
    found = []
    for change in changes:
        if change.block.startswith("resource_group_") and change.action in (Action.DELETE, Action.REPLACE):
            inside = resources.resources_in(str((change.before or {}).get("id", "")))
            if inside:
                found.append(Contents(resource_group=str(change.before.get("name", "")), resources=inside))
    return found


def _decide(run: Run, placed: Placed, made: Review, ports: Ports) -> Run:
    now = ports.now()
    only_looking = bool(run.options.get("plan_only")) and made.nothing_to_decide
    if made.nothing_changes and (made.function is None or only_looking):
        ports.bundles.discard(run.id)
        ports.infrastructure.discard(run)
        return ports.runs.move(run.id, Status.UNCHANGED, now=now)
    rules = placed.zone.spec.approval
    by, expires = "", now + rules.valid_for
    if made.nothing_to_decide:
        by = "policy:as-approved-before"
    elif continued := run.options.get("continues"):
        reasons = review.strays(review_of(ports.runs.get(continued), ports), made)
        standing = ports.runs.approvals(continued)
        if not standing or standing[-1].expires <= now:
            reasons.append("the approval has expired")
        else:
            expires = standing[-1].expires  # a continuation is not approved for longer than what it continues
        by = "" if reasons else f"policy:continues-{continued}"
        for reason in reasons:
            ports.journal(run.id).warn("not-covered-by-approval", f"To be approved again: {reason}.")
    elif review.decision(rules, made) == "policy":
        by = f"policy:{rules.policy}"
    if not by:
        ports.infrastructure.discard(run)
        return ports.runs.move(run.id, Status.WAITING, now=now)
    return ports.runs.approve(Approval(run=run.id, digest=made.digest, by=by, at=now, expires=expires), now=now)


# --- applying --------------------------------------------------------------------------------------------------------


def _check_nothing_moved(
    run: Run,
    snapshot: Snapshot,
    configuration: Configuration,
    made: Review,
    azure: Azure,
    ports: Ports,
    journal: RunJournal,
) -> None:
    if journal.intended("terraform"):
        return  # the engine began, so it was checked, and the state may have moved by this very run
    with journal.step("check the approval"):
        approvals = ports.runs.approvals(run.id)
        if not approvals or approvals[-1].digest != made.digest or made.digest != run.digest:
            raise Refused(
                "The approval is for something else", code="approval-void", detail="Its digest is another one."
            )
        if approvals[-1].expires <= ports.now():
            raise Refused(
                "The approval has expired",
                code="approval-expired",
                detail=f"It was valid until {approvals[-1].expires:%Y-%m-%d %H:%M} UTC.",
                hint=f"lzr plan {run.source}",
            )
        moved = [] if ports.reread(run, snapshot) == made.documents else ["the documents"]
        moved += ports.infrastructure.moved(run, snapshot.placed.platform, configuration, made.bundle)
        moved += _came_in(made, azure.resources)
        if moved:
            raise Refused(
                "The plan is out of date",
                code="plan-outdated",
                detail=f"Since it was reviewed, {' and '.join(moved)} changed, so the approval is void.",
                hint=f"lzr plan {run.source}",
            )
        if made.function is not None:
            ports.runs.keep_approved_invocation(run.tenant, made.function.invocation.model_dump(mode="json"))


def _came_in(made: Review, resources: ResourceManager) -> Iterator[str]:
    """What came into resource groups that are to be deleted, since somebody confirmed to delete what was in them."""
    confirmed = {item.resource_group: set(item.resources) for item in made.contents}
    for item in _contents(made.changes, resources):
        if not set(item.resources) <= confirmed.get(item.resource_group, set()):
            yield f"the contents of the resource group {item.resource_group}"


def _apply_terraform(
    run: Run,
    placed: Placed,
    configuration: Configuration,
    made: Review,
    ports: Ports,
    journal: RunJournal,
    stop: threading.Event,
) -> dict[str, Any]:
    if (known := journal.result("terraform")) is not None:
        outputs: dict[str, Any] = known
        return outputs
    if journal.intended("terraform"):
        raise Interrupted(
            "The apply was interrupted",
            code="apply-interrupted",
            detail="The runner died while the engine was at work.",
        )
    if not made.changes:
        return {}
    _raise_if_stopped(stop)
    journal.intent("terraform")
    outputs = ports.infrastructure.apply(run, placed.platform, configuration, journal=journal, stop=stop)
    journal.done("terraform", outputs)
    return outputs


def _change_access(
    run: Run,
    plan: AccessPlan,
    configuration: Configuration,
    made_groups: Mapping[str, str],
    azure: Azure,
    ports: Ports,
    journal: RunJournal,
    stop: threading.Event,
    once: Once,
) -> None:
    """Carry out the reviewed access changes one by one: invite, add, remove."""
    if plan.empty:
        return
    guests: dict[str, str] = {}
    directory = azure.directory
    adopted = {group.object_id for group in configuration.groups if group.adopted}
    note_grant = partial(ports.runs.keep_granted, run.tenant)
    with journal.step("change access") as note:
        for invitation_ in plan.invitations:
            _raise_if_stopped(stop)
            guests[invitation_.person] = once(
                f"invite {invitation_.email}", partial(_invite, invitation_, azure, journal)
            )
        for addition in plan.additions:
            _raise_if_stopped(stop)
            group_id, person_id = _group_id(addition, made_groups), addition.object_id or guests[addition.person]
            if group_id in adopted:
                note_grant(group_id, person_id, granted=True)
            once(f"add {addition.alias} {person_id}", partial(directory.add_member, group_id, person_id))
            journal.log("info", f"Added {addition.person} to {addition.group_name}")
        for removal in plan.removals:
            _raise_if_stopped(stop)
            once(
                f"remove {removal.alias} {removal.object_id}",
                partial(directory.remove_member, removal.group_id, removal.object_id),
            )
            if removal.group_id in adopted:
                note_grant(removal.group_id, removal.object_id, granted=False)
            journal.log("info", f"Removed {removal.label} from {removal.group_name}")
        note(f"{len(plan.invitations)} invited, {len(plan.additions)} added, {len(plan.removals)} removed")


def _invite(invitation_: Invitation, azure: Azure, journal: RunJournal) -> str:
    object_id = azure.directory.invite(invitation_)
    journal.log("info", f"Invited {invitation_.email} as a guest")
    return object_id


def _group_id(addition: Addition, made_groups: Mapping[str, str]) -> str:
    found = made_groups.get(addition.alias) or addition.group_id
    if found is None:
        raise RemoteFailed(
            "A group is missing",
            code="group-without-id",
            detail=f"The engine gave no object id for the group {addition.group_name}.",
        )
    return found


def _call_function(made: Review, azure: Azure, journal: RunJournal) -> None:
    if made.function is None:
        return
    with journal.step("call the function") as note:
        answer = azure.functions.call(made.function.invocation)
        journal.done("function", answer.model_dump(mode="json"))
        if not 200 <= answer.status < 300:
            raise RemoteFailed(
                "The function did not succeed",
                code="function-failed",
                detail=f"{made.function.invocation.url} answered {answer.status}: {answer.body[:256]}",
                hint="Look at the function's own log; run again when it is mended.",
            )
        note(f"{answer.status} in {answer.seconds:.1f}s")


def _finish(run: Run, made: Review, ports: Ports) -> Run:
    ended = ports.runs.move(
        run.id,
        Status.UNCHANGED if made.nothing_changes else Status.APPLIED,
        now=ports.now(),
        executor=ports.executor,
    )
    ports.bundles.discard(run.id)
    ports.infrastructure.discard(run)
    return ended


def end_badly(run: Run, error: BaseException, ports: Ports) -> Run:
    """The end of a run that did not succeed: status and failure by the error's family; a bug is logged with its traceback.

    The run as it is, where it has ended otherwise meanwhile or another process has taken it over.
    """
    failed = [event.data["name"] for event in ports.runs.events(run.id) if event.kind is Kind.STEP_FAILED]
    failure = failure_of(error, redact=ports.redact, step=failed[-1] if failed else "")
    if failure.family == "internal-error":
        log.error("run_failed", exc_info=error, extra={"run": run.id, "tenant": run.tenant})
    status = Status.CANCELED if isinstance(error, Canceled) else Status.FAILED
    try:
        ended = ports.runs.move(
            run.id, status, now=ports.now(), failure=with_hint(failure, run), executor=ports.executor
        )
    except Refused as refused:
        log.warning("run_ended_elsewhere", extra={"run": run.id, "tenant": run.tenant, "reason": refused.code})
        ended = ports.runs.get(run.id)
    else:
        ports.infrastructure.discard(run)
    if not isinstance(error, Exception):
        raise error
    return ended


def with_hint(failure: Failure, run: Run) -> Failure:
    return failure if failure.hint else failure.model_copy(update={"hint": f"lzr run {run.id}"})


def _raise_if_stopped(stop: threading.Event) -> None:
    if stop.is_set():
        raise Canceled(detail="Canceled between two steps; what was done before stays.")
