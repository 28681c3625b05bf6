"""What the application needs from outside, as small protocols. Adapters fulfil them; contract suites hold each to the same tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, Protocol

from runner.domain.access import Found, Invitation, Member
from runner.domain.actor import Grant, SignedIn
from runner.domain.approval import ExternalCheck
from runner.domain.audit import Entry, Head, KnownHead, Wrong
from runner.domain.azure_actions import Granted
from runner.domain.blueprint import Published
from runner.domain.building_block import BuildingBlock
from runner.domain.channel import Channel
from runner.domain.check import CheckResult
from runner.domain.configuration import Configuration
from runner.domain.deletion import Deletion, Standing
from runner.domain.deployment_stack import StackReply
from runner.domain.events import Event, Kind
from runner.domain.invocation import Answer, Invocation
from runner.domain.migration import Definition
from runner.domain.notice import Notice
from runner.domain.plan import Plan
from runner.domain.platform import AzurePlatform
from runner.domain.policy import Evaluated
from runner.domain.review import BundleFacts
from runner.domain.run import EngineProcess, Failure, Run, Status
from runner.domain.state import StateBackend
from runner.domain.subscription import Holding, Step
from runner.domain.tenant import Person
from runner.errors import RemoteFailed

# --- Azure -----------------------------------------------------------------------------------------------------------


class Directory(Protocol):
    """People and groups of one platform's Entra tenant and its home tenants. Every call may raise RemoteFailed."""

    def look_up(self, people: Sequence[Person]) -> dict[str, Found]:
        """The result for each person, by username. Not finding somebody is a result, never an error."""

    def groups_named(self, names: Sequence[str]) -> dict[str, str]:
        """Object ids of the groups that have one of these display names, by the name as asked for. RemoteFailed where one of them could
        not be used as a group of people with roles."""

    def group_names(self, ids: Sequence[str]) -> dict[str, str]:
        """Display names of the groups with these object ids, by the id as asked for. Of a group that does not exist, nothing."""

    def members(self, group_id: str) -> tuple[Member, ...]:
        """All direct members. A group that does not exist has none."""

    def invite(self, invitation: Invitation) -> str:
        """Object id of the guest; one who is there already (also while pending) is found, never invited twice."""

    def add_member(self, group_id: str, object_id: str) -> None:
        """Make it a member; fine when it is one already."""

    def remove_member(self, group_id: str, object_id: str) -> None:
        """Make it no member; fine when it is none."""


@dataclass(frozen=True)
class SubscriptionFacts:
    """A subscription as Azure reports it now. `above` are the ids of the management groups above it, from the root group to the one it
    is in, as far as they may be read."""

    id: str
    display_name: str
    state: str
    above: tuple[str, ...] = ()

    @property
    def management_group(self) -> str | None:
        """Id of the group it is in; None where that may not be read."""
        return self.above[-1] if self.above else None


@dataclass(frozen=True)
class ManagementGroupFacts:
    """A management group as Azure reports it now; `above` as of a subscription."""

    id: str
    display_name: str
    above: tuple[str, ...] = ()


class ResourceManager(Protocol):
    """What is read from ARM before composing, and the tags that Python takes away. Every call may raise RemoteFailed."""

    def subscription(self, subscription_id: str) -> SubscriptionFacts | None:
        """The subscription; None when it does not exist or may not be seen."""

    def management_group(self, group_id: str) -> ManagementGroupFacts | None:
        """The management group with this id; None when there is none or it may not be seen."""

    def management_group_named(self, display_name: str) -> str | None:
        """Id of the one management group with this display name; None when there is none or several."""

    def subscriptions_below(self, group_ids: Sequence[str]) -> tuple[SubscriptionFacts, ...]:
        """Subscriptions anywhere below these management groups, each once, by name and id; of `above` only the group each is in."""

    def locations(self, subscription_id: str) -> tuple[str, ...]:
        """Names of the locations that the subscription may use; empty where they may not be read."""

    def tags(self, scope: str) -> dict[str, str]:
        """The tags of a subscription or resource group; none where there is no such thing."""

    def remove_tags(self, scope: str, tags: Mapping[str, str]) -> None:
        """Take away these tags, each only while it has this value; fine when it is gone."""

    def resources_in(self, resource_group_id: str) -> tuple[str, ...]:
        """Ids of what is in the resource group; empty when it is empty or does not exist."""

    def location_of(self, resource_group_id: str) -> str | None:
        """Location of the resource group; None when there is none with this id."""

    def role_assignments(self, scope: str, principal_id: str) -> dict[str, str]:
        """Names of the principal's role assignments right at this scope, by the id of the role definition."""

    def exists(self, resource_id: str, *, api_version: str) -> bool:
        """Whether there is a resource with this id."""


class Functions(Protocol):
    """The landing zone's Azure Function."""

    def call(self, invocation: Invocation) -> Answer:
        """POST it once. Any status is an answer; RemoteFailed when there is none, Refused when the address is not allowed."""


