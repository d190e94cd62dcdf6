"""The notice: what the company tells an interviewee, and the mails that carry it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field

from domain.base import Row, instant, one_of
from domain.errors import StepNotAllowed

KINDS = ("rejected", "passed", "interim")
STATES = ("draft", "scheduled", "sent", "bounced", "cancelled")
MAIL_STATES = ("queued", "sending", "sent", "bounced", "cancelled")

LIVING = ("draft", "scheduled")

NEXT = {
    ("draft", "schedule"): "scheduled",
    ("scheduled", "schedule"): "scheduled",
    ("scheduled", "hold"): "draft",
    ("draft", "hold"): "draft",
    ("draft", "cancel"): "cancelled",
    ("scheduled", "cancel"): "cancelled",
    ("scheduled", "sent"): "sent",
    ("draft", "told_elsewhere"): "sent",
    ("scheduled", "told_elsewhere"): "sent",
    ("scheduled", "bounce"): "bounced",
    ("sent", "bounce"): "bounced",
}

REQUIRED = {
    "rejected": {
        "recipient_name": ("candidate_name",),
        "greeting_sender": ("company_name", "department", "sender_name"),
        "next_options": ("reapplication_text",),
        "documents": ("documents_text",),
        "signature": ("company_name", "department", "sender_name", "contact"),
        "harassment_contact": ("harassment_contact",),
        "privacy_contact": ("privacy_contact",),
    },
    "interim": {
        "recipient_name": ("candidate_name",),
        "greeting_sender": ("company_name", "department", "sender_name"),
        "result": ("interim_reason", "new_date"),
        "signature": ("company_name", "department", "sender_name", "contact"),
    },
}
"""Block of a notice → the values it is made of (domain rules 3). Without them nothing is sent.

Thanks, result and closing are words of the template itself.
"""


def advance(state: str, step: str) -> str:
    """The state after a step; `StepNotAllowed` where the table has no line."""
    try:
        return NEXT[state, step]
    except KeyError:
        raise StepNotAllowed(state, step) from None


def missing_blocks(kind: str, values: Mapping[str, Any]) -> list[str]:
    """The codes of the required blocks that have nothing to say."""
    return [
        block
        for block, names in REQUIRED[kind].items()
        if not all(str(values.get(name) or "").strip() for name in names)
    ]


class Notice(Row, table=True):
    """One message about one application. Unchanged once sent; a correction is a new notice.

    `taken_back_at` says since when the decision it told no longer stands.
    """

    __tablename__ = "notice"
    __table_args__ = (
        one_of("kind", KINDS),
        one_of("state", STATES),
        ForeignKeyConstraint(
            ["company_id", "application_id"], ["application.company_id", "application.id"]
        ),
        # One living result notice per application: a second is a correction with supersedes_id.
        Index(
            "uq_notice_living_result", "company_id", "application_id", "kind", unique=True,
            postgresql_where="kind <> 'interim' AND state IN ('draft', 'scheduled')",
        ),
        Index("ix_notice_application", "company_id", "application_id"),
        Index("ix_notice_candidate", "company_id", "candidate_id"),
        Index(
            "ix_notice_send_at", "send_at",
            postgresql_where="state = 'scheduled' AND mail_id IS NULL",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    application_id: str
    candidate_id: str
    kind: str
    state: str = "draft"
    feedback: bytes | None = None
    send_at: datetime | None = instant(default=None)
    sent_at: datetime | None = instant(default=None)
    mail_id: str | None = None
    taken_back_at: datetime | None = instant(default=None)
    supersedes_id: str | None = None
    created_at: datetime = instant()


class Mail(Row, table=True):
    """The outbox of mails. Written in the transaction that is the reason, sent by a worker.

    `tenant_id` is the company or the agency it is sent for. `sealed` holds address, subject and
    bodies under the instance key; it is emptied after sending unless the demo keeps a mailbox.
    `about` names what the mail is for (`notice:ntc_…`) and is unique, so a mail asked for twice is
    written once. `retry_at` is when the sweep looks again while the mail is queued or sending.
    """

    __tablename__ = "mail"
    __table_args__ = (
        one_of("state", MAIL_STATES),
        Index("uq_mail_about", "tenant_id", "about", unique=True),
        Index("ix_mail_candidate", "tenant_id", "candidate_id"),
        Index("ix_mail_retry_at", "retry_at", postgresql_where="retry_at IS NOT NULL"),
    )

    tenant_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    candidate_id: str | None = None
    about: str
    template: str
    sealed: bytes | None = None
    state: str = "queued"
    attempts: int = 0
    retry_at: datetime | None = instant(default=None)
    error: str | None = None
    created_at: datetime = instant()
    sent_at: datetime | None = instant(default=None)


class Suppression(Row, table=True):
    """An address that does not exist (SMTP 550, 551, 553): nothing more is sent there."""

    __tablename__ = "suppression"

    tenant_id: str = Field(primary_key=True)
    email_hmac: bytes = Field(primary_key=True)
    reply_code: int
    at: datetime = instant()
