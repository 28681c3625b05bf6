"""Which account is this person: the rules of look-up, pure. The directory asks the questions; here is what the answers mean.

A person is found in exactly one home tenant or not at all, several matches are a warning and never a guess, and in the workload
tenant somebody from elsewhere is only ever an *external* account: by the home identity it carries, else by its mail, else by the name
that an invitation gives it. Values from documents are compared here once more, exactly or without regard to case, because whether
Graph minds the case is not documented.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runner.domain.access import Invitation, Invitee, Known, Missing, Warn
from runner.domain.platform import B2bUserInvitation
from runner.domain.tenant import Person

LookUpBy = Literal["userPrincipalName", "email", "externalId"]
Attribute = Literal["userPrincipalName", "mail", "employeeId"]

NAMES: dict[Attribute, str] = {"userPrincipalName": "user principal name", "mail": "mail", "employeeId": "employee id"}


@dataclass(frozen=True)
class Sought:
    """What a person is looked up by. An external id (euid) is compared exactly, anything else without regard to case."""

    attribute: Attribute
    value: str
    exact: bool

    def fits(self, account: Account) -> bool:
        """Whether the account has this value."""
        found = account.value(self.attribute)
        return found == self.value if self.exact else found.casefold() == self.value.casefold()

    def nearly_fits(self, account: Account) -> bool:
        """Whether the account has this value in other letters only."""
        return account.value(self.attribute).casefold() == self.value.casefold()


@dataclass(frozen=True)
class Account:
    """A user as Graph reports it."""

    object_id: str
    principal_name: str = ""
    mail: str = ""
    other_mails: tuple[str, ...] = ()
    employee_id: str = ""
    display_name: str = ""
    enabled: bool = True
    guest: bool = False
    invitation: str = ""
    identities: tuple[tuple[str, str], ...] = ()

    def value(self, attribute: Attribute) -> str:
        """The attribute that a look-up compares."""
        return {"userPrincipalName": self.principal_name, "mail": self.mail, "employeeId": self.employee_id}[attribute]

    @property
    def external(self) -> bool:
        """Whether it signs in elsewhere; cross-tenant synchronisation makes such accounts members, so the type alone is not enough."""
        return self.guest or bool(self.invitation) or "#ext#" in self.principal_name.casefold()

    def has_address(self, address: str) -> bool:
        """Whether mail, one of the other mails, or the name made from the invited address is this one."""
        wanted = address.casefold()
        mails = (self.mail.casefold(), *(mail.casefold() for mail in self.other_mails))
        named = self.principal_name.casefold().startswith(guest_name(address).casefold())
        return bool(wanted) and (wanted in mails or named)

    def is_of(self, home: HomeAccount) -> bool:
        """Whether it carries this home identity."""
        names = {home.account.object_id.casefold(), home.account.principal_name.casefold()}
        return any(issuer.casefold() in home.issuers and name.casefold() in names for issuer, name in self.identities)


@dataclass(frozen=True)
class HomeAccount:
    """A person's account in the one home tenant that has it."""

    tenant: str
    account: Account
    in_workload_tenant: bool = False

    @property
    def issuers(self) -> frozenset[str]:
        """How an account elsewhere may name where this one signs in."""
        domain = self.account.principal_name.rpartition("@")[2]
        return frozenset({self.tenant.casefold(), domain.casefold(), "externalazuread"} - {""})

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where an invitation reaches the person, best first: only what the home tenant says, never the document."""
        name = "" if self.account.external else self.account.principal_name
        return tuple(dict.fromkeys(found for found in (self.account.mail, name) if found))


def read_account(user: Mapping[str, Any]) -> Account:
    """Read a Graph user; what is absent or null is empty. An account is enabled unless Graph says no."""
    return Account(
        object_id=str(user["id"]).lower(),
        principal_name=user.get("userPrincipalName") or "",
        mail=user.get("mail") or "",
        other_mails=tuple(user.get("otherMails") or ()),
        employee_id=user.get("employeeId") or "",
        display_name=user.get("displayName") or "",
        enabled=user.get("accountEnabled") is not False,
        guest=user.get("userType") == "Guest",
        invitation=user.get("externalUserState") or "",
        identities=tuple(
            (found.get("issuer") or "", found.get("issuerAssignedId") or "")
            for found in user.get("identities") or ()
            if found.get("issuerAssignedId")
        ),
    )


def sought(person: Person, look_up_by: LookUpBy) -> Sought | None:
    """What the platform's strategy looks the person up by; None when the document does not give it."""
    match look_up_by:
        case "userPrincipalName":
            return Sought("userPrincipalName", person.euid or person.username, exact=person.euid is not None)
        case "email":
            value = person.euid or person.email
            return Sought("mail", value, exact=person.euid is not None) if value else None
        case "externalId":
            return Sought("employeeId", person.euid, exact=True) if person.euid else None


