"""A review as a page shows it. Read from the JSON that was kept, not into models: a plan of thousands of changes has to open at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.domain import subscription, wording
from runner.domain.harmless import plain
from runner.domain.subscription import Step

AT_ONCE = 200  # changes that are laid out before somebody asks for more
SIGNS = {"-": "destroyed", "±": "replaced", "~": "changed", "+": "added", "=": "taken over", ".": "left as they are"}
"""What the signs of changes mean, worst first."""

_GROUPS = {
    "management_group": "Management group",
    "groups": "Entra groups",
    "roles": "Role assignments",
    "tags": "Tags",
}


@dataclass(frozen=True)
class Change:
    """A change in one sentence. `number` is its place in the review, by which it is linked."""

    number: int
    sign: str
    text: str
    address: str
    group: str


@dataclass(frozen=True)
class Part:
    """Changes that belong together."""

    title: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Shown:
    """A review to lay out. `found` of `total` changes fit what was searched for; `after` is where the next ones begin, None at the end.
    `signs` counts all of them by what happens."""

    parts: tuple[Part, ...]
    total: int
    found: int
    after: int | None
    signs: Mapping[str, int]
    records: tuple[str, ...]


@dataclass(frozen=True)
class Person:
    """Somebody who comes into a group or leaves it. `ids` is what identifies them, and where an invitation leads."""

    sign: str
    who: str
    group: str
    note: str
    ids: str


def changes(
    kept: Mapping[str, Any], *, search: str = "", sign: str = "", begin: int = 0, most: int | None = AT_ONCE
) -> Shown:
    """The review's changes that have this sign, and this text in their sentence, address or attributes; `most` of them."""
    sentences = kept.get("sentences") or ()
    fitting = [(number, one) for number, one in enumerate(sentences) if not sign or one["sign"] == sign]
    if search:
        wanted = search.casefold()
        inside = _with_inside(kept, wanted)
        fitting = [
            (number, one)
            for number, one in fitting
            if wanted in one["text"].casefold() or wanted in one["address"].casefold() or one["address"] in inside
        ]
    some = fitting[begin:] if most is None else fitting[begin : begin + most]
    made = [
        Change(number, plain(one["sign"]), plain(one["text"]), plain(one["address"]), group_of(one["address"]))
        for number, one in some
    ]
    titles = list(dict.fromkeys(change.group for change in made))
    told = [one["sign"] for one in sentences]
    named = {one["address"] for one in sentences}
    return Shown(
        parts=tuple(Part(title, tuple(one for one in made if one.group == title)) for title in titles),
        total=len(sentences),
        found=len(fitting),
        after=begin + len(some) if begin + len(some) < len(fitting) else None,
        signs={one: told.count(one) for one in SIGNS if one in told},
        records=tuple(plain(one["address"]) for one in kept.get("changes") or () if one["address"] not in named),
    )


def change_at(kept: Mapping[str, Any], number: int) -> Mapping[str, Any] | None:
    """The whole change that the sentence with this number tells of; None where there is none."""
    sentences = kept.get("sentences") or ()
    if not 0 <= number < len(sentences):
        return None
    address = sentences[number]["address"]
    found: Mapping[str, Any] | None = next((one for one in kept["changes"] if one["address"] == address), None)
    return found


def people(kept: Mapping[str, Any]) -> tuple[Person, ...]:
    """Who comes into groups and who leaves them."""
    access = kept.get("access") or {}
    invited = {one["person"]: one for one in access.get("invitations") or ()}
    found = []
    for one in access.get("additions") or ():
        note, ids = "", f"object id {one.get('object_id')}"
        if one.get("object_id") is None:
            mail = invited.get(one["person"], {})
            mailed = "mail sent" if mail.get("send_mail", True) else "no mail sent"
            note = f"is invited as a guest first, {mailed}"
            ids = (
                f"{mail.get('email', '')}, the invitation leads to {mail.get('redirect_url', '')}" if mail else "guest"
            )
        ids += f"; group id {one.get('group_id') or 'known after the apply'}"
        found.append(Person("+", plain(one["person"]), plain(one["group_name"]), note, plain(ids)))
    for one in access.get("removals") or ():
        kind = "" if one["kind"] == "user" else one["kind"]
        ids = f"object id {one['object_id']}; group id {one['group_id']}"
        found.append(Person("-", plain(one["label"]), plain(one["group_name"]), plain(kind), plain(ids)))
    return tuple(found)


