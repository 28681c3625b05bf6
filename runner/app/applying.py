"""Apply an approved run: exactly what was planned and shown.

Each effect outside is made inside `once(name, action)`, which gives the recorded result instead of repeating an action that is known to
be finished; an action may still run twice when the process died between its end and the record, and each one bears that. The
engine's apply does not: it records its intent first, and an intent without a result is settled by `app.recovery`, never repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from runner.app import blocks, deciding, deleting, deployments, steps
from runner.app.contents import contents_of
from runner.app.journal import RunJournal
from runner.app.walk import (
    Interrupted,
    Ports,
    Prepared,
    begin,
    end_badly,
    imports_of,
    leaving_of,
    raise_if_stopped,
    review_of,
    snapshot_of,
)
from runner.domain.access import AccessPlan, Addition, Invitation
from runner.domain.configuration import Configuration, Placed, Snapshot, compose, with_subscription
from runner.domain.review import Review, StaleTags
from runner.domain.run import Behavior, Run, Status
from runner.errors import Refused, RemoteFailed
from runner.ports import Azure, ResourceManager

Once = Callable[[str, Callable[[], Any]], Any]


def apply_run(run_id: str, ports: Ports, stop: threading.Event, once: Once) -> Run:
    """Apply an approved run, or go on with one whose process died. Raises Interrupted when that takes a fresh plan, and Prepared when
    the subscription was made for which the rest was only a preview."""
    run = begin(run_id, Status.APPLYING, ports)
    if run.status is not Status.APPLYING or run.executor != ports.executor:
        return run
    journal = ports.journal(run_id)
    try:
        snapshot = snapshot_of(run, ports)
        made = review_of(run, ports)
        placed = with_subscription(snapshot.placed, made.subscription)
        configuration = replace(
            compose(placed, made.facts, leaving=leaving_of(run), imports=imports_of(run)),
            code=blocks.again(placed, made.facts.blocks, ports),
        )
        with ports.azure(placed.platform, stop) as azure:
            once("check", lambda: _check_nothing_moved(run, snapshot, configuration, made, azure, ports, journal))
            steps.before_terraform(placed, made, azure, ports, journal, stop, once)
            if made.facts.source.to_come:
                raise_if_stopped(stop)
                raise Prepared
            if run.behavior is Behavior.DESTROY:
                _change_access(run, made.access, configuration, {}, azure, ports, journal, stop, once)
            if made.stale_tags is not None:  # before others are set: together they may be more than Azure takes
                once("tags", lambda: _take_tags_away(made.stale_tags, azure.resources, journal))
            outputs = once(
                "terraform", lambda: _apply_terraform(run, placed, configuration, made, ports, journal, stop)
            )
            if run.behavior is Behavior.APPLY:
                made_groups = outputs.get("group_ids") or {}
                _change_access(run, made.access, configuration, made_groups, azure, ports, journal, stop, once)
                deployments.verify(placed, made, azure, journal)
                once("function", lambda: _call_function(made, azure, journal))
            steps.after_terraform(placed, made, azure, ports, journal, stop, once)
        for name, value in sorted(outputs.items()):
            journal.output(name, value)
        if run.behavior is Behavior.DESTROY:
            steps.let_go(made, ports)
        return _finish(run, made, ports)
    except (Interrupted, Prepared):
        raise
    except BaseException as error:  # noqa: BLE001 - the end of a run: one of the two places where errors end
        return end_badly(run, error, ports)


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
        deciding.expect_not_denied_now(run, made, snapshot.placed, ports)
        moved = [] if ports.reread(run, snapshot) == made.documents else ["the documents"]
        moved += ports.infrastructure.moved(run, snapshot.placed.platform, configuration, made.bundle)
        moved += _came_in(made, azure.resources)
        moved += _was_moved(run, configuration, made, azure.resources)
        moved += deleting.moved(run, snapshot.placed, suspended=made.facts.access_suspended, ports=ports)
        if moved:
            raise Refused(
                "The plan is out of date",
                code="plan-outdated",
                detail=f"Since it was reviewed, {' and '.join(moved)} changed, so the approval is void.",
                hint=f"lzr plan {run.source}",
            )
        if run.behavior is Behavior.DESTROY:
            deleting.begin_leaving(run, snapshot, by=approvals[-1].by, ports=ports)
        if made.adopts:
            ports.runs.keep_adopted(run.tenant, made.adopts)
        if made.function is not None and not made.facts.source.to_come:
            ports.runs.keep_approved_invocation(run.tenant, made.function.invocation.model_dump(mode="json"))


def _came_in(made: Review, resources: ResourceManager) -> Iterator[str]:
    """What came into resource groups that are to be deleted, since somebody confirmed to delete what was in them."""
    confirmed = {item.resource_group: set(item.resources) for item in made.contents}
    for item in contents_of(made.changes, resources):
        if not set(item.resources) <= confirmed.get(item.resource_group, set()):
            yield f"the contents of the resource group {item.resource_group}"


def _was_moved(run: Run, configuration: Configuration, made: Review, resources: ResourceManager) -> Iterator[str]:
    """The subscription's place, where it matters and somebody has moved it since the review: a plan that found it in its place would
    leave it elsewhere. A place that was not known then, as that of a subscription made minutes ago, has not changed."""
    stays = configuration.kind == "subscription" and run.behavior is Behavior.APPLY
    reviewed = made.facts.management_group
    if reviewed is None or not (stays or "management_group" in configuration.blocks):
        return
    found = resources.subscription(made.subscription)
    if found is not None and found.management_group not in (None, reviewed):
        yield f"the subscription's management group (now {found.management_group})"


def _take_tags_away(stale: StaleTags | None, resources: ResourceManager, journal: RunJournal) -> None:
    if stale is None:
        return
    with journal.step("take tags away") as note:
        resources.remove_tags(stale.scope, stale.tags)
        note(", ".join(stale.tags))


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
    raise_if_stopped(stop)
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
            raise_if_stopped(stop)
            guests[invitation_.person] = once(
                f"invite {invitation_.email}", partial(_invite, invitation_, azure, journal)
            )
        for addition in plan.additions:
            raise_if_stopped(stop)
            group_id, person_id = _group_id(addition, made_groups), addition.object_id or guests[addition.person]
            if group_id in adopted:
                note_grant(group_id, person_id, granted=True)
            once(f"add {addition.alias} {person_id}", partial(directory.add_member, group_id, person_id))
            journal.log("info", f"Added {addition.person} to {addition.group_name}")
        for removal in plan.removals:
            raise_if_stopped(stop)
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
    if run.behavior is Behavior.DESTROY:
        deleting.end_leaving(run, ports)
    ended = ports.runs.move(
        run.id,
        Status.UNCHANGED if made.nothing_changes else Status.APPLIED,
        now=ports.now(),
        executor=ports.executor,
    )
    ports.bundles.discard(run.id)
    ports.infrastructure.discard(run)
    return ended
