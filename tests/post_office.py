"""A real SMTP server on loopback that keeps what it takes and refuses what it is told to."""

import email
import email.policy
import socket
from dataclasses import dataclass
from email.message import Message
from typing import Any, Self

from aiosmtpd.controller import Controller


@dataclass(frozen=True)
class Taken:
    """A mail the server took responsibility for."""

    sender: str
    recipients: list[str]
    message: Message


class PostOffice:
    """`recipient_answers` and `data_answers` are given in turn; after that everything is taken."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.recipient_answers: list[str] = []
        self.data_answers: list[str] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.recipient_answers:
            return self.recipient_answers.pop(0)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.data_answers:
            return self.data_answers.pop(0)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.taken.append(Taken(envelope.mail_from, list(envelope.rcpt_tos), message))
        return "250 taken"
