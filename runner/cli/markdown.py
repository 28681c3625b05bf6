"""How reviews read as Markdown: the comment on a pull request, the summary of a job. Knows no store, no server and no CI.

Names in Azure, in documents and in errors are somebody else's text. They only ever stand in fenced blocks and code spans, where GitHub,
GitLab and Azure DevOps take text as text: no mention, issue, link, picture, HTML or quick action comes of it (CommonMark 0.31, 4.5 and
6.1). Everything outside of those is written here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from click import unstyle

from runner.cli import words
from runner.cli.outcome import Outcome, Stand
from runner.domain.harmless import plain
from runner.domain.review import Review
from runner.domain.run import Run, Status
from runner.errors import RunnerError

LONGEST = 65_536  # of a comment on GitHub; GitLab and Azure DevOps take more
_LONGEST_LINE = 400
_LONGEST_NAME = 120
_LEAST = 1_500  # room for a tenant below which it is only listed
_RESERVE = 600  # for what is said of that which had no room
_RISKS = 8
_ROWS = 100

_ORDER = (Status.FAILED, Status.INTERRUPTED, Status.WAITING, Status.APPROVED, Status.APPLIED)
_SAID = {
    Status.WAITING: "waits for approval",
    Status.APPROVED: "is approved",
    Status.APPLIED: "is as it should be now",
    Status.UNCHANGED: "is as it should be",
    Status.FAILED: "failed",
}
# a diff block shows what begins with + in green, with - in red and with ! in orange
_SIGNS = {"+": "+", "-": "-", "±": "-", "~": "!", "!": "!", "?": "#"}
_SIGNED = re.compile(r"  ([-+~±!?→.=…])  (.*)", re.DOTALL)


def page(outcome: Outcome, *, about: str, longest: int = LONGEST) -> str:
    """All of an outcome in at most `longest` characters (as UTF-16 counts them). The first line is a comment that nobody sees, by which a
    pipeline finds what it wrote before: `about` tells pages of one pull request apart."""
    page = _Page(longest - _RESERVE)
    page.add(f"{marker(about)}\n## Landing zones: {_headline(outcome)}\n\n")
    if outcome.error is not None:
        page.add(_error(outcome.error))
    for tenant, why in outcome.refused[:_ROWS]:
        page.add(f"### {span(tenant)} is refused\n\n{_error(why)}")
    page.missing(len(outcome.refused) - _ROWS, "refused tenants")
    ordered = sorted(outcome.stands, key=_urgency)
    telling = [stand for stand in ordered if stand.run.status is not Status.UNCHANGED]
    if len(telling) > 1:
        _table(page, telling)
    for number, stand in enumerate(telling):
        room = max(_LEAST, page.left // (len(telling) - number))
        if room > page.left or not page.add(_tenant(stand, room)):
            page.missing(len(telling) - number, "tenants")
            break
    if quiet := len(ordered) - len(telling):
        page.end.append(f"{quiet} {'tenant is as it' if quiet == 1 else 'tenants are as they'} should be.")
    return page.text


def marker(about: str) -> str:
    """The comment that a page begins with."""
    return f"<!-- lzr-ci {re.sub('--+', '-', re.sub('[^A-Za-z0-9._/ -]+', '_', about))[:200]} -->"


def span(text: str) -> str:
    """Somebody's text as a code span, also within a table."""
    shown = _cut(plain(text), _LONGEST_NAME).strip() or "?"
    ticks = "`" * (_longest_run(shown) + 1)
    inside = f" {shown} " if "`" in (shown[0], shown[-1]) else shown
    return f"{ticks}{inside}{ticks}".replace("|", "\\|")


def block(lines: Sequence[str], kind: str = "") -> str:
    """Somebody's lines as a fenced block."""
    ticks = "`" * max([3, *(_longest_run(line) + 1 for line in lines)])
    return "\n".join([ticks + kind, *lines, ticks, ""])


class _Page:
    """Text that grows up to a length; what had no room is counted at its end."""

    def __init__(self, longest: int) -> None:
        self._parts: list[str] = []
        self.left = longest
        self.end: list[str] = []

    def add(self, part: str) -> bool:
        """Add the part, where there is room."""
        if size(part) > self.left:
            return False
        self._parts.append(part)
        self.left -= size(part)
        return True

    def missing(self, count: int, what: str) -> None:
        """Say at the end that so many are not shown."""
        if count > 0:
            self.end.append(f"**{count} more {what}** had no room here: `lzr runs` and `lzr review RUN` show them.")

    @property
    def text(self) -> str:
        return "".join(self._parts) + "\n\n".join(self.end) + ("\n" if self.end else "")


def size(text: str) -> int:
    """Characters as UTF-16 counts them, which is never less than any of the three counts."""
    return len(text) + sum(char > "\uffff" for char in text)


