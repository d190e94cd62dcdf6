"""Free referral credits (無償紹介枠) and the ledger that explains every one of them.

A credit is a unit, never money: one later hire through one agency without the placement fee. Every
change is a transaction of moves between buckets; a move takes from one and gives to another, so
everything always sums to zero. Rows of the ledger are written by one database function only
(`ledger_post`, migration 0002) and never changed. They hold random ids and no personal data.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import IntEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    text,
)
from sqlmodel import Field

from domain.base import Row, Xid8, document, instant, one_of

CREDIT, POINT = 1, 2
"""Units: a credit, and a point for agreements that grant per number of relays."""
FIRST_HASH = bytes(32)
"""What the first transaction of a book is chained to."""
RESERVATION_STATES = ("reserved", "released", "used", "restored")


class Bucket(IntEnum):
    """Where units stand. `issued` and `owed` are never positive, the others never negative."""

    ISSUED = 0
    """The agency's side: what it has ever granted, as a negative number."""
    PENDING = 1
    AVAILABLE = 2
    RESERVED = 3
    FROZEN = 4
    USED = 5
    EXPIRED = 6
    REVERSED = 7
    OWED = 8
    """Taken back after use: the company owes a credit, as a negative number."""


class Kind(IntEnum):
    """What happened. The number is part of every hash: never renumber."""

    GRANTED = 1
    BECAME_AVAILABLE = 2
    RESERVED = 3
    RELEASED = 4
    USED = 5
    RESTORED = 6
    EXPIRED = 7
    FROZEN = 8
    UNFROZEN = 9
    REVERSED = 10
    CLAWBACK_OWED = 11
    CLAWBACK_SETTLED = 12
    ADJUSTED = 13
    POINT_COUNTED = 14
    POINT_REMOVED = 15
    TERM_CHANGED = 16


# The book and what stands in it


class Book(Row, table=True):
    """One company at one agency. A credit is worth something only there, so nothing is shared."""

    __tablename__ = "book"
    __table_args__ = (
        CheckConstraint("octet_length(head_hash) = 32", name="head_hash_length"),
        Index("uq_book_company_id_agency_id", "company_id", "agency_id", unique=True),
        Index("ix_book_agency_id", "agency_id"),
        Index("ix_book_close_at", "close_at"),
    )

    company_id: str = Field(primary_key=True, foreign_key="company.id")
    id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id")
    last_seq: int = Field(sa_type=BigInteger)
    head_hash: bytes = Field(sa_type=LargeBinary)
    recorded_at: datetime = instant()
    """When the newest transaction was recorded; the next one is never earlier."""
    halted: bool
    closed_through: date | None = None
    """The last day of the last closed month: nothing is dated into it any more."""
    close_at: datetime = instant()
    """When the next month is closed: the fifth of the month after it, in Japan."""