def guest_name(address: str) -> str:
    """How the user principal name of a guest begins who was invited at this address."""
    return address.replace("@", "_") + "#EXT#@"


def at_home(person: Person, wanted: Sought | None, found: Sequence[HomeAccount]) -> HomeAccount | Missing | None:
    """The person's account among all that the home tenants answered; None when nobody is like it."""
    if wanted is None:
        return _missing(
            person,
            "person-without-look-up-value",
            "lacks the value by which the platform looks people up: give the euid, or the email where that is used.",
        )
    fitting = [home for home in found if wanted.fits(home.account)]
    # who is a guest somewhere is at home elsewhere, and may carry the same mail in both places
    fitting = [home for home in fitting if not home.account.external] or fitting
    if len(fitting) > 1:
        where = ", ".join(sorted({home.tenant for home in fitting}))
        return _missing(
            person, "several-people-match", f"matches {len(fitting)} accounts by {NAMES[wanted.attribute]} in {where}."
        )
    if fitting:
        (home,) = fitting
        return home if home.account.enabled else _disabled(person, home.tenant)
    near = sorted({home.account.value(wanted.attribute) for home in found if wanted.nearly_fits(home.account)})
    if near:
        text = f"was looked up as {wanted.value}, but the directory has {', '.join(near)}: external ids are case-sensitive."
        return _missing(person, "external-id-differs-in-case", text)
    return None


def as_guest(person: Person, home: HomeAccount | None, candidates: Collection[Account]) -> Known | Missing | None:
    """The person's account in the workload tenant when home is elsewhere; None when there is none yet."""
    for account in candidates:
        if home is not None and account.object_id == home.account.object_id:
            return known(person, account)  # the home tenant is the workload tenant under another name
    external = [account for account in candidates if account.external]
    matching = [account for account in external if home is not None and account.is_of(home)]
    matching = matching or [account for account in external if any(map(account.has_address, addresses(person, home)))]
    if len(matching) > 1:
        names = ", ".join(sorted(account.principal_name for account in matching))
        return _missing(person, "several-people-match", f"matches several guests of the workload tenant: {names}.")
    if matching:
        return known(person, matching[0])
    local = [account for account in candidates if any(map(account.has_address, addresses(person, home)))]
    if local:
        text = (
            f"has the address of {local[0].principal_name}, an account of the workload tenant itself that is no guest."
        )
        return _missing(person, "address-belongs-to-member", text)
    return None


def addresses(person: Person, home: HomeAccount | None) -> tuple[str, ...]:
    """Where the person can be invited: what home says, and for people without a home the document's mail."""
    if home is not None:
        return home.addresses
    return (person.email,) if person.email else ()


def known(person: Person, account: Account) -> Known | Missing:
    """The person with this account of the workload tenant, unless it is disabled."""
    if not account.enabled:
        return _disabled(person, "the workload tenant")
    return Known(
        person=person.label,
        object_id=account.object_id,
        display_name=account.display_name,
        pending_guest=account.invitation == "PendingAcceptance",
    )


def invited(person: Person, home: HomeAccount | None, invitation: B2bUserInvitation | None) -> Invitee | Missing:
    """The invitation for somebody who is not in the workload tenant yet, where the platform invites."""
    if invitation is None:
        text = "is not in the workload tenant, and the platform invites nobody: set b2bUserInvitation, or invite them by hand."
        return _missing(person, "guest-not-invited", text)
    reachable = addresses(person, home)
    if not reachable:
        return _missing(person, "guest-without-mail", "cannot be invited without a mail address: add it to the person.")
    name = " ".join(part for part in (person.first_name, person.last_name) if part)
    return Invitee(
        person=person.label,
        invitation=Invitation(
            person=person.label,
            email=reachable[0],
            display_name=(home.account.display_name if home else "") or name or reachable[0],
            redirect_url=invitation.redirect_url,
            send_mail=person.guest or invitation.send_azure_invitation_mail,
        ),
    )


def nobody(person: Person, wanted: Sought | None, tenants: Sequence[str]) -> Missing:
    """Nobody like the person was found."""
    by = f"by {NAMES[wanted.attribute]} {wanted.value} " if wanted else ""
    return _missing(person, "person-not-found", f"was not found {by}in {', '.join(tenants)}.")


def _disabled(person: Person, where: str) -> Missing:
    return _missing(person, "account-disabled", f"has a disabled account in {where} and gets no access.")


def _missing(person: Person, code: str, text: str) -> Missing:
    return Missing(person=person.label, warning=Warn(code=code, text=f"{person.label} {text}"))