@dataclass(frozen=True)
class Token:
    """What a token says of whom it speaks for, never the token itself. `roles` is None where it cannot be read."""

    object_id: str
    tenant_id: str
    roles: frozenset[str] | None
    version: str


@dataclass(frozen=True)
class Expiry:
    """When what an identity signs in with ends. `what` is empty where there is nothing that could; `ends` is None where it cannot be
    read."""

    what: str
    ends: datetime | None = None


@dataclass(frozen=True)
class Offer:
    """What an application asks of those who want a token for it. None where it cannot be read."""

    roles: frozenset[str]
    assignment_required: bool | None
    token_version: int | None


class Rights(Protocol):
    """What one identity is and may do in one Entra tenant, as Azure itself tells. Only reads; every call may raise RemoteFailed."""

    def token(self, scope: str) -> Token:
        """What a token for the scope says; InputError when the secret is not there."""

    def expiry(self, *, ask: bool) -> Expiry:
        """When the identity's secret or certificate ends; Graph is asked as well with `ask`."""

    def granted(self, scope: str) -> tuple[Granted, ...] | None:
        """The roles that reach this ARM scope; None where it does not exist or may not be seen."""

    def administers(self, unit_id: str, *, object_id: str) -> bool | None:
        """Whether it is Groups Administrator, of the administrative unit or of all; None where that may not be read."""

    def unit(self, unit_id: str) -> bool:
        """Whether there is such an administrative unit; False also where it may not be seen."""

    def offer(self, application: str) -> Offer | None:
        """What the application with this client id or URI asks for; None where it may not be read or there is none."""

    def principal(self, object_id: str) -> str | None:
        """Application (client) id of the service principal; None when there is none or it may not be seen."""

    def ahead(self) -> timedelta:
        """How far this machine's clock is ahead of Azure's. Needs no token."""


@dataclass(frozen=True)
class Order:
    """An order of a subscription as Azure knows it by its alias. The id may be known before it has succeeded."""

    state: Literal["Accepted", "Succeeded", "Failed"]
    subscription: str | None = None


class Subscriptions(Protocol):
    """Subscriptions themselves: ordering, accepting, naming, cancelling them, and who is Owner. Every call may raise RemoteFailed.

    Orders are made and looked at by the identity that may order, all else is done by the platform's own.
    """

    def enabled(self) -> tuple[SubscriptionFacts, ...]:
        """All enabled subscriptions that may be seen, without what is above them."""

    def ordered(self, alias: str) -> Order | None:
        """The order with this alias; None when nobody made one."""

    def order(self, step: Step) -> Order:
        """Order what the step says. An order with its alias that is there already is answered as it is, and never made twice."""

    def settled(self, alias: str) -> Order | None:
        """The order once it has succeeded or failed; as it is (None: not found yet) when that takes longer than one can wait."""

    def accept(self, step: Step) -> bool:
        """Accept the ownership that the step names and wait for it; False when that takes longer than one can wait."""

    def appears(self, subscription_id: str) -> bool:
        """Wait until the subscription is there and enabled; False when that takes longer than one can wait."""

    def rename(self, subscription_id: str, name: str) -> None: ...

    def cancel(self, subscription_id: str) -> None:
        """Cancel it, whatever is in it."""

    def owners(self, subscription_id: str) -> tuple[str, ...]:
        """Object ids of the principals that are Owner right at the subscription, without a condition."""

    def give_owner(self, subscription_id: str, principal_id: str) -> None:
        """Make the principal Owner right at the subscription; fine when it is."""

    def drop_owner(self, subscription_id: str, principal_id: str) -> None:
        """Make the principal no Owner right at the subscription any more; fine when it is none."""


@dataclass(frozen=True)
class Version:
    """A published version of a blueprint. `parameters` are as ARM gives them; `open_groups` are the resource groups of it whose name or
    location is to be given with the assignment."""

    published: Published
    parameters: Mapping[str, Any]
    open_groups: tuple[str, ...]


@dataclass(frozen=True)
class Assignment:
    """A blueprint assignment as Azure reports it now. `version_id` is the ARM id of the blueprint's version."""

    name: str
    location: str
    version_id: str
    state: str

    @property
    def version(self) -> str:
        return self.version_id.rpartition("/versions/")[2]

    @property
    def failed(self) -> bool:
        return self.state.lower() == "failed"


class Deployments(Protocol):
    """Blueprints, template specs and deployment stacks as ARM reports them. Every call may raise RemoteFailed."""

    def versions(self, definition_id: str) -> tuple[Version, ...] | None:
        """The published versions of a blueprint; None where there is none with this id or it may not be read."""

    def fixed_parameters(self, definition_id: str, version: str) -> dict[str, str]:
        """Parameters that the artifacts of a version have a value for, by name, with the artifact's name."""

    def definition(self, definition_id: str, version: str) -> Definition | None:
        """A published version of a blueprint with its artifacts, whole; None where there is none or it may not be read."""

    def assignments(self, subscription_id: str) -> tuple[Assignment, ...]:
        """The blueprint assignments of a subscription, by name; none where they may not be read."""

    def blueprints_principal(self, subscription_id: str, assignment: str) -> str | None:
        """Object id of Azure Blueprints in the subscription's Entra tenant; None where Azure does not tell."""

    def assignment_goes(self, subscription_id: str, name: str) -> bool:
        """Wait until an assignment that is being deleted is gone; False when that takes longer than one can wait."""

    def template_parameters(self, version_id: str) -> Mapping[str, Any] | None:
        """The parameters of a template spec's version as ARM gives them; None where there is none or it may not be read."""

    def stack(self, subscription_id: str, name: str) -> StackReply | None:
        """A deployment stack of a subscription; None where there is none."""


