"""Mail by SMTP (RFC 5321), encrypted before anything is said. What a notice holds can become no header and no HTML.

The server's address is guarded as all are: it is resolved once, and what is connected to is the address that was checked. No proxy of
HTTP is used for it.
"""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from runner.channels.bodies import cut
from runner.domain.channel import MailChannel
from runner.domain.notice import Notice
from runner.errors import RemoteFailed
from runner.network import addresses
from runner.network.posting import Way, untrusted
from runner.ports import NotTaken

log = logging.getLogger("lzr")

_SUBJECT = 150
_PORTS = {"starttls": 587, "tls": 465}
_REFUSED_FOR_GOOD = 500


def message(
    channel: MailChannel, message_id: str, notice: Notice, words: str | None, *, html: bool, now: datetime
) -> EmailMessage:
    """The mail. However often it is sent, its Message-ID is the same. `words` are an own template's."""
    domain = channel.sender.partition("@")[2]
    made = EmailMessage(policy=SMTP)
    made["From"] = channel.sender
    made["To"] = ", ".join(channel.to)
    made["Subject"] = cut(_unencoded(notice.title), _SUBJECT)
    made["Date"] = format_datetime(now)
    made["Message-ID"] = f"<{message_id}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    made["X-Auto-Response-Suppress"] = "All"
    if words is None or html:
        made.set_content(notice.text + "\n")
    if words is not None and html:
        made.add_alternative(words, subtype="html")
    elif words is not None:
        made.set_content(words)
    return made


def _unencoded(text: str) -> str:
    """Text that holds no encoded word (RFC 2047): `email` decodes one where a header is set, and older ones write out what is in it, line
    ends and all (https://github.com/python/cpython/issues/121650)."""
    return text.replace("=?", "= ?")


def send(channel: MailChannel, made: EmailMessage, password: str, *, way: Way, seconds: float) -> None:
    """Hand it to the mail server. Refused where its address is not allowed, RemoteFailed where it does not take it."""
    port = channel.port or _PORTS[channel.security]
    with _explained(channel.host), _connected(channel, port, way, seconds) as smtp:
        if channel.security == "starttls":
            smtp.starttls(context=way.tls)
        if channel.username is not None:
            smtp.login(channel.username, password)
        refused = smtp.send_message(made)
    if refused:  # others have it, so it is not sent again
        log.warning("mail_recipients_refused", extra={"channel": channel.name, "refused": len(refused)})


@contextmanager
def _connected(channel: MailChannel, port: int, way: Way, seconds: float) -> Iterator[smtplib.SMTP]:
    """A connection that is cut when its time is over, however slowly the other side talks."""
    found = addresses.resolved(channel.host, port, allowed=way.allowed, what=way.what)
    own_name = channel.sender.partition("@")[2]
    options: dict[str, Any] = {"local_hostname": own_name, "timeout": seconds}
    with _Checked(found, way.tls if channel.security == "tls" else None, **options) as smtp:
        cut_off = threading.Timer(seconds, lambda: _cut(smtp))
        cut_off.daemon = True
        cut_off.start()
        try:
            smtp.connect(channel.host, port)
            yield smtp
        finally:
            cut_off.cancel()


class _Checked(smtplib.SMTP):
    """Connects to addresses that were checked, and keeps the host's name for its certificate."""

    def __init__(self, found: tuple[str, ...], tls: ssl.SSLContext | None, **options: Any) -> None:
        self._found = found
        self._tls = tls
        self._named = ""
        super().__init__(**options)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        """Connect; the host is only a name here."""
        self._host = host  # what starttls expects in the certificate
        return super().connect(host, port, source_address)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        failure: OSError = ConnectionError("no address")
        for address in self._found:
            try:
                plain = socket.create_connection((address, port), timeout)
            except OSError as error:
                failure = error
            else:
                return plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=host)
        raise failure


def _cut(smtp: smtplib.SMTP) -> None:
    with suppress(OSError, AttributeError):
        if smtp.sock is not None:
            smtp.sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def _explained(host: str) -> Iterator[None]:
    """What servers say is not repeated: it may quote what they were told."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        raise _refused(host, f"takes none of the recipients ({', '.join(map(str, codes))})", codes[0]) from None
    except smtplib.SMTPResponseException as error:
        what = "does not let us in" if isinstance(error, smtplib.SMTPAuthenticationError) else "does not take the mail"
        raise _refused(host, f"{what} ({error.smtp_code})", error.smtp_code) from None
    except smtplib.SMTPNotSupportedError:
        raise _refused(host, "offers no STARTTLS, or no way to sign in", _REFUSED_FOR_GOOD) from None
    except (smtplib.SMTPException, OSError) as error:
        distrusted = untrusted(error)
        raise RemoteFailed(
            "The mail server cannot be reached",
            code="channel-unreachable",
            detail=f"{host}: {type(error).__name__}.",
            hint="Its certificate is not trusted: add its authority to the private CA bundle."
            if distrusted
            else "Check its name and port, and the network.",
            temporary=not distrusted,
        ) from None


def _refused(host: str, what: str, code: int) -> NotTaken:
    return NotTaken(f"{host} {what}.", status=code, temporary=code < _REFUSED_FOR_GOOD)
