"""What is posted: a notice in the form of each kind of channel, so that no name in it is ever taken for markup.

Slack: https://docs.slack.dev/reference/block-kit; plain_text objects hold no markup, in others `&`, `<` and `>` are escaped. Teams:
https://adaptivecards.io/explorer/RichTextBlock.html holds none either, unlike TextBlock and facts; a card has at most 28 KB. An own
template may use a channel's markup; what it is given has none (see `slack_words`, `teams_words`).
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from runner.domain.notice import Notice

_HEADER = 150  # characters, as Slack has it
_SECTION = 2_900
_CARD = 8_000

_SLACK = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "*": "\u2217", "_": "\uff3f", "~": "\u223c", "`": "\u02cb"}
)
_TEAMS = str.maketrans(
    {
        **{sign: chr(ord(sign) + 0xFEE0) for sign in "[](){}<>#!|\\_-"},  # their full-width forms
        "*": "\u2217",
        "~": "\u223c",
        "`": "\u02cb",
    }
)


def slack_words(text: str) -> str:
    """Text that is no markup in Slack."""
    return text.translate(_SLACK)


def teams_words(text: str) -> str:
    """Text that is no Markdown in an Adaptive Card: escapes are not understood by every client, so the signs are others."""
    return text.translate(_TEAMS)


def webhook(notice: Notice) -> bytes:
    """An event as Standard Webhooks advises: `run.<event>`, when it happened, and what there is to tell."""
    data = notice.model_dump(mode="json", exclude={"event"})
    event = {"type": f"run.{notice.event}", "timestamp": notice.at.isoformat(), "data": {**data, "title": notice.title}}
    return json.dumps(event).encode("ascii")


def slack(notice: Notice, words: str | None) -> bytes:
    """A message for an incoming webhook. `words` are an own template's, in Slack's markup."""
    blocks: list[dict[str, Any]] = []
    if words is None:
        facts = "\n".join(f"{what}: {said}" for what, said in notice.facts)
        blocks.append({"type": "header", "text": _plain(cut(notice.title, _HEADER))})
        blocks.append({"type": "section", "text": _plain(cut(facts, _SECTION))})
        if notice.url:
            link = {"type": "mrkdwn", "text": f"<{_address(notice.url)}|Open the run>", "verbatim": True}
            blocks.append({"type": "context", "elements": [link]})
    else:
        said = {"type": "mrkdwn", "text": cut(words, _SECTION) or " ", "verbatim": True}
        blocks.append({"type": "section", "text": said})
    message = {
        "text": slack_words(notice.title),  # what notifications on a phone show
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    return json.dumps(message).encode("ascii")


def teams(notice: Notice, words: str | None) -> bytes:
    """A message with one Adaptive Card for a workflow. `words` are an own template's, in the card's Markdown."""
    if words is None:
        title = {"type": "TextRun", "text": notice.title, "weight": "Bolder", "size": "Medium"}
        body: list[dict[str, Any]] = [{"type": "RichTextBlock", "inlines": [title]}]
        body += [
            {
                "type": "RichTextBlock",
                "spacing": "Small",
                "inlines": [
                    {"type": "TextRun", "text": f"{what}: ", "weight": "Bolder"},
                    {"type": "TextRun", "text": said},
                ],
            }
            for what, said in notice.facts
        ]
    else:
        body = [{"type": "TextBlock", "text": cut(words, _CARD), "wrap": True}]
    opens = [{"type": "Action.OpenUrl", "title": "Open the run", "url": _address(notice.url)}] if notice.url else []
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": teams_words(notice.title),
        "body": body,
        "actions": opens,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return json.dumps({"type": "message", "attachments": [attachment]}).encode("ascii")


def cut(text: str, most: int) -> str:
    """The text with so many characters at most."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _address(url: str) -> str:
    return quote(url, safe=":/?#[]@!$&'()*+,;=%-._~")