@dataclass(frozen=True)
class Azure:
    """One platform's Azure, connected with the platform's own identities."""

    directory: Directory
    resources: ResourceManager
    functions: Functions
    subscriptions: Subscriptions
    deployments: Deployments


# --- Terraform -------------------------------------------------------------------------------------------------------


class Journal(Protocol):
    """What a run tells while it goes on; every text is redacted on its way in."""

    def step(self, name: str) -> AbstractContextManager[Callable[[str], None]]:
        """A step that begins now and ends with the block, well or badly. Call what it gives to say in a few words how it went."""

    def log(self, level: str, text: str) -> None:
        """A line of the current step's log."""

    def log_all(self, lines: Sequence[tuple[str, str]]) -> None:
        """Lines of the current step's log, each with its level before it."""

    def warn(self, code: str, text: str) -> None: ...

    def intent(self, what: str) -> None:
        """Recorded before an effect outside that must not happen twice unseen."""

    def done(self, what: str, result: Any = None) -> None:
        """Recorded after it, with what it gave."""

    def intended(self, what: str) -> bool: ...

    def result(self, what: str) -> Any | None:
        """What `done` recorded; None when it was not recorded."""


@dataclass(frozen=True)
class Planned:
    """What planning gave: the plan as a reviewer may see it, what its sealed bundle was made from, and where checks are to look at it the
    engine's plan without its secrets."""

    plan: Plan
    bundle: BundleFacts
    document: Mapping[str, Any] | None = None


class Infrastructure(Protocol):
    """Terraform (or OpenTofu) for one tenant at a time."""

    def plan(
        self,
        run: Run,
        platform: AzurePlatform,
        configuration: Configuration,
        *,
        journal: Journal,
        stop: threading.Event,
        for_checks: bool = False,
    ) -> Planned:
        """Write the workspace, plan, and seal the bundle under the run."""

    def moved(self, run: Run, platform: AzurePlatform, configuration: Configuration, facts: BundleFacts) -> list[str]:
        """What is not any more as it was when the bundle was made, in words; empty when all is."""

    def apply(
        self,
        run: Run,
        platform: AzurePlatform,
        configuration: Configuration,
        *,
        journal: Journal,
        stop: threading.Event,
    ) -> dict[str, Any]:
        """Apply the sealed plan, once; the outputs that are not sensitive."""

    def settle(self, run: Run, platform: AzurePlatform, *, journal: Journal, stop: threading.Event) -> None:
        """After the runner died in an apply: let the engine end, take in the state it could not write, release the lock."""

    def may_work_elsewhere(self, run: Run) -> bool:
        """Whether the run's engine may still be at work on another machine, where this process can neither see nor end it."""

    def discard(self, run: Run) -> None:
        """Remove the run's workspace from disk; one with a state that could not be handed in stays."""

    def on_disk(self) -> tuple[str, ...]:
        """Ids of the runs that have a workspace on this machine's disk."""


class Expressions(Protocol):
    """CEL expressions, evaluated within limits of time and memory and over nothing but what is given to them."""

    def evaluate(self, expressions: Sequence[str], variables: Mapping[str, Any]) -> tuple[Evaluated, ...]:
        """What each gives over the variables of `runner.domain.policy`, up to the first that is true."""

    def problems(self, expressions: Sequence[str]) -> tuple[str, ...]:
        """What is wrong with each, in a sentence, whatever the review is; empty where nothing is."""


class Checks(Protocol):
    """Check commands that look at a plan."""

    def run(self, asked: ExternalCheck, plan: Mapping[str, Any], *, stop: threading.Event) -> CheckResult:
        """Run one over the engine's plan without its secrets. That it could not be run is a result; Canceled when `stop` is set."""


@dataclass(frozen=True)
class Provider:
    """A provider that was found. `stand_in` says that it is the sandbox's."""

    source: str
    version: str
    stand_in: bool


@dataclass(frozen=True)
class Code:
    """A building block's files by their paths in it, and the commit they are of."""

    commit: str
    files: Mapping[str, str]


class Modules(Protocol):
    """Code of building blocks that is elsewhere: in git repositories, also such as registries name."""

    def find(self, block: BuildingBlock) -> Code:
        """The code that the block's source stands for now. InputError where there is no module there, RemoteFailed where it cannot be
        fetched."""

    def at(self, block: BuildingBlock, commit: str) -> Mapping[str, str]:
        """The files at this commit, as `find` gave them; errors as of `find`."""

    def problems_of(self, files: Mapping[str, str], providers: Collection[str]) -> list[str]:
        """What a module's code may not do, by file; `providers` are those that it may use beside the runner's own."""


