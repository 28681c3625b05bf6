"""What reaches a channel over HTTPS, in its own form, and whom no channel ever reaches."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from runner.channels import bodies
from runner.domain.notice import Notice
from runner.domain.signature import Key, verified
from runner.errors import Canceled, InputError, Refused, RemoteFailed
from runner.ports import NotTaken
from tests.azure.loopback import Received, Reply
from tests.channels.conftest import PATH, SIGNING, Serve, Speak, a_notice, channel
from tests.store.making import NOW

HOSTILE = [
    "<!channel>",
    "<@U1> <https://evil.example|Approve>",
    "[Approve](https://evil.example)",
    "**bold** _it_ `code` ~no~",
    "\u202egpj.exe",
    "a\r\nBcc: victim@evil.example",
    "<script>alert(1)</script>",
    "<at>everyone</at>",
    '", "blocks": [], "x": "',
]


def hostile_notice(name: str) -> Notice:
    return a_notice(tenant=name, landing_zone=name, workspace=name, requested_by=name, reason=name)


def texts(value: Any, *, under: str) -> Iterator[dict[str, Any]]:
    """All objects below that are of this type."""
    if isinstance(value, dict):
        if value.get("type") == under:
            yield value
        for one in value.values():
            yield from texts(one, under=under)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one, under=under)


# --- What is sent ----------------------------------------------------------------------------------------------------


def test_a_program_gets_json_that_it_can_verify(serve: Serve, speak: Speak) -> None:
    server = serve(lambda received: Reply(204))
    speak().send(channel("webhook", url=f"{server.url}/hooks?to=lzr"), a_notice(), "msg_7")
    (received,) = server.requests
    headers = {name.lower(): value.decode() for name, value in received.headers}
    assert verified([Key.standard(SIGNING)], headers, received.body, now=NOW)[0] == "msg_7"
    assert (received.method, received.path, received.query) == ("POST", "/hooks", {"to": "lzr"})
    assert headers["content-type"] == "application/json"
    told = received.json
    assert (told["type"], told["timestamp"]) == ("run.waiting", NOW.isoformat())
    assert told["data"]["tenant"] == "acme.shop.prod"
    assert told["data"]["counts"] == {"add": 8}
    assert told["data"]["risks"] == ["gives highest rights"]
    assert told["data"]["url"] == "https://lzr.example.com/runs/r1"


def test_while_secrets_change_both_sign(serve: Serve, speak: Speak) -> None:
    server = serve(lambda received: Reply(200))
    speaking = speak()
    speaking.secrets["NEW"] = "whsec_" + "QUJD" * 11
    speaking.send(channel("webhook", url=server.url, secrets=[{"env": "HOOK"}, {"env": "NEW"}]), a_notice())
    signatures = server.requests[0].text("webhook-signature").split()
    assert len(signatures) == len(set(signatures)) == 2


def test_slack_gets_blocks_of_plain_text(serve: Serve, speak: Speak) -> None:
    server = serve(lambda received: Reply(200, body=b"ok"))
    speaking = speak()
    speaking.secrets["ADDRESS"] = f"{server.url}{PATH}\n"
    speaking.send(channel("slack"), a_notice())
    (received,) = server.requests
    assert received.path == PATH
    assert received.json["text"] == "acme.shop.prod waits for a decision"
    header, section, context = received.json["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "acme.shop.prod waits for a decision", "emoji": False}
    assert "Changes: 8 to add" in section["text"]["text"]
    assert context["elements"][0]["text"] == "<https://lzr.example.com/runs/r1|Open the run>"


def test_teams_gets_an_adaptive_card(serve: Serve, speak: Speak) -> None:
    server = serve(lambda received: Reply(202))
    speaking = speak()
    speaking.secrets["ADDRESS"] = f"{server.url}{PATH}?sig=x"
    speaking.send(channel("teams"), a_notice())
    told = server.requests[0].json
    (attachment,) = told["attachments"]
    card = attachment["content"]
    assert (told["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open the run", "url": "https://lzr.example.com/runs/r1"}
    ]


# --- Hostile names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup_in_slack(name: str) -> None:
    told = json.loads(bodies.slack(hostile_notice(name), None))
    assert not set(told["text"]) & set("<>*_~`")
    (link,) = texts(told, under="mrkdwn")
    assert link["text"] == "<https://lzr.example.com/runs/r1|Open the run>"
    assert all(one["emoji"] is False for one in texts(told, under="plain_text"))
    assert "\u202e" not in json.dumps(told, ensure_ascii=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup_in_teams(name: str) -> None:
    card = json.loads(bodies.teams(hostile_notice(name), None))["attachments"][0]["content"]
    assert not list(texts(card, under="TextBlock"))
    assert not list(texts(card, under="FactSet"))
    assert not set(card["fallbackText"]) & set("[]()<>*_~`")
    assert len(card["actions"]) == 1


def test_the_longest_notice_fits_every_channel() -> None:
    long = a_notice(
        tenant="\u202e" * 9_000, reason="\u0600" * 9_000, landing_zone="z" * 9_000, requested_by="\u202e" * 9_000
    )
    told = json.loads(bodies.slack(long, None))
    assert max(len(one["text"]) for one in texts(told, under="plain_text")) <= 3_000
    assert len(told["blocks"][0]["text"]["text"]) <= 150
    assert len(bodies.teams(long, None)) < 28 * 1024
    assert len(bodies.teams(long, "\u00e9" * 100_000)) < 56 * 1024


# --- Own templates ---------------------------------------------------------------------------------------------------


def test_an_own_template_writes_the_words_and_names_stay_words(serve: Serve, speak: Speak, tmp_path: Path) -> None:
    server = serve(lambda received: Reply(200))
    (tmp_path / "slack.j2").write_text("*{{ title }}* {{ counts.add }} to add <{{ url }}|look>", encoding="utf-8")
    speaking = speak()
    speaking.secrets["ADDRESS"] = server.url
    speaking.send(channel("slack", template="slack.j2"), hostile_notice("<!channel> *x*"))
    (block,) = server.requests[0].json["blocks"]
    said = block["text"]
    assert said["type"] == "mrkdwn"
    assert said["text"] == (
        "*&lt;!channel&gt; \u2217x\u2217 waits for a decision* 8 to add <https://lzr.example.com/runs/r1|look>"
    )


def test_an_own_template_writes_a_card_and_links_in_names_stay_words(tmp_path: Path) -> None:
    from runner.channels.templates import rendered

    (tmp_path / "t.j2").write_text("**{{ tenant }}** [look]({{ url }})", encoding="utf-8")
    said = rendered(tmp_path / "t.j2", hostile_notice("[x](https://evil.example)"), harmless=bodies.teams_words)
    assert "](https://evil" not in said
    assert said.startswith("**")


def test_an_own_template_writes_json_for_a_program(serve: Serve, speak: Speak, tmp_path: Path) -> None:
    server = serve(lambda received: Reply(200))
    (tmp_path / "hook.json.j2").write_text('{"who": {{ tenant | tojson }}}', encoding="utf-8")
    name = '", "admin": true, "x": "'
    speak().send(channel("webhook", url=server.url, template="hook.json.j2"), hostile_notice(name))
    assert server.requests[0].json == {"who": name}


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ tenant", "Line 1"),
        ("\n{% if %}", "Line 2"),
        ("{{ nothing }}", "nothing"),
        ("{{ tenant.__class__.__mro__ }}", "SecurityError"),
        ("{% include '/etc/passwd' %}", "TypeError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ 'x' * 100000 }}", "characters"),
        ("{{ tenant }}", "no JSON"),
    ],
)
def test_a_template_that_cannot_be_used_is_told(speak: Speak, tmp_path: Path, template: str, told: str) -> None:
    (tmp_path / "t.j2").write_text(template, encoding="utf-8")
    with pytest.raises(InputError) as wrong:
        speak().send(channel("webhook", url="https://127.0.0.1:9", template="t.j2"), a_notice())
    assert wrong.value.code == "channel-template-wrong"
    assert told in wrong.value.detail


def test_a_template_that_is_missing_is_told(speak: Speak) -> None:
    with pytest.raises(InputError) as wrong:
        speak().send(channel("webhook", url="https://127.0.0.1:9", template="missing.j2"), a_notice())
    assert wrong.value.code == "channel-template-wrong"


# --- Whom no channel reaches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost",
        "169.254.169.254",
        "168.63.129.16",
        "10.0.0.1",
        "100.64.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
    ],
)
def test_an_inner_address_is_refused_however_it_is_written(speak: Speak, host: str) -> None:
    with pytest.raises(Refused) as refused:
        speak(allowed=()).send(channel("webhook", url=f"https://{host}/"), a_notice())
    assert refused.value.code == "channel-address-not-allowed"


def test_a_name_that_leads_inside_is_refused_also_where_it_leads_outside_too(
    speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "hooks.example.com"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("20.50.2.1", "10.0.0.5")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(Refused) as refused:
        speak(allowed=()).send(channel("webhook", url="https://hooks.example.com/"), a_notice())
    assert refused.value.code == "channel-address-not-allowed"


def test_what_was_checked_is_what_is_connected_to(serve: Serve, speak: Speak, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads elsewhere when it is asked again finds nobody who asks again."""
    server = serve(lambda received: Reply(204))
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def once(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        if host != "localhost":
            return resolve(host, port, *rest, **more)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    speak(allowed=("localhost",)).send(channel("webhook", url=f"https://localhost:{server.port}/"), a_notice())
    assert asked == ["localhost"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(("allowed", "goes"), [((), False), (("127.0.0.1",), True), (("127.0.0.1:1",), False)])
def test_plain_http_goes_to_this_machine_alone_and_only_when_allowed(
    speak: Speak, allowed: tuple[str, ...], goes: bool
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        to = channel("webhook", url=f"http://127.0.0.1:{server.server_port}/")
        try:
            if goes:
                speak(allowed=allowed).send(to, a_notice())
            else:
                with pytest.raises(Refused):
                    speak(allowed=allowed).send(to, a_notice())
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "hooks.slack.com/services/x",
        "ftp://127.0.0.1/",
        "https://user:address-canary@127.0.0.1/",
        "https://",
        "https://a b/",
        "https://127.0.0.1\r\nX: y/",
        "file:///etc/address-canary",
        "https://0177.0.0.1/",
    ],
)
def test_an_address_that_is_none_is_told_without_it(speak: Speak, address: str) -> None:
    speaking = speak()
    speaking.secrets["ADDRESS"] = address
    with pytest.raises(InputError) as wrong:
        speaking.send(channel("slack"), a_notice())
    assert wrong.value.code == "channel-address-invalid"
    assert "canary" not in f"{wrong.value}{wrong.value.hint}"


def test_http_of_a_secret_address_is_refused_without_it(speak: Speak) -> None:
    speaking = speak()
    speaking.secrets["ADDRESS"] = f"http://hooks.slack.com{PATH}"
    with pytest.raises(Refused) as refused:
        speaking.send(channel("slack"), a_notice())
    assert "canary" not in str(refused.value)


def test_a_redirect_is_not_followed(serve: Serve, speak: Speak) -> None:
    inner = serve(lambda received: Reply(200))
    server = serve(lambda received: Reply(307, headers={"Location": inner.url}))
    with pytest.raises(NotTaken) as failed:
        speak().send(channel("webhook", url=server.url), a_notice())
    assert not failed.value.temporary
    assert inner.requests == []


def test_behind_a_proxy_the_form_of_the_name_is_checked(speak: Speak) -> None:
    speaking = speak(allowed=(), proxy="http://127.0.0.1:9")
    with pytest.raises(Refused):
        speaking.send(channel("webhook", url="https://metadata.google.internal/"), a_notice())
    with pytest.raises(RemoteFailed) as failed:  # the proxy is gone: nobody goes around it
        speaking.send(channel("webhook", url="https://hooks.example.com/"), a_notice())
    assert failed.value.code == "channel-unreachable"


# --- What goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "temporary"),
    [(400, False), (401, False), (404, False), (410, False), (408, True), (429, True), (500, True), (503, True)],
)
def test_an_answer_says_whether_it_is_worth_trying_again(
    serve: Serve, speak: Speak, status: int, temporary: bool
) -> None:
    server = serve(lambda received: Reply(status, body=b"canary-of-an-answer", headers={"Retry-After": "120"}))
    with pytest.raises(NotTaken) as failed:
        speak().send(channel("webhook", url=server.url), a_notice())
    assert (failed.value.temporary, failed.value.after) == (temporary, 120)
    assert failed.value.detail == f"127.0.0.1 answers {status}."