def beside(kept: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What happens to things that no change of the engine tells of, with its sign: groups that are used as they are, tags that go."""
    found = [("=", plain(wording.adoption(name, one))) for name, one in sorted((kept.get("adopts") or {}).items())]
    if stale := kept.get("stale_tags"):
        tags = ", ".join(f"{name} = {value}" for name, value in stale["tags"].items())
        text = f"Take away the tags {tags}: they begin with the prefix of the runner's, and nothing maps them"
        found.append(("-", plain(text)))
    return tuple(found)


def steps(kept: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is done about the subscription itself, with its sign."""
    name = (kept.get("facts") or {}).get("subscription_name")
    which = "the new subscription" if is_preview(kept) else "the subscription"
    scope = f'{which} "{name}"' if name else which
    told = [Step.model_validate(one) for one in kept.get("steps") or ()]
    return tuple((subscription.sign(one), plain(subscription.sentence(one, scope))) for one in told)


def is_preview(kept: Mapping[str, Any]) -> bool:
    """Whether it is planned for a subscription that is still to come."""
    source = (kept.get("facts") or {}).get("source") or {}
    return source.get("stage") in ("to-create", "to-accept")


def providers(kept: Mapping[str, Any]) -> str:
    """What planned it."""
    bundle = kept.get("bundle") or kept
    named = bundle.get("providers") or {}
    told = ", ".join(f"{source.rsplit('/', 1)[-1]} {version}" for source, version in sorted(named.items()))
    stand_ins = " (the sandbox's stand-ins)" if bundle.get("stand_ins") else ""
    return plain(f"{bundle.get('engine', '')} {bundle.get('engine_version', '')}   {told}{stand_ins}".strip())


def sources(kept: Mapping[str, Any]) -> tuple[str, ...]:
    """Where code comes from that is not the runner's: who approves a change of it should know."""
    found = []
    for one in ((kept.get("facts") or {}).get("blocks") or {}).values():
        which = f" at {one['commit'][:12]}" if one["commit"] else ""
        code = f", code {one['digest'][:12]}" if one["digest"] else ""
        found.append(plain(f"building block {one['called']}: {one['source']}{which}{code}"))
    if kept.get("kind") == "building-block":
        found.append(
            plain(f"building block {kept['name'] or kept['block']}: {kept['source']} at {kept['commit'][:12]}")
        )
    return tuple(found)


def bound_to(kept: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What the digest covers beside what is shown, by name."""
    bundle = kept.get("bundle") or kept
    told = {
        "Subscription": kept.get("subscription"),
        "Documents": kept.get("documents"),
        "Configuration": bundle.get("configuration"),
        "Provider lock file": bundle.get("lock_file"),
        "Plan file": bundle.get("plan_file"),
        "State": f"{bundle['lineage']}, serial {bundle['serial']}" if bundle.get("lineage") else "",
        "Azure": bundle.get("cloud"),
    }
    return tuple((name, plain(value)) for name, value in told.items() if value)


def stopped(kept: Mapping[str, Any]) -> str:
    """Why nobody may approve it (`Review.stopped`); empty where somebody may."""
    verdict = kept.get("verdict") or {}
    if verdict.get("then") == "deny":
        return plain(f"The rule {verdict['rule']} denies it.")
    blocking = [one["name"] for one in kept.get("checks") or () if one["blocks"] and one["outcome"] != "passed"]
    return plain(f"It is blocked by {', '.join(blocking)}.") if blocking else ""


def texts(found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The texts of risks or warnings."""
    return tuple(plain(one.get("text", "")) for one in found)


def group_of(address: str) -> str:
    """What people call the block of the root module that an address is in."""
    if not address.startswith("module."):
        return "Resources"
    block = address.split(".")[1].split("[")[0]
    if block in _GROUPS:
        return _GROUPS[block]
    if block.startswith("resource_group_"):
        return "Resource groups"
    if block.startswith("blueprint"):
        return "Blueprints"
    if block.startswith("stack"):
        return "Deployment stacks"
    if block.startswith("block_"):
        return f"Building block {plain(block.removeprefix('block_'))}"
    return plain(block.replace("_", " ").capitalize())


def _with_inside(kept: Mapping[str, Any], wanted: str) -> set[str]:
    """Addresses of changes that have the text in an attribute."""
    found = set()
    for one in kept.get("changes") or ():
        inside = [one.get("before"), one.get("after"), [part["path"] for part in one.get("attributes") or ()]]
        if wanted in json.dumps(inside, ensure_ascii=False).casefold():
            found.add(one["address"])
    return found