class Credit(Row, table=True):
    """One credit, its terms as they were when it was granted, and the bucket it stands in."""

    __tablename__ = "credit"
    __table_args__ = (
        CheckConstraint("bucket BETWEEN 1 AND 7", name="bucket_known"),
        CheckConstraint("reference_value_jpy >= 0", name="reference_value_sign"),
        ForeignKeyConstraint(["company_id", "book_id"], ["book.company_id", "book.id"]),
        Index("uq_credit_book", "company_id", "id", "book_id", unique=True),
        Index(
            "ix_credit_pick", "company_id", "book_id", "expires_on", "available_on", "id",
            postgresql_where="bucket = 2",
        ),
        Index("ix_credit_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
        Index("ix_credit_frozen", "company_id", "id", postgresql_where="bucket = 4"),
        Index("ix_credit_placement", "company_id", "placement_id"),
        Index("ix_credit_relay", "company_id", "relay_id"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    book_id: str
    grant_key: str
    agreement_id: str
    agreement_version: int
    placement_id: str | None = None
    relay_id: str | None = None
    terms: dict[str, Any] = document()
    bucket: int = Field(sa_type=SmallInteger)
    frozen_from: int | None = Field(default=None, sa_type=SmallInteger)
    started_on: date
    guarantee_end_on: date
    available_on: date | None = None
    expires_on: date | None = None
    value_cap_jpy: int | None = Field(default=None, sa_type=BigInteger)
    reference_value_jpy: int = Field(default=0, sa_type=BigInteger)
    """参考値: rides along for reports and must balance too; no rule depends on it."""
    look_at: datetime | None = instant(default=None)
    """When the next date takes effect: the first moment, in Japan, of the day after it."""


class LedgerRule(Row, table=True):
    """A move this kind of transaction may make. Balanced but unlisted is refused."""

    __tablename__ = "ledger_rule"

    kind: int = Field(primary_key=True, sa_type=SmallInteger)
    unit: int = Field(primary_key=True, sa_type=SmallInteger)
    from_bucket: int = Field(primary_key=True, sa_type=SmallInteger)
    to_bucket: int = Field(primary_key=True, sa_type=SmallInteger)
    touches_state: bool
    """Whether the credit itself moves, or only the book's account of it."""
    only_reason: str | None = None
    """The reason without which this move is refused."""


class LedgerTx(Row, table=True):
    """One business event, once (`business_key`), chained to the one before it in its book."""

    __tablename__ = "ledger_tx"
    __table_args__ = (
        CheckConstraint("octet_length(hash) = 32", name="hash_length"),
        CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_length"),
        ForeignKeyConstraint(["company_id", "book_id"], ["book.company_id", "book.id"]),
        Index("uq_ledger_tx_seq", "company_id", "book_id", "seq", unique=True),
        Index("uq_ledger_tx_key", "company_id", "book_id", "business_key", unique=True),
    )

    company_id: str = Field(primary_key=True)
    id: int = Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))
    agency_id: str
    book_id: str
    seq: int = Field(sa_type=BigInteger)
    kind: int = Field(sa_type=SmallInteger)
    effective_on: date
    """The day, in Japan, on which the fact is true."""
    recorded_at: datetime = instant()
    business_key: str
    fingerprint: bytes = Field(sa_type=LargeBinary)
    """SHA-256 of the request: the same key with another request is refused."""
    actor: str
    reason_code: str | None = None
    request: dict[str, Any] = document()
    """What was asked for, in ids, codes and days: the version followed, a late fact's own day."""
    hash: bytes = Field(sa_type=LargeBinary)
    xid: int = Field(
        sa_column=Column(Xid8, nullable=False, server_default=text("pg_current_xact_id()"))
    )


class LedgerEntry(Row, table=True):
    """One side of a move: odd `ord` gives, the even one after it takes.

    Indexes are few, because every posting pays for them: a credit's moves are found by their taking
    sides, debts by their own.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        CheckConstraint("qty <> 0", name="qty_not_zero"),
        CheckConstraint("(unit = 1) = (credit_id IS NOT NULL)", name="credit_named"),
        CheckConstraint("unit <> 1 OR abs(qty) = 1", name="credit_whole"),
        CheckConstraint("bucket BETWEEN 0 AND 8", name="bucket_known"),
        ForeignKeyConstraint(["company_id", "tx_id"], ["ledger_tx.company_id", "ledger_tx.id"]),
        ForeignKeyConstraint(
            ["company_id", "credit_id", "book_id"],
            ["credit.company_id", "credit.id", "credit.book_id"],
        ),
        Index(
            "ix_ledger_entry_owed", "company_id", "book_id", "credit_id", "tx_id",
            postgresql_where="bucket = 8",
        ),
        Index(
            "ix_ledger_entry_credit", "company_id", "credit_id", "tx_id",
            postgresql_where="ord % 2 = 0",
        ),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    tx_id: int = Field(sa_type=BigInteger, primary_key=True)
    ord: int = Field(sa_type=SmallInteger, primary_key=True)
    agency_id: str
    book_id: str
    unit: int = Field(sa_type=SmallInteger)
    bucket: int = Field(sa_type=SmallInteger)
    credit_id: str | None = None
    qty: int
    reference_value_jpy: int = Field(sa_type=BigInteger)
    balance_after: int


class LedgerBalance(Row, table=True):
    """What stands in a bucket now. All rows of a book exist from its opening."""

    __tablename__ = "ledger_balance"
    __table_args__ = (
        CheckConstraint(
            "CASE WHEN bucket IN (0, 8) THEN qty <= 0 ELSE qty >= 0 END", name="qty_sign"
        ),
        ForeignKeyConstraint(["company_id", "book_id"], ["book.company_id", "book.id"]),
    )

    company_id: str = Field(primary_key=True)
    book_id: str = Field(primary_key=True)
    unit: int = Field(primary_key=True, sa_type=SmallInteger)
    bucket: int = Field(primary_key=True, sa_type=SmallInteger)
    agency_id: str
    qty: int
    reference_value_jpy: int = Field(sa_type=BigInteger)
    version: int = Field(sa_type=BigInteger)


class CreditDateChange(Row, table=True):
    """A date of a credit was set or moved by a transaction (append-only)."""

    __tablename__ = "credit_date_change"
    __table_args__ = (
        one_of("field", ("guarantee_end_on", "available_on", "expires_on")),
        ForeignKeyConstraint(["company_id", "tx_id"], ["ledger_tx.company_id", "ledger_tx.id"]),
        ForeignKeyConstraint(
            ["company_id", "credit_id", "book_id"],
            ["credit.company_id", "credit.id", "credit.book_id"],
        ),
        Index("ix_credit_date_change_credit", "company_id", "credit_id"),
    )

    company_id: str = Field(primary_key=True)
    tx_id: int = Field(sa_type=BigInteger, primary_key=True)
    ord: int = Field(sa_type=SmallInteger, primary_key=True)
    agency_id: str
    book_id: str
    credit_id: str
    field: str
    old_date: date | None = None
    new_date: date


class Reservation(Row, table=True):
    """A credit held for an opening. The opening is HR's own words and stays out of the ledger."""

    __tablename__ = "reservation"
    __table_args__ = (
        one_of("state", RESERVATION_STATES),
        CheckConstraint(
            "(state IN ('used', 'restored')) = (hired_on IS NOT NULL)", name="used_by_a_hire"
        ),
        CheckConstraint("(state = 'restored') = (left_on IS NOT NULL)", name="restored_by_a_leave"),
        ForeignKeyConstraint(
            ["company_id", "credit_id", "book_id"],
            ["credit.company_id", "credit.id", "credit.book_id"],
        ),
        Index(
            "uq_reservation_open", "company_id", "credit_id",
            unique=True, postgresql_where="state = 'reserved'",
        ),
        Index("ix_reservation_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
        Index("ix_reservation_agency", "agency_id", "id"),
        Index("ix_reservation_credit", "company_id", "credit_id"),
    )  # fmt: skip

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    book_id: str
    credit_id: str
    opening: str
    job_type: str | None = None
    employment_term: str | None = None
    annual_salary_jpy: int | None = Field(default=None, sa_type=BigInteger)
    """What the opening pays in a full year: the agreement's scope may ask for it."""
    list_fee_jpy: int | None = Field(default=None, sa_type=BigInteger)
    """参考値: the fee, without tax, that the hire would have cost. No rule depends on it."""
    state: str = "reserved"
    reserved_on: date
    holds_until: date
    """The last day the credit is held; then it is released by itself."""
    asked_back_for: str | None = None
    """The placement that ended early and takes this credit back, once it is free."""
    release_by: date | None = None
    """The last day to let an asked-back credit go; then it goes by itself."""
    hired_on: date | None = None
    left_on: date | None = None
    """The last day of a hire that ended inside the guarantee: the credit came back."""
    actor: str
    look_at: datetime | None = instant(default=None)
    created_at: datetime = instant()
    ended_at: datetime | None = instant(default=None)


class ExpiryNotice(Row, table=True):
    """HR is told before credits of a book expire: once per last day and per distance to it."""

    __tablename__ = "expiry_notice"
    __table_args__ = (
        ForeignKeyConstraint(["company_id", "book_id"], ["book.company_id", "book.id"]),
        Index(
            "uq_expiry_notice", "company_id", "book_id", "expires_on", "days_before", unique=True
        ),
        Index("ix_expiry_notice_look_at", "look_at", postgresql_where="look_at IS NOT NULL"),
    )

    company_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    agency_id: str
    book_id: str
    expires_on: date
    days_before: int
    look_at: datetime | None = instant(default=None)


# The rules


@dataclass(frozen=True)
class Rule:
    """A line of `ledger_rule`."""

    kind: Kind
    source: Bucket
    target: Bucket
    unit: int = CREDIT
    touches_state: bool = True
    only_reason: str | None = None


_B, _K = Bucket, Kind
RULES = (
    Rule(_K.GRANTED, _B.ISSUED, _B.PENDING),
    Rule(_K.BECAME_AVAILABLE, _B.PENDING, _B.AVAILABLE),
    Rule(_K.RESERVED, _B.AVAILABLE, _B.RESERVED),
    Rule(_K.RELEASED, _B.RESERVED, _B.AVAILABLE),
    Rule(_K.USED, _B.RESERVED, _B.USED),
    Rule(_K.RESTORED, _B.USED, _B.AVAILABLE),
    Rule(_K.EXPIRED, _B.AVAILABLE, _B.EXPIRED),
    Rule(_K.EXPIRED, _B.PENDING, _B.EXPIRED, only_reason="cap"),
    Rule(_K.FROZEN, _B.PENDING, _B.FROZEN),
    Rule(_K.FROZEN, _B.AVAILABLE, _B.FROZEN),
    Rule(_K.FROZEN, _B.RESERVED, _B.FROZEN),
    Rule(_K.UNFROZEN, _B.FROZEN, _B.PENDING),
    Rule(_K.UNFROZEN, _B.FROZEN, _B.AVAILABLE),
    Rule(_K.UNFROZEN, _B.FROZEN, _B.RESERVED),
    Rule(_K.REVERSED, _B.PENDING, _B.REVERSED),
    Rule(_K.REVERSED, _B.AVAILABLE, _B.REVERSED),
    Rule(_K.REVERSED, _B.FROZEN, _B.REVERSED),
    Rule(_K.CLAWBACK_OWED, _B.OWED, _B.REVERSED, touches_state=False),
    Rule(_K.CLAWBACK_SETTLED, _B.REVERSED, _B.OWED, touches_state=False),
    Rule(_K.CLAWBACK_SETTLED, _B.AVAILABLE, _B.REVERSED),
    Rule(_K.ADJUSTED, _B.ISSUED, _B.AVAILABLE),
    Rule(_K.ADJUSTED, _B.PENDING, _B.REVERSED),
    Rule(_K.ADJUSTED, _B.AVAILABLE, _B.REVERSED),
    Rule(_K.POINT_COUNTED, _B.ISSUED, _B.AVAILABLE, POINT, touches_state=False),
    Rule(_K.POINT_REMOVED, _B.AVAILABLE, _B.REVERSED, POINT, touches_state=False),
    Rule(_K.GRANTED, _B.AVAILABLE, _B.USED, POINT, touches_state=False),
)
"""What the migrations wrote into `ledger_rule`. An `adjusted` move also needs its request: the
posting function looks whether two people asked for it and whom it burdens agreed."""
