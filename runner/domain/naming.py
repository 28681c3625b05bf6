"""Names made from patterns: `#{name}` or `#{name:<Java format>}`, and which names Azure accepts.

The patterns are meshStack's (docs/settings/replication-configuration, "String Templating"). The part after the colon is a Java
format string with one argument, so the rules of java.util.Formatter hold: literal text, `%%`, and `%s %S` for text and numbers,
`%d %o %x %X` for numbers. What Java would refuse while formatting is refused here when the pattern is read. One deviation: a
precision counts characters, where Java counts UTF-16 units and could cut a character in half.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from hashlib import shake_256

from runner.domain.platform import AzurePlatform
from runner.domain.tenant import Tenant
from runner.errors import InputError

NUMBERS = frozenset({"meshProjectId", "tenantPlatformNumber"})
TEXTS = frozenset(
    {"workspaceIdentifier", "customerIdentifier", "projectIdentifier", "platform", "rand", "platformGroupAlias"}
)
_TAG_VARIABLE = re.compile(r"tag[^a-z]")
_ALPHANUMERICS = "0123456789abcdefghijklmnopqrstuvwxyz"
_WIDEST = 512  # no name is longer; a width is memory, and it comes from a document


class PatternWrong(InputError):
    """A pattern cannot be read or filled in. `position` counts characters from 0."""

    def __init__(self, detail: str, *, position: int = 0, hint: str = "") -> None:
        super().__init__("A name pattern is wrong", code="name-pattern-wrong", detail=detail, hint=hint)
        self.position = position


@dataclass(frozen=True)
class Conversion:
    """One `%…` of a Java format."""

    letter: str
    flags: str = ""
    width: int = 0
    precision: int | None = None

    def apply(self, value: str | int) -> str:
        """The value as java.util.Formatter writes it. Numbers are never negative here."""
        text = self._number(int(value)) if self.letter in "doxX" else str(value)[: self.precision]
        if self.letter == "S":
            text = text.upper()
        return text.ljust(self.width) if "-" in self.flags else text.rjust(self.width)

    def _number(self, value: int) -> str:
        digits = format(value, {"d": "d", "o": "o", "x": "x", "X": "X"}[self.letter])
        if self.letter == "d" and "," in self.flags:
            digits = format(value, ",d")
        sign = {"o": "0", "x": "0x", "X": "0X"}[self.letter] if "#" in self.flags else ""
        sign += "".join(flag for flag in "+ " if flag in self.flags)
        # Java pads with zeros behind the sign and does not group them
        return sign + (digits.rjust(self.width - len(sign), "0") if "0" in self.flags else digits)


@dataclass(frozen=True)
class Variable:
    """`#{name:format}`; without a format the value as it is. `position` is that of the `#`."""

    name: str
    format: tuple[str | Conversion, ...]
    position: int

    def apply(self, value: str | int) -> str:
        """The value as the format writes it."""
        return "".join(part if isinstance(part, str) else part.apply(value) for part in self.format)


@dataclass(frozen=True)
class Pattern:
    """A pattern as it was read: literal text and variables in order."""

    parts: tuple[str | Variable, ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables, each once, in order."""
        return tuple(dict.fromkeys(part.name for part in self.parts if isinstance(part, Variable)))


@lru_cache(maxsize=1024)
def parse(pattern: str) -> Pattern:
    """Read a pattern; PatternWrong says at which position it cannot be read."""
    parts: list[str | Variable] = []
    position = 0
    while (start := pattern.find("#{", position)) >= 0:
        end = pattern.find("}", start)
        if end < 0:
            raise PatternWrong("#{ is opened and never closed.", position=start, hint="Close it with }.")
        if start > position:
            parts.append(pattern[position:start])
        parts.append(_variable(pattern[start + 2 : end], start))
        position = end + 1
    if position < len(pattern):
        parts.append(pattern[position:])
    return Pattern(tuple(parts))


def render(pattern: str | Pattern, values: Mapping[str, str | int]) -> str:
    """Fill in a pattern; PatternWrong where it cannot be read or a value is missing."""
    read = parse(pattern) if isinstance(pattern, str) else pattern
    return "".join(part if isinstance(part, str) else part.apply(_value(part, values)) for part in read.parts)