def _headline(outcome: Outcome) -> str:
    counted = [
        (sum(stand.run.status is status for stand in outcome.stands), said)
        for status, said in (
            (Status.FAILED, "failed"),
            (Status.WAITING, "waiting for approval"),
            (Status.APPROVED, "approved"),
            (Status.APPLIED, "applied"),
            (Status.UNCHANGED, "unchanged"),
        )
    ]
    others = len(outcome.stands) - sum(count for count, _ in counted)
    counted += [(len(outcome.refused), "refused"), (others, "ended otherwise")]
    told = ", ".join(f"{count} {said}" for count, said in counted if count)
    if outcome.error is not None:
        return f"not done; {told}" if told else "not done"
    return told or "nothing to plan"


def _urgency(stand: Stand) -> tuple[int, int, str]:
    status = stand.run.status
    place = _ORDER.index(status) if status in _ORDER else 1
    return place, -stand.run.risks, stand.run.tenant


def _table(page: _Page, stands: Sequence[Stand]) -> None:
    rows = ["| tenant | | add | change | destroy | risks |", "|---|---|--:|--:|--:|--:|"]
    for stand in stands[:_ROWS]:
        run = stand.run
        counts = " | ".join(str(run.counts.get(name, 0)) for name in ("add", "change", "destroy"))
        rows.append(f"| {span(run.tenant)} | {_said(run)} | {counts} | {run.risks} |")
    if len(stands) > _ROWS:
        rows.append(f"| {len(stands) - _ROWS} more | | | | | |")
    page.add("\n".join([*rows, "", ""]))


def _said(run: Run) -> str:
    return _SAID.get(run.status, f"is {run.status}")


def _tenant(stand: Stand, room: int) -> str:
    """One tenant in about as much room: risks are seen at once, the rest unfolds."""
    run, review = stand.run, stand.review()
    where = f"landing zone {span(run.landing_zone)}, run `{_identifier(run.id)}`"
    if re.fullmatch(r"https?://[A-Za-z0-9.:/_%\[\]-]+", stand.url):
        where += f", [its page](<{stand.url}>)"
    head = f"### {span(run.tenant)} {_said(run)}\n\n{where}\n\n"
    if run.failure is not None:
        said = (unstyle(line) for line in words.failure(run))
        head += block(list(_bounded(map(_as_diff, said), max(400, room - size(head) - 400))), "diff") + "\n"
    if review is None:
        return head
    if review.stops or review.risks:
        risks = [f"! {_cut(plain(why), _LONGEST_LINE)}" for why in review.stops]
        risks += [f"! {_cut(plain(risk.text), _LONGEST_LINE)}" for risk in review.risks[:_RISKS]]
        if (more := len(review.risks) - _RISKS) > 0:
            risks.append(f"! and {more} more of this kind")
        head += block(risks, "diff") + "\n"
    decidable = run.status is Status.WAITING and not review.stops
    end = _how_to_approve(review, run) if decidable else ""
    lines = _bounded((_as_diff(unstyle(line)) for line in words.review(review, run)), room - size(head + end) - 200)
    return f"{head}<details><summary>{_counts(review)}</summary>\n\n{block(list(lines), 'diff')}\n</details>\n\n{end}"


def _how_to_approve(review: Review, run: Run) -> str:
    confirm = [part for held in review.contents for part in ("--confirm-delete", plain(held.resource_group))]
    command = shlex.join(["lzr", "approve", run.id, "--digest", review.digest[:12], *confirm])
    return f"Approve exactly this:\n\n{block([_cut(plain(command), _LONGEST_LINE)], 'sh')}\n"


def _as_diff(line: str) -> str:
    """A line for a terminal as one of a diff block, which is coloured by its first character."""
    if found := _SIGNED.fullmatch(line):
        sign, rest = found.groups()
        told = f"{_SIGNS[sign]} {rest}" if sign in _SIGNS else f"  {sign} {rest}"
    else:
        told = f"  {line}" if line else ""
    return _cut(plain(told), _LONGEST_LINE)


def _bounded(lines: Iterable[str], room: int) -> Iterator[str]:
    """As many lines as there is room for, and how many there are beside."""
    left, more = room, 0
    for line in lines:
        left -= size(line) + 1
        if more or left < 0:
            more += 1
        else:
            yield line
    if more:
        yield f"# and {more} more line{'' if more == 1 else 's'}: lzr review RUN"


def _counts(review: Review) -> str:
    counts = review.counts
    told = [f"{counts[name]} to {name}" for name in ("add", "change", "destroy")]
    people = len(review.access.additions) + len(review.access.removals)
    told += [f"{people} {'membership' if people == 1 else 'memberships'}"] if people else []
    return "All of it: " + ", ".join(told)


def _error(error: RunnerError) -> str:
    lines = [error.summary, *error.detail.splitlines(), *([error.hint] if error.hint else [])]
    return block(list(_bounded(map(_as_diff, lines), 4_000)), "diff") + "\n"


def _identifier(run_id: str) -> str:
    return re.sub("[^A-Za-z0-9-]", "_", run_id)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