class Rehearsal(Protocol):
    """The engine and what it needs, tried out before a run depends on it. EngineFailed, InputError or RemoteFailed say what is wrong."""

    def engine(self) -> str:
        """Name, version and place of the engine."""

    def providers(self, stop: threading.Event) -> tuple[Provider, ...]:
        """What `init` finds for the modules that ship with the runner."""

    def source(self) -> str:
        """Where providers come from, in words."""

    def state(self, backend: StateBackend, stop: threading.Event) -> bool:
        """Write, lock and read back a state under a name that no tenant can have, and remove it; whether the lock held."""


# --- Store -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Approval:
    """A decision on exactly one digest. `by` is a person's account name or `policy:<name>`."""

    run: str
    digest: str
    by: str
    at: datetime
    expires: datetime
    comment: str = ""


SCHEDULE = "schedule"
"""Who asks for a run that nobody asked for."""


class Runs(Protocol):
    """Runs, their journals, reviews and approvals. Rules that must hold between processes are constraints of the database."""

    def create(self, run: Run, snapshot: Mapping[str, Any] = MappingProxyType({})) -> Run:
        """Keep a pending run, and the snapshot of its documents as JSON. A run of the tenant that is pending or waits is superseded,
        its approval with it; one by schedule (`requested_by` is SCHEDULE) supersedes none and is Refused where another is open."""

    def forget(self, *, source: str, keep: int) -> int:
        """Forget runs that came from this source and are over or wait, but for the newest `keep`; how many were forgotten."""

    def prune(self, *, before: datetime, keep: int, limit: int = 500) -> int:
        """Forget some runs that ended before this moment without having changed anything, but for the newest `keep` runs of each tenant;
        how many were forgotten. What applied, or may have, stays."""

    def snapshot(self, run_id: str) -> dict[str, Any]:
        """The snapshot that was kept with the run."""

    def get(self, run_id: str) -> Run:
        """The run with this id, or the one that begins or ends like this; InputError when there is none or several."""

    def find(
        self,
        *,
        tenant: str | None = None,
        statuses: Sequence[Status] | None = None,
        reach: Sequence[Grant] | None = None,
        zone: str | None = None,
        before: Run | None = None,
        newest: bool = False,
        limit: int = 50,
    ) -> tuple[Run, ...]:
        """Runs, newest first; those that any grant of `reach` reaches, and older than `before`. `newest` leaves out those whose tenant
        was run again since."""

    def unclaimed(self, *, limit: int) -> tuple[Run, ...]:
        """Pending runs that any server may take: the oldest first, and those by schedule (`requested_by` is SCHEDULE) after all others."""

    def to_apply(self, *, limit: int) -> tuple[Run, ...]:
        """Approved runs that servers are to apply (their option `apply`), in the same order."""

    def waiting(
        self,
        reach: Sequence[Grant],
        *,
        zone: str | None = None,
        risky: bool = False,
        after: Run | None = None,
        limit: int = 100,
    ) -> tuple[Run, ...]:
        """Runs that wait for a decision: those with most risks first, and among equals the oldest. `risky` leaves out those without;
        `after` begins behind the place that this run has in the order, whether it still waits or not."""

    def move(
        self,
        run_id: str,
        to: Status,
        *,
        now: datetime,
        failure: Failure | None = None,
        executor: str | None = None,
        by: str = "",
    ) -> Run:
        """Bring the run to its next status, atomically; `by` is who decided that, where somebody did. Refused when that does not follow
        from where it is, or when another run of the tenant is executing."""

    def take_over(self, run_id: str, *, dead: str, executor: str, now: datetime) -> bool:
        """Make `executor` the run's, atomically; False when it is no longer the dead one's."""

    def note(
        self,
        run_id: str,
        *,
        engine: EngineProcess | None = None,
        digest: str | None = None,
        warnings: int | None = None,
        risks: int | None = None,
        counts: Mapping[str, int] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Run:
        """Record facts about the run beside its status; what is None stays as it is (`options` are merged)."""

    def append(self, run_id: str, kind: Kind, data: Mapping[str, Any], *, now: datetime) -> Event:
        """Add to the run's journal."""

    def append_log(self, run_id: str, lines: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
        """Add lines of a log to the run's journal, all or none of them."""

    def events(
        self, run_id: str, *, after: int = 0, limit: int | None = None, kinds: Collection[Kind] | None = None
    ) -> tuple[Event, ...]:
        """The journal after this sequence number, or its entries of these kinds; with `limit` the first so many of that."""

    def standing(self, run_ids: Sequence[str]) -> dict[str, tuple[Status, int]]:
        """By id, the status and the sequence number of the journal's newest entry: the quickest look there is. Of a run that is
        not there, nothing."""

    def request_cancel(self, run_id: str, *, by: str, now: datetime) -> Run:
        """Ask the executing process to stop; a run that is not executing is canceled at once."""

    def ask_apply(self, run_id: str, *, options: Mapping[str, Any], by: str, now: datetime) -> Run:
        """Note that somebody wants the approved run applied now (`options` are merged); Refused when it is not approved."""

    def cancel_requested(self, run_id: str) -> bool: ...

    def keep_review(self, run_id: str, *, digest: str, review: Mapping[str, Any]) -> None:
        """Keep what a reviewer may see (masked already) under its digest. That of the run's digest stays beside it, for somebody may
        have it before their eyes."""

    def review(self, run_id: str, *, digest: str | None = None) -> dict[str, Any] | None:
        """The review of the digest that the run has now: never one that would be approved as something else. With `digest` that one,
        where it is still kept."""

    def approve(self, approval: Approval, *, now: datetime) -> Run:
        """Record the approval and move the run to approved; Refused when the digest is not the run's."""

    def approvals(self, run_id: str) -> tuple[Approval, ...]:
        """All approvals of the run, oldest first."""

    def approved_invocation(self, tenant: str) -> dict[str, Any] | None:
        """The function call that was last approved for the tenant."""

    def keep_approved_invocation(self, tenant: str, invocation: Mapping[str, Any]) -> None: ...

    def adopted(self, tenant: str) -> dict[str, str]:
        """Groups that had a wanted name already and are used as they are: object ids by the name."""

    def keep_adopted(self, tenant: str, groups: Mapping[str, str]) -> None:
        """Note that somebody approved to use these, by the name."""

    def applied_documents(self, tenant: str) -> str | None:
        """Digest of the documents that the tenant was last brought to, or found to be as they say; None when it never was."""

    def granted(self, tenant: str) -> dict[str, list[str]]:
        """Whom the runner itself put into groups that it did not make: object ids of people by that of the group."""

    def keep_granted(self, tenant: str, group_id: str, object_id: str, *, granted: bool) -> None:
        """Note that the runner puts somebody into such a group (before it does), or has taken somebody out."""


@dataclass(frozen=True)
class Documented:
    """What lists tell of a tenant's documents; `digest` is of everything they say about it."""

    tenant: str
    landing_zone: str
    platform: str
    workspace: str
    digest: str


@dataclass(frozen=True)
class FleetRow:
    """A tenant as lists show it. `run` is its newest run, None where it was never run; `documented` says whether the documents still have
    it; `settled` is when Azure was last found or made as documented, `drifted` since when it is known to differ although they did not
    change; `behind` says that the documents changed since."""

    tenant: str
    landing_zone: str
    platform: str
    workspace: str
    documented: bool
    behind: bool
    settled: datetime | None
    drifted: datetime | None
    run: Run | None


@dataclass(frozen=True)
class FleetFilter:
    """Which tenants; what is None or empty does not narrow. `reach` are the grants by which somebody may look: any of them is enough.
    `text` is part of the tenant's or workspace's name. `statuses` are those of the newest run; None among them means never run."""

    reach: tuple[Grant, ...]
    zone: str | None = None
    text: str = ""
    statuses: tuple[Status | None, ...] = ()
    drifted: bool | None = None
    documented: bool | None = None
    behind: bool | None = None


FleetOrder = Literal["tenant", "landing_zone", "status", "drifted", "settled", "updated"]


@dataclass(frozen=True)
class FleetPlace:
    """A tenant's place in an order: its value there, None where it has none, and its name."""

    value: str | datetime | None
    tenant: str

    @classmethod
    def of(cls, row: FleetRow, order: FleetOrder) -> FleetPlace:
        """The place of this row."""
        value: str | datetime | None
        match order:
            case "tenant":
                value = row.tenant
            case "landing_zone":
                value = row.landing_zone or None
            case "status":
                value = row.run.status.value if row.run is not None else None
            case "drifted":
                value = row.drifted
            case "settled":
                value = row.settled
            case "updated":
                value = row.run.updated if row.run is not None else None
        return cls(value, row.tenant)


class Fleet(Protocol):
    """All tenants at once: those that are documented and those that were run."""

    def know(self, documented: Collection[Documented]) -> int:
        """Make these the documented tenants; how many changed."""

    def page(
        self,
        chosen: FleetFilter,
        *,
        order: FleetOrder = "tenant",
        descending: bool = False,
        after: FleetPlace | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[FleetRow, ...]:
        """Some rows in this order, tenants without a value last; within equal ones by name. Behind the place `after`, whatever changes
        meanwhile, or from the row number `offset` on."""

    def of(self, tenant: str) -> FleetRow | None:
        """One tenant; None when neither documents nor runs know it."""

    def counts(self, chosen: FleetFilter) -> dict[str, int]:
        """How many are `all`, `drifted`, `undocumented`, `behind`, `never-run`, and how many have a newest run of each status."""

    def zones(self, reach: Sequence[Grant]) -> dict[str, int]:
        """Names of the landing zones with how many tenants they have."""

    def versions(self, zone: str, reach: Sequence[Grant]) -> dict[str, dict[str, int]]:
        """How many of the landing zone's tenants have which version of what it deploys, by the name of that; most tenants first."""

    def due(self, zone: str, *, before: datetime, limit: int) -> dict[str, datetime | None]:
        """Documented tenants of the zone without an open run whose newest run was created before this moment, with that moment, the oldest
        first; those that were never run before all others."""


class Sessions(Protocol):
    """Sessions of people on pages, known to every server of the store."""

    def begin(self, who: SignedIn, *, now: datetime) -> str:
        """A new session; what the browser has to show from now on, which is kept nowhere else."""

    def of(self, cookie: str, *, now: datetime, idle: timedelta, longest: timedelta) -> SignedIn | None:
        """Whose session this is, and that it was used; None where there is none, or it has ended by age or for lack of use."""

    def end(self, cookie: str) -> None:
        """End it; fine when there is none."""

    def prune(self, *, before: datetime) -> int:
        """Forget sessions that began before this moment."""

    def sealed(self, content: Mapping[str, str]) -> str:
        """The content so that a browser can keep it and only servers of this store can read it."""

    def unsealed(self, text: str) -> dict[str, str] | None:
        """The content; None where no server of this store sealed it."""


@dataclass(frozen=True)
class ApiToken:
    """What is known of a token but for its secret."""

    id: str
    name: str
    grants: tuple[Grant, ...]
    created_by: str
    created: datetime
    expires: datetime
    revoked: datetime | None = None
    seen: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.revoked is None and now < self.expires


class Tokens(Protocol):
    """Tokens by which programs speak to a server."""

    def create(self, token: ApiToken) -> str:
        """Keep the token; its secret, which is kept nowhere else. InputError (`token-lifetime-wrong`) where that is over a year."""

    def find(self, secret: str, *, now: datetime) -> ApiToken | None:
        """The token with this secret (compared in constant time), good or not, and that it was used; None where there is none."""

    def all(self) -> tuple[ApiToken, ...]:
        """Every token, newest first."""

    def revoke(self, token_id: str, *, by: str, now: datetime) -> ApiToken:
        """Have it open nothing any more; InputError where there is none."""


@dataclass(frozen=True)
class Repeated:
    """A request that may be repeated, as its first time was kept: when, under which run ids by tenant, and its answer once there is
    one."""

    at: datetime
    runs: Mapping[str, str]
    answer: Mapping[str, Any] | None


class Requests(Protocol):
    """Requests that name a key, so that sending one twice does it once. Keys are each actor's own."""

    def begin(
        self, actor: str, key: str, *, fingerprint: str, runs: Mapping[str, str], now: datetime, patience: timedelta
    ) -> Repeated:
        """Keep the request, or as it was kept the first time. Refused: another request had the key (`idempotency-key-reused`), or the first
        one is under way for less than `patience` (`request-under-way`); after that its server is taken for dead."""

    def answered(self, actor: str, key: str, answer: Mapping[str, Any]) -> None:
        """Keep the answer."""

    def forget(self, actor: str, key: str) -> None:
        """Forget a request of which nothing was done."""

    def prune(self, *, before: datetime) -> int:
        """Forget requests from before this moment."""


class Audit(Protocol):
    """The record of who did what. What the store itself writes is recorded with it; this is for what has no other write."""

    def record(
        self,
        what: str,
        *,
        by: str,
        about: str = "",
        tenant: str = "",
        zone: str = "",
        details: Mapping[str, Any] | None = None,
        now: datetime,
    ) -> None:
        """Add an entry; `details` are JSON without any secret. Refused (`audit-altered`) where it cannot follow the last one."""

    def head(self) -> Head:
        """The end of the chain; Refused (`audit-altered`) where it is gone."""

    def entries(self, *, after: int = 0, about: str | None = None, since: datetime | None = None) -> Iterator[Entry]:
        """Entries after this number, in order, a few in memory at a time: those about a run, a token or a tenant (its runs included), and
        those from this moment on."""

    def verify(self, known: tuple[KnownHead, ...] = ()) -> Iterator[Wrong]:
        """What is wrong with the chain, which should have had these heads; nothing where it is whole."""


class Received(Protocol):
    """Webhooks that came, so that none is taken twice, whichever servers get it."""

    def take(self, webhook: str, message: str, *, until: datetime) -> bool:
        """Know the message until then; False where it is known already."""

    def forget(self, webhook: str, message: str) -> None:
        """It was not done after all: let it come again."""

    def prune(self, *, before: datetime) -> int:
        """Forget what was to be known until then."""


@dataclass(frozen=True)
class Letter:
    """A notice for a channel. `id` is the same however often it is sent. `tries` counts how often it was taken to be sent."""

    id: str
    channel: str
    occasion: str
    notice: Notice
    tries: int = 0


@dataclass(frozen=True)
class Dead:
    """A letter that is sent no more unless somebody asks for it; `code` and `detail` say why it was not taken."""

    letter: Letter
    since: datetime
    code: str
    detail: str


class Outbox(Protocol):
    """Notices on their way: kept before they are sent, sent at least once, by whichever server takes them."""

    def begun(self, channels: Sequence[str], *, now: datetime) -> dict[str, datetime]:
        """Since when each channel is known; one that is new begins now."""

    def changed(self, *, since: datetime, after: str = "", limit: int) -> tuple[Run, ...]:
        """Runs that came at this moment or later to a status of which there is something to tell, the earliest first; of those of
        this very moment the ones whose id comes after `after`."""

    def seen(self, *, now: datetime) -> datetime:
        """Up to when runs were looked at; this moment where none were."""

    def put(self, several: Sequence[Letter], *, seen: datetime, now: datetime) -> int:
        """Keep letters, and that runs were looked at up to `seen`, all or nothing; how many are new. A letter whose channel was told of the
        same occasion of the run is not kept again, however long ago it was sent."""

    def take(self, channels: Collection[str], *, now: datetime, lease: timedelta) -> Letter | None:
        """The letter that waits longest among those that are due, for one taker: nobody else gets it before the lease is over. After
        that its taker is taken for dead."""

    def sent(self, letter: Letter, *, now: datetime) -> None:
        """It was taken. Says nothing where somebody else has taken it since."""

    def put_off(self, letter: Letter, *, until: datetime, code: str, detail: str) -> None:
        """It was not taken, and is due again then."""

    def bury(self, letter: Letter, *, now: datetime, code: str, detail: str) -> None:
        """It was not taken and will not be."""

    def due(self, channels: Collection[str]) -> datetime | None:
        """When the next letter of these channels is due; None when there is none."""

    def dead(self, *, limit: int = 1000) -> tuple[Dead, ...]:
        """Letters that were buried, the newest first."""

    def revive(self, ids: Collection[str] | None, *, now: datetime) -> int:
        """Have buried letters with these ids (None: all) sent anew; how many."""

    def prune(self, *, before: datetime) -> int:
        """Forget letters from before this moment."""


class NotTaken(RemoteFailed):
    """The receiver answered, and did not take it. `after`: how many seconds it asks to wait."""

    def __init__(self, detail: str, *, status: int, temporary: bool, after: float | None = None) -> None:
        super().__init__(
            "The channel did not take the notice",
            code="notice-not-taken",
            detail=detail,
            hint="Check the channel where it leads, then: lzr notify retry --all",
            temporary=temporary,
            status=status,
        )
        self.after = after


class Courier(Protocol):
    """Who brings letters to where a channel leads."""

    def send(self, channel: Channel, message_id: str, notice: Notice, *, now: datetime, stop: threading.Event) -> None:
        """Bring it, once. RemoteFailed (`NotTaken` where it was answered), Refused where the address is not allowed, InputError where the
        channel's configuration is wrong, Canceled where told to stop."""


class Deletions(Protocol):
    """Deletions of tenants, one for each tenant, and what the documents said (the tombstone) until the deletion has ended."""

    def ask(self, deletion: Deletion, snapshot: Mapping[str, Any]) -> Deletion:
        """Keep a deletion and its tombstone, in place of one that has ended; Refused while one is under way."""

    def of(self, tenant: str) -> Deletion | None:
        """The tenant's deletion, also one that has ended; None when nobody asked for one, or it was forgotten."""

    def find(self, standings: Sequence[Standing]) -> tuple[Deletion, ...]:
        """Deletions that stand so, oldest first."""

    def tombstone(self, tenant: str) -> dict[str, Any] | None:
        """The snapshot that is kept with the deletion; None when there is none, or it has ended."""

    def move(self, tenant: str, to: Standing, *, by: str, now: datetime, comment: str = "") -> Deletion:
        """Bring the deletion to where it stands next, atomically; Refused when that does not follow, InputError when there is none."""

    def forget(self, tenant: str) -> bool:
        """Forget the deletion and its tombstone; False when there is none."""


@dataclass(frozen=True)
class StateVersion:
    """One version of a tenant's state. `number` counts from 1 per tenant; `serial` and `lineage` are the engine's."""

    tenant: str
    number: int
    serial: int
    lineage: str
    at: datetime
    by: str
    size: int
    sha256: str


@dataclass(frozen=True)
class LockHolder:
    """Who holds a state's lock; `info` is the engine's lock info as it was sent."""

    id: str
    operation: str
    who: str
    created: str
    run: str
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Attempt:
    """A credential for one tenant's state and one attempt of one run. The password is kept nowhere but here and in the engine."""

    tenant: str
    run: str
    number: int
    username: str
    password: str = field(repr=False)


class States(Protocol):
    """Terraform states with history, locks and fencing; encrypted at rest. Reads after a write see it, across processes."""

    def open_attempt(self, tenant: str, run: str, *, now: datetime) -> Attempt:
        """A new credential; those given out for the tenant before are superseded."""

    def close_attempt(self, attempt: Attempt) -> None:
        """The credential opens nothing any more."""

    def authenticate(self, username: str, password: str) -> Attempt | None:
        """The attempt with this credential (compared in constant time); also a superseded one, so that it can be told so."""

    def current(self, tenant: str) -> tuple[StateVersion, bytes] | None:
        """The newest version and its content."""

    def write(self, attempt: Attempt, content: bytes, *, lock_id: str | None, now: datetime) -> StateVersion:
        """Keep a new version. Refused: attempt superseded or closed (`state-attempt-superseded`), locked by another id
        (`state-locked`), another lineage or a lower serial (`state-conflict`). Equal content is not kept twice."""

    def take_in(self, tenant: str, content: bytes, *, by: str, now: datetime) -> StateVersion:
        """Keep a state that an engine could not write itself (errored.tfstate); same lineage and a higher serial only."""

    def lock(self, attempt: Attempt, info: Mapping[str, Any], *, now: datetime) -> LockHolder | None:
        """Take the lock; None when taken, the holder when somebody else has it."""

    def unlock(self, tenant: str, lock_id: str | None) -> bool:
        """Release the lock with this id; with None whichever there is. False when another id holds it."""

    def break_lock(self, tenant: str, lock_id: str, *, by: str, now: datetime) -> bool:
        """Release the lock with this id because somebody says so. False when there is none, or another id holds it."""

    def holder(self, tenant: str) -> LockHolder | None: ...

    def versions(self, tenant: str) -> tuple[StateVersion, ...]:
        """The history, newest first."""

    def version(self, tenant: str, number: int) -> tuple[StateVersion, bytes]:
        """One version; InputError when there is none with this number."""

    def roll_back(self, tenant: str, number: int, *, by: str, now: datetime) -> StateVersion:
        """Make an old version the newest again (same lineage, serial counted on). Refused while locked."""

    def tenants(self) -> tuple[str, ...]: ...

    def forget(self, tenant: str) -> None:
        """Remove every trace of a state that was only written to try things out (its name begins with REHEARSAL); never a tenant's."""


@dataclass(frozen=True)
class Claim:
    """The right to invite one address into one Entra tenant. Inherited: whoever had it before may have sent the invitation."""

    entra_tenant: str
    address: str
    id: str
    inherited: bool = False


class Invitations(Protocol):
    """Who invites whom, for all runs of one store: directories show a new guest late, so to look there is not enough."""

    def claim(self, entra_tenant: str, address: str, *, now: datetime, believed: timedelta) -> Claim | str | None:
        """The right to invite, for one at a time; the guest's object id where the invitation was sent not longer than `believed`
        ago; None while a living process has the right. Capitals do not count."""

    def sent(self, claim: Claim, object_id: str, *, now: datetime) -> None:
        """There is this guest now. A claim that was taken over says nothing any more."""

    def give_up(self, claim: Claim, *, refused: bool = False) -> None:
        """Somebody else may claim it: inherited, or where the invitation was certainly refused as if nobody had."""


class Holdings(Protocol):
    """Subscriptions that the runner makes or takes for tenants: one for a tenant, and none for two. What is only reserved is free again
    as soon as the run that reserved it has ended otherwise than by claiming it."""

    def of(self, tenant: str) -> Holding | None:
        """What is held for the tenant."""

    def holder(self, subscription: str) -> Holding | None:
        """For whom the subscription is held."""

    def reserve(self, tenant: str, candidates: Sequence[str], *, run: str, now: datetime) -> Holding | None:
        """Reserve the first of these subscriptions that is held for nobody; the one that is reserved for the tenant already is kept
        where it is among them. None when all are held for others; Refused when the run has ended."""

    def claim(self, tenant: str, subscription: str, *, run: str, now: datetime) -> Holding:
        """Make what this run reserved the tenant's; fine when it is. Refused when it is not reserved any more."""

    def order(self, tenant: str, alias: str, *, now: datetime) -> Holding:
        """Note that a subscription is about to be ordered: before it is, so that nobody orders a second one unseen."""

    def failed(self, tenant: str, why: str, *, now: datetime) -> Holding:
        """Note that the order was answered with an error."""

    def made(self, tenant: str, subscription: str, *, alias: str, offered: bool, now: datetime) -> Holding:
        """Note which subscription was made; `offered` when its ownership is to be accepted. Refused when it is held for another."""

    def accepted(self, tenant: str, *, now: datetime) -> Holding:
        """Note that the ownership was accepted."""

    def cancelled(self, tenant: str, *, now: datetime) -> None:
        """The tenant has left and its subscription was cancelled: another one may be made or taken for it, and never that one."""

    def give_up(self, tenant: str) -> None:
        """The tenant has left, and its subscription is there: nothing is held for it any more."""


class Bundles(Protocol):
    """Sealed plan bundles: one per run, bound to run and tenant, readable only through this store."""

    def seal(self, run_id: str, tenant: str, content: bytes) -> None:
        """Keep it encrypted; an older one of the run is replaced."""

    def open(self, run_id: str, tenant: str) -> bytes:
        """The content; Refused when there is none or it was sealed for another run or tenant."""

    def discard(self, run_id: str) -> None: ...


class Liveness(Protocol):
    """Which processes are alive: each holds a lock that the operating system or the database frees when it dies."""

    def hold(self, executor: str) -> AbstractContextManager[None]:
        """Hold this executor's lock."""

    def alive(self, executor: str) -> bool: ...

    def dead(self, executors: Sequence[str]) -> Iterator[str]:
        """Those of them that hold no lock any more."""