def variables(platform: AzurePlatform, tenant: Tenant) -> dict[str, str | int]:
    """Values of all variables but platformGroupAlias, which differs by role.

    `rand` looks random but is a hash of platform and tenant: the same in every run, on every machine and without a place to keep
    it, because a name that changed from run to run would make new groups and leave the old ones behind.
    """
    spec = tenant.spec
    values: dict[str, str | int] = {tag_variable(name): value for name, value in tenant.tags.items() if name}
    values |= {
        "workspaceIdentifier": spec.workspace_identifier,
        "customerIdentifier": spec.workspace_identifier,
        "projectIdentifier": spec.project_identifier,
        "platform": platform.name,
        "rand": _rand(f"{platform.name}/{tenant.name}"),
    }
    if spec.mesh_project_id is not None:
        values["meshProjectId"] = spec.mesh_project_id
    if spec.tenant_platform_number is not None:
        values["tenantPlatformNumber"] = spec.tenant_platform_number
    return values


def tag_variable(tag: str) -> str:
    """`projectOwner` -> `tagProjectOwner`."""
    return f"tag{tag[:1].upper()}{tag[1:]}"


def _rand(seed: str) -> str:
    number = int.from_bytes(shake_256(seed.encode()).digest(80), "big")  # 80 bytes hold more than 100 digits of base 36
    digits = []
    for _ in range(100):
        number, digit = divmod(number, 36)
        digits.append(_ALPHANUMERICS[digit])
    return "".join(digits)


def _value(variable: Variable, values: Mapping[str, str | int]) -> str | int:
    if variable.name in values:
        return values[variable.name]
    if variable.name.startswith("tag"):
        raise PatternWrong(
            f"#{{{variable.name}}} stands for a tag that the tenant does not have.",
            position=variable.position,
            hint="Set the tag in projectTags, payment.tags or workspaceTags, or leave it out of the pattern.",
        )
    where = "in the tenant's document" if variable.name in NUMBERS else "here"
    raise PatternWrong(f"#{{{variable.name}}} has no value {where}.", position=variable.position)


def _variable(body: str, position: int) -> Variable:
    name, colon, form = body.partition(":")
    if name not in NUMBERS | TEXTS and not _TAG_VARIABLE.match(name):
        close = get_close_matches(name, [*NUMBERS, *TEXTS], n=1)
        raise PatternWrong(
            f'There is no variable "{name}".',
            position=position,
            hint=f"Did you mean #{{{close[0]}}}?"
            if close
            else "Tags are written as #{tagCostCenter} for the tag costCenter.",
        )
    if not colon:
        return Variable(name, (Conversion("s"),), position)
    return Variable(name, _format(form, name, position + 3 + len(name)), position)


# Formatter's own grammar: %[argument_index$][flags][width][.precision]conversion
_SPECIFIER = re.compile(r"%(\d+\$|<)?([-#+ 0,(]*)([1-9]\d*)?(?:\.(\d+))?([a-zA-Z%])?")


def _format(form: str, name: str, position: int) -> tuple[str | Conversion, ...]:
    parts: list[str | Conversion] = []
    end = 0
    for match in _SPECIFIER.finditer(form):
        parts.append(form[end : match.start()])
        parts.append(_conversion(match, name, position + match.start()))
        end = match.end()
    parts.append(form[end:])
    if not any(isinstance(part, Conversion) for part in parts):
        raise PatternWrong(
            f'The format "{form}" uses the value nowhere.',
            position=position,
            hint="Use %s, or %.7s for 7 characters of it.",
        )
    return tuple(part for part in parts if part != "")


def _conversion(match: re.Match[str], name: str, position: int) -> str | Conversion:
    index, flags, width, precision, letter = match.groups()
    wrong = _conversion_wrong(match.group(), index, flags, width, precision, letter, name)
    if wrong:
        raise PatternWrong(wrong[0], position=position, hint=wrong[1])
    if letter == "%":
        return "%".ljust(int(width or 0)) if "-" in flags else "%".rjust(int(width or 0))
    return Conversion(letter, flags, int(width or 0), None if precision is None else int(precision))