def test_a_connection_that_breaks_is_worth_trying_again(serve: Serve, speak: Speak) -> None:
    server = serve(lambda received: Reply(drop=True))
    with pytest.raises(RemoteFailed) as failed:
        speak().send(channel("webhook", url=server.url), a_notice())
    assert (failed.value.code, failed.value.temporary) == ("channel-unreachable", True)


def test_a_certificate_that_is_not_trusted_is_told(serve: Serve, speak: Speak) -> None:
    server = serve(lambda received: Reply(204))
    with pytest.raises(RemoteFailed) as failed:
        speak(trusting=False).send(channel("webhook", url=server.url), a_notice())
    assert "CA bundle" in failed.value.hint
    assert not failed.value.temporary
    assert server.requests == []


def test_an_answer_may_neither_trickle_nor_be_endless(serve: Serve, speak: Speak) -> None:
    server = serve(lambda received: Reply(200, body=b"x" * 2_000, trickle=0.05))
    started = time.monotonic()
    with pytest.raises(RemoteFailed):
        speak(seconds=0.5).send(channel("webhook", url=server.url), a_notice())
    assert time.monotonic() - started < 5
    large = serve(lambda received: Reply(200, body=b"x" * 50_000_000))
    speak().send(channel("webhook", url=large.url), a_notice())


def test_who_is_told_to_stop_stops(serve: Serve, speak: Speak) -> None:
    stop = threading.Event()

    def script(received: Received) -> Reply:
        stop.set()
        return Reply(200, body=b"x" * 100, trickle=0.2)

    server = serve(script)
    with pytest.raises(Canceled):
        speak().send(channel("webhook", url=server.url), a_notice(), stop=stop)


def test_secrets_are_in_no_error_and_no_log(serve: Serve, speak: Speak, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    for reply in (Reply(404), Reply(500), Reply(drop=True)):
        server = serve(lambda received, reply=reply: reply)
        speaking = speak()
        speaking.secrets["ADDRESS"] = f"{server.url}{PATH}"
        for to in (channel("slack"), channel("teams"), channel("webhook", url=server.url)):
            with pytest.raises(RemoteFailed) as failed:
                speaking.send(to, a_notice())
            told.append(f"{failed.value!r} {failed.value} {failed.value.hint} {failed.value.__cause__}")
    everything = "\n".join([*told, caplog.text])
    assert "canary" not in everything
    assert "MfKQ" not in everything
