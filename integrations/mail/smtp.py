"""Mail over SMTP. Serialised once; those bytes go out, so that a signature added later holds."""

import asyncio
import re
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Literal

import aiosmtplib

from domain.ports import Letter, Undeliverable

TIMEOUT_SECONDS = 60.0
"""For one answer of the server."""
CALL_SECONDS = 180.0
"""For handing one mail over, from connecting to the last answer."""
NO_SUCH_ADDRESS = frozenset({550, 551, 553})
"""Replies to RCPT that say that nobody is there (RFC 5321 4.2.3)."""
_UNFOLDED = frozenset({"list-unsubscribe", "message-id", "references", "in-reply-to"})


class MailPolicy(EmailPolicy):
    """Folds at 76, but leaves identifiers and URLs whole.

    The library's policy turns a long `List-Unsubscribe` into encoded words, and one-click
    unsubscription dies of it.
    """

    def fold(self, name: str, value: str) -> str:
        """One header as text."""
        if _whole(name, value):
            return f"{name}: {value}{self.linesep}"
        folded: str = super().fold(name, value)
        return folded

    def fold_binary(self, name: str, value: str) -> bytes:
        """One header as bytes."""
        return self.fold(name, value).encode("ascii", "surrogateescape")


MAIL = MailPolicy(max_line_length=76, linesep="\r\n", cte_type="7bit", utf8=False)


@dataclass(frozen=True)
class SmtpMailer:
    """A mail server. `sender` is the address of the instance; its domain carries SPF and DKIM."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = ""
    security: Literal["starttls", "tls", "none"] = "starttls"

    async def send(self, letter: Letter) -> None:
        """Hand one mail over; returns once the server has taken it."""
        try:
            async with asyncio.timeout(CALL_SECONDS), self._server() as server:
                await server.sendmail(
                    self.envelope_sender(letter), [letter.to], written(letter, self.sender)
                )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            code = refused.recipients[0].code
            raise Undeliverable(
                "recipient refused", code=code, permanent=code in NO_SUCH_ADDRESS
            ) from None
        except aiosmtplib.SMTPDataError as refused:
            raise Undeliverable("content refused", code=refused.code) from None
        except aiosmtplib.SMTPResponseException as refused:
            raise Undeliverable("server refused", code=refused.code) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as failed:
            raise Undeliverable(type(failed).__name__) from None

    def _server(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user or None,
            password=self.password or None,
            use_tls=self.security == "tls",
            start_tls=self.security == "starttls",
            timeout=TIMEOUT_SECONDS,
        )

    def envelope_sender(self, letter: Letter) -> str:
        """Where a later bounce goes: `bounce+<mail id>@`, so that it names its mail."""
        return f"bounce+{letter.id}@{_domain(self.sender)}"


def written(letter: Letter, sender: str) -> bytes:
    """The mail as bytes: text first, HTML as the alternative, UTF-8 in base64."""
    message = EmailMessage(policy=MAIL)
    message["From"] = Address(letter.from_name, addr_spec=sender)
    message["To"] = _address(letter.to)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.id}@{_domain(sender)}>"
    message["Auto-Submitted"] = "auto-generated"
    for name, value in letter.headers.items():
        message[name] = value
    message.set_content(letter.text, cte="base64")
    message.add_alternative(letter.html, subtype="html", cte="base64")
    return message.as_bytes()


def _address(text: str) -> Address | str:
    """The recipient. Old carrier addresses such as `a..b@docomo.ne.jp` are real and pass."""
    local, _, domain = text.rpartition("@")
    if re.search(r"[\r\n\0]", text):
        message = "an address is one line"
        raise ValueError(message)
    return Address(username=local, domain=domain)


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _whole(name: str, value: str) -> bool:
    return name.lower() in _UNFOLDED and value.isascii()
