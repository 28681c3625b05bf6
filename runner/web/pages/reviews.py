"""A review as a page shows it. Read from the JSON that was kept, not into models: a plan of thousands of changes has to open at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.domain import subscription
from runner.domain.harmless import plain
from runner.domain.subscription import Step

AT_ONCE = 200  # changes that are laid out before somebody asks for more

_GROUPS = {
    "management_group": "Management group",
    "groups": "Entra groups",
    "roles": "Role assignments",
    "resource_groups": "Resource groups",
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
class Person:
    """Somebody who comes into a group or leaves it."""

    sign: str
    who: str
    group: str
    note: str


@dataclass(frozen=True)
class Shown:
    """A review to lay out. `found` of `total` changes fit what was searched for; `after` is where the next ones begin, None at the end."""

    parts: tuple[Part, ...]
    total: int
    found: int
    after: int | None
    records: int


def changes(kept: Mapping[str, Any], *, search: str = "", begin: int = 0, most: int = AT_ONCE) -> Shown:
    """The review's changes that have this text in their sentence or address, some of them."""
    sentences = kept.get("sentences") or ()
    wanted = search.casefold()
    fitting = [
        (number, one)
        for number, one in enumerate(sentences)
        if not wanted or wanted in one["text"].casefold() or wanted in one["address"].casefold()
    ]
    some = fitting[begin : begin + most]
    made = [
        Change(number, plain(one["sign"]), plain(one["text"]), plain(one["address"]), _group(one["address"]))
        for number, one in some
    ]
    titles = list(dict.fromkeys(change.group for change in made))
    return Shown(
        parts=tuple(Part(title, tuple(one for one in made if one.group == title)) for title in titles),
        total=len(sentences),
        found=len(fitting),
        after=begin + most if begin + most < len(fitting) else None,
        records=int((kept.get("counts") or {}).get("records", 0)),
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
    mails = {one["person"]: one for one in access.get("invitations") or ()}
    found = []
    for one in access.get("additions") or ():
        note = ""
        if one.get("object_id") is None:
            mailed = mails.get(one["person"], {}).get("send_mail", True)
            note = f"is invited as a guest first, {'mail sent' if mailed else 'no mail sent'}"
        found.append(Person("+", plain(one["person"]), plain(one["group_name"]), note))
    for one in access.get("removals") or ():
        kind = "" if one["kind"] == "user" else one["kind"]
        found.append(Person("-", plain(one["label"]), plain(one["group_name"]), plain(kind)))
    return tuple(found)


def steps(kept: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is done about the subscription itself, with its sign."""
    facts = kept.get("facts") or {}
    name = facts.get("subscription_name")
    to_come = (facts.get("source") or {}).get("stage") in ("to-create", "to-accept")
    which = "the new subscription" if to_come else "the subscription"
    scope = f'{which} "{name}"' if name else which
    told = [Step.model_validate(one) for one in kept.get("steps") or ()]
    return tuple((subscription.sign(one), plain(subscription.sentence(one, scope))) for one in told)


def providers(kept: Mapping[str, Any]) -> str:
    """What planned it."""
    bundle = kept.get("bundle") or kept
    named = bundle.get("providers") or {}
    told = ", ".join(f"{source.rsplit('/', 1)[-1]} {version}" for source, version in sorted(named.items()))
    stand_ins = " (the sandbox's stand-ins)" if bundle.get("stand_ins") else ""
    return plain(f"{bundle.get('engine', '')} {bundle.get('engine_version', '')}   {told}{stand_ins}".strip())


def stopped(kept: Mapping[str, Any]) -> bool:
    """Whether a rule or a check lets nobody approve it (`Review.stops`)."""
    blocks = any(check["blocks"] and check["outcome"] != "passed" for check in kept.get("checks") or ())
    return blocks or (kept.get("verdict") or {}).get("then") == "deny"


def texts(found: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The texts of risks or warnings."""
    return tuple(plain(one.get("text", "")) for one in found)


def _group(address: str) -> str:
    """What people call the block of the root module that an address is in."""
    if not address.startswith("module."):
        return "Resources"
    block = address.split(".")[1].split("[")[0]
    if block in _GROUPS:
        return _GROUPS[block]
    if block.startswith("blueprint"):
        return "Blueprints"
    if block.startswith("stack"):
        return "Deployment stacks"
    if block.startswith("block_"):
        return f"Building block {plain(block.removeprefix('block_'))}"
    return plain(block.replace("_", " ").capitalize())
