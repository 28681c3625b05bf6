"""Mail over a real SMTP server on loopback: encrypted, signed in, and with no header or HTML that a name has made."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from runner.domain.channel import Channel
from runner.errors import Refused, RemoteFailed
from runner.ports import NotTaken
from runner.sandbox.certificates import Certificates
from tests.channels.conftest import Speak, a_notice, channel

PASSWORD = "smtp-canary-1d7e"

# aiosmtpd leaves connections open whose other side broke off; they are found here, and not within some later test
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@dataclass
class Mailbox:
    """What the server took, and what it answers."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    answer: str = "250 OK"
    answers_to: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers_to.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            made = message_from_bytes(content, policy=policy.default)
            assert isinstance(made, EmailMessage)
            self.mails.append(made)
            self.recipients += envelope.rcpt_tos
            transport: Any = server.transport
            self.encrypted.append(transport.get_extra_info("ssl_object") is not None)
            self.names.append(session.host_name or "")
        return self.answer


class _Server(Controller):
    """A controller that finds its port by itself."""

    def _trigger_server(self) -> None:
        listening: Any = self.server
        self.port = listening.sockets[0].getsockname()[1]
        trigger: Any = super()._trigger_server
        trigger()


Post = Callable[..., Mailbox]


@pytest.fixture
def post(certificates: Certificates) -> Iterator[Post]:
    """Start a mail server that demands TLS and a password; it ends with the test."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.server_file, certificates.server_key_file)

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"lzr", PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    with ExitStack() as running:

        def start(*, at_once: bool = False, offers_tls: bool = True) -> Mailbox:
            mailbox = Mailbox()
            options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0, "authenticator": authenticate}
            if at_once:
                options |= {"ssl_context": tls, "auth_require_tls": False}
            elif offers_tls:
                options |= {"tls_context": tls, "require_starttls": True}
            server = _Server(mailbox, **options)
            server.start()
            running.callback(server.stop)
            mailbox.port = server.port
            return mailbox

        yield start
    gc.collect()


def to_mail(mailbox: Mailbox, **fields: Any) -> Channel:
    given = {
        "host": "127.0.0.1",
        "port": mailbox.port,
        "sender": "lzr@corp.example",
        "to": ["ops@corp.example", "on-call@corp.example"],
        "username": "lzr",
        "password": {"env": "SMTP_PASSWORD"},
    }
    return channel("mail", **given | fields)


def said(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


@pytest.mark.parametrize("at_once", [False, True])
def test_a_mail_arrives_encrypted_and_signed_in(post: Post, speak: Speak, at_once: bool) -> None:
    mailbox = post(at_once=at_once)
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    speaking.send(to_mail(mailbox, security="tls" if at_once else "starttls"), a_notice(), "msg_7")
    (mail,) = mailbox.mails
    assert mailbox.encrypted == [True]
    assert mailbox.recipients == ["ops@corp.example", "on-call@corp.example"]
    assert mailbox.names == ["corp.example"]  # and not this machine's
    assert mail["Subject"] == "acme.shop.prod waits for a decision"
    assert mail["Message-ID"] == "<msg_7@corp.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Changes: 8 to add" in said(mail)
    assert "https://lzr.example.com/runs/r1" in said(mail)
    assert [part.get_content_type() for part in mail.walk()] == ["text/plain"]


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nBcc: victim@evil.example",
        "a\nSubject: x",
        "\u2028Bcc: x",
        "=?utf-8?q?=0ABcc:_victim=40evil.example?=",
        "==??utf-8?q?=0D=0ABcc:_x?=",
        "=?utf-8?b?CkJjYzogeA==?=",
        "x" * 5_000,
        "\u202ex",
        "é" * 300,
    ],
)
def test_no_name_makes_a_header_or_a_recipient(post: Post, speak: Speak, name: str) -> None:
    mailbox = post()
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    speaking.send(to_mail(mailbox), a_notice(tenant=name, reason=name, requested_by=name))
    (mail,) = mailbox.mails
    assert mail["Bcc"] is None
    assert len(mail.get_all("Subject", [])) == 1
    assert len(mail["Subject"]) <= 150
    assert mailbox.recipients == ["ops@corp.example", "on-call@corp.example"]


def test_an_own_template_in_html_is_escaped_and_has_its_words_beside(post: Post, speak: Speak, tmp_path: Path) -> None:
    (tmp_path / "mail.html.j2").write_text(
        "<b>{{ title }}</b><ul>{% for what, words in facts %}<li>{{ what }}: {{ words }}</li>{% endfor %}</ul>",
        encoding="utf-8",
    )
    mailbox = post()
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    speaking.send(to_mail(mailbox, template="mail.html.j2"), a_notice(tenant="<script>alert(1)</script>"))
    (mail,) = mailbox.mails
    html = said(mail, "html")
    assert html.startswith("<b>&lt;script&gt;alert(1)&lt;/script&gt; waits")
    assert "<script" not in html
    assert "Changes: 8 to add" in said(mail)


def test_an_own_template_in_words_is_the_mail(post: Post, speak: Speak, tmp_path: Path) -> None:
    (tmp_path / "mail.txt").write_text("{{ tenant }} & co", encoding="utf-8")
    mailbox = post()
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    speaking.send(to_mail(mailbox, template="mail.txt"), a_notice())
    assert said(mailbox.mails[0]).strip() == "acme.shop.prod & co"


def test_without_encryption_nothing_is_said(post: Post, speak: Speak) -> None:
    mailbox = post(offers_tls=False)
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    with pytest.raises(NotTaken) as failed:
        speaking.send(to_mail(mailbox), a_notice())
    assert not failed.value.temporary
    assert mailbox.mails == []


def test_a_server_that_is_not_trusted_hears_no_password(post: Post, speak: Speak) -> None:
    mailbox = post()
    speaking = speak(trusting=False)
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    with pytest.raises(RemoteFailed) as failed:
        speaking.send(to_mail(mailbox), a_notice())
    assert "CA bundle" in failed.value.hint
    assert not failed.value.temporary


def test_a_wrong_password_is_told_without_it(post: Post, speak: Speak) -> None:
    mailbox = post()
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD + "-wrong"
    with pytest.raises(NotTaken) as failed:
        speaking.send(to_mail(mailbox), a_notice())
    assert failed.value.detail == "127.0.0.1 does not let us in (535)."
    assert "canary" not in f"{failed.value!r}{failed.value.hint}{failed.value.__cause__}"


@pytest.mark.parametrize(("answer", "temporary"), [("451 later canary", True), ("550 never canary", False)])
def test_an_answer_says_whether_it_is_worth_trying_again(
    post: Post, speak: Speak, answer: str, temporary: bool
) -> None:
    mailbox = post()
    mailbox.answer = answer
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    with pytest.raises(NotTaken) as failed:
        speaking.send(to_mail(mailbox), a_notice())
    assert failed.value.temporary is temporary
    assert "canary" not in str(failed.value)


def test_a_recipient_who_is_refused_keeps_it_from_nobody_else(
    post: Post, speak: Speak, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox = post()
    mailbox.answers_to["ops@corp.example"] = "550 unknown"
    speaking = speak()
    speaking.secrets["SMTP_PASSWORD"] = PASSWORD
    speaking.send(to_mail(mailbox), a_notice())
    assert mailbox.recipients == ["on-call@corp.example"]
    assert "mail_recipients_refused" in caplog.text
    with pytest.raises(NotTaken):
        speaking.send(to_mail(mailbox, to=["ops@corp.example"]), a_notice())


def test_an_inner_mail_server_has_to_be_allowed(post: Post, speak: Speak) -> None:
    mailbox = post()
    with pytest.raises(Refused) as refused:
        speak(allowed=()).send(to_mail(mailbox, username=None, password=None), a_notice())
    assert refused.value.code == "channel-address-not-allowed"


def test_a_server_that_is_not_there_is_worth_trying_again(speak: Speak) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(RemoteFailed) as failed:
            speak().send(to_mail(Mailbox(port=port), username=None, password=None), a_notice())
    assert failed.value.temporary


def test_a_server_that_talks_endlessly_is_cut_off(speak: Speak) -> None:
    over = threading.Event()

    def trickle(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            while not over.wait(0.02):
                try:
                    connection.sendall(b"220-still greeting\r\n")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=trickle, args=(server,), daemon=True)
        thread.start()
        started = time.monotonic()
        try:
            mailbox = Mailbox(port=server.getsockname()[1])
            with pytest.raises(RemoteFailed) as failed:
                speak(seconds=0.4).send(to_mail(mailbox, username=None, password=None), a_notice())
        finally:
            over.set()
            thread.join()
    assert time.monotonic() - started < 5
    assert failed.value.temporary