def _conversion_wrong(
    text: str, index: str | None, flags: str, width: str | None, precision: str | None, letter: str | None, name: str
) -> tuple[str, str] | None:
    """What Formatter would throw at, and what to write instead; None where it would not."""
    numeric = letter in ("d", "o", "x", "X")
    allowed = {"s": "-", "S": "-", "%": "-", "d": "-0+ ,(", "o": "-0#", "x": "-0#", "X": "-0#"}.get(letter or "", "")
    refused = [flag for flag in flags if flag not in allowed]
    if letter is None or not allowed:
        return (
            f'"{text}" is no conversion that names can use.',
            "Use %s or %S for text, %d, %o, %x or %X for numbers; %% is a percent sign.",
        )
    if index not in (None, "1$"):
        return f'"{text}" asks for another value; there is only one.', "Leave out the part before the $."
    if numeric and name not in NUMBERS:
        return f'"{text}" is for numbers, and {name} is text.', f"Use %s; numbers are {' and '.join(sorted(NUMBERS))}."
    if refused:
        return f'The flag "{refused[0]}" does not go with %{letter}.', "Leave it out."
    if len(set(flags)) < len(flags):
        return f'"{text}" gives a flag twice.', "Give it once."
    if width is None and ("-" in flags or "0" in flags):
        return f'"{text}" needs a width.', f"Write it behind the flag, as %{flags}3{letter}."
    if ("-" in flags and "0" in flags) or ("+" in flags and " " in flags):
        return f'The flags of "{text}" exclude each other.', "Keep one of them."
    if precision is not None and (numeric or letter == "%"):
        return f'"{text}" has a precision, which only text can have.', f"Write %{width or ''}{letter}."
    if int((width or "0")[:6]) > _WIDEST or int((precision or "0")[:6]) > _WIDEST:
        return f'"{text}" is wider than any name.', f"At most {_WIDEST}."
    return None


# --- what Azure accepts ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NameWrong:
    """Why Azure would refuse a name, and what to do."""

    what: str
    hint: str


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _not_in_resource_groups(char: str) -> bool:
    """Letters and decimal digits of one UTF-16 unit, as .NET's Char.IsLetterOrDigit has them; Python's `isalnum` takes ½ and ² too."""
    return not (char in "-_.()" or ((char.isalpha() or char.isdecimal()) and char <= "\uffff"))


def _not_in_subscriptions(char: str) -> bool:
    return char in "<>;|"


def _not_in_groups(_: str) -> bool:
    return False  # beyond the control characters, which no name has


def subscription_name_wrong(name: str) -> NameWrong | None:
    """Display name of a subscription: 1 to 64 characters, none of `< > ; |` (as Azure Verified Modules check it)."""
    return _length_wrong(name, 64, "a subscription's name") or _character_wrong(
        name, _not_in_subscriptions, "a subscription's name"
    )


def group_name_wrong(name: str) -> NameWrong | None:
    """Display name of an Entra group: 1 to 256 characters (Microsoft Graph, group resource)."""
    return _length_wrong(name, 256, "a group's name") or _character_wrong(name, _not_in_groups, "a group's name")


def resource_group_name_wrong(name: str) -> NameWrong | None:
    """Name of a resource group: 1 to 90 of letters, digits and `-_.()`, no `.` at the end (Azure's resource name rules)."""
    wrong = _length_wrong(name, 90, "a resource group's name")
    wrong = wrong or _character_wrong(name, _not_in_resource_groups, "a resource group's name")
    if wrong is None and name.endswith("."):
        return NameWrong(
            "A resource group's name must not end with a dot.", "Put something behind the dot, or leave it out."
        )
    return wrong


def _length_wrong(name: str, longest: int, what: str) -> NameWrong | None:
    if not name.strip():
        return NameWrong(f"It is empty; {what} has at least one character.", "Add a fixed part to the pattern.")
    if len(name) > longest:
        return NameWrong(
            f"It has {len(name)} characters; {what} has at most {longest}.",
            "Cut the long parts, as #{projectIdentifier:%.20s}.",
        )
    return None


def _character_wrong(name: str, refused: Callable[[str], bool], what: str) -> NameWrong | None:
    found = next((char for char in name if _CONTROL.match(char) or refused(char)), None)
    if found:
        shown = {" ": "a space"}.get(found, f'"{found}"' if found.isprintable() else "a control character")
        return NameWrong(
            f"It has {shown}, which {what} must not have.", "Change the pattern or the value it comes from."
        )
    if name != name.strip():
        return NameWrong(
            f"It begins or ends with a space, which {what} must not.", "Change the pattern or the value it comes from."
        )
    return None
