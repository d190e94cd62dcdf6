"""What a monthly statement looks like at the doors, and its lines as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field

from api.ledger_shapes import EntryOut
from api.shapes import Shape, Utc
from domain.flows.earn.answer_statement import shown
from domain.statement import Statement

Said = Literal["accepted", "contested"]
Shown = Literal["accepted", "contested", "silent"]
_COLUMNS = [name for name in EntryOut.model_fields if name != "request"]


class Standing(Shape):
    """How many credits stood where. `owed` is negative: taken back after they had been used.

    A fact told late, but before its month was closed, may count on a day before the credit had come
    to where it was taken from: then a figure of that day may be below zero. All of them sum up.
    """

    pending: int
    available: int
    reserved: int
    frozen: int
    used: int
    expired: int
    reversed: int
    owed: int


class Named(Shape):
    """A party by name, as it was when the month was closed."""

    name: str
    name_en: str


class NamedAgency(Named):
    """The agency, with the licence it works under."""

    license_number: str


class Cited(Shape):
    """The agreement and the versions its entries follow."""

    number: str
    versions_cited: list[int]


class Points(Shape):
    """Relays counted towards a credit, where it was so agreed."""

    opening: int
    closing: int
    counted: int
    removed: int
    converted: int


class DateChange(Shape):
    """A date of a credit that was set or changed in the month."""

    seq: int
    kind: str
    credit_id: str
    field: Literal["guarantee_end_on", "available_on", "expires_on"]
    old: date | None
    new: date
    effective_on: date
    at: Utc
    reason: str | None


class CreditLine(Shape):
    """A credit that is open at the end of the month, is owed, or moved in the month."""

    id: str
    state: Literal["pending", "available", "reserved", "frozen", "used", "expired", "reversed"]
    agreement_version: int
    relay_id: str | None
    placement_id: str | None
    guarantee_end_on: date
    available_on: date | None
    expires_on: date | None
    reference_value_jpy: int = Field(description="参考値: no rule depends on it")


class Expiring(Shape):
    """Available credits with the same last day."""

    expires_on: date
    credits: int


class AdjustmentLine(Shape):
    """A correction by hand: two people asked for it, and whom it burdens agreed."""

    id: str
    kind: str | None
    reason: str | None
    requested_by: str | None
    approved_by: str
    agreed_by: str | None
    effective_on: date
    seq: int
    credit_ids: list[str]


class DisputeLine(Shape):
    """A dispute that was open on a day of the month."""

    id: str
    subject: str
    reason: str
    opened_by: Literal["company", "agency"]
    opened_on: date
    ended_on: date | None = Field(description="Null while it went on at the end of the month")
    outcome: Literal["for_company", "for_agency"] | None
    credit_ids: list[str]


class ReferenceValue(Shape):
    """参考値: for comparison only. Credits are units, never money; no rule depends on this."""

    label: Literal["参考値"]
    closing_jpy: Standing
    avoided_fees_jpy: int = Field(description="Fees, without tax, the used credits stood in for")
    avoided_fees_known: int = Field(description="For how many of these hires the pay was given")


class Head(Shape):
    """The book's newest transaction and its hash, which is chained to all before it."""

    seq: int
    hash: str | None


class Closed(Shape):
    """The signed document of a closed month, and what both sides said to it."""

    id: str
    month: str
    company_id: str
    agency_id: str
    book_id: str
    seq: int
    head_hash: str
    closed_at: Utc
    sha256: str = Field(description="Of the document's bytes, in hex")
    signature: str = Field(
        description="Detached JWS (RFC 7515 appendix F, Ed25519) over the document's bytes; keys at"
        " `/.well-known/ledger-keys.json`"
    )
    document: str = Field(description="Where the exact bytes are handed out")
    answer_due_on: date
    company_answer: Shown | None
    agency_answer: Shown | None


class StatementBook(Shape):
    """A month of one agreement: what stood there, what moved and why, what stands there now."""

    form: Literal["credit-statement-v1"]
    month: str
    first_day: date
    last_day: date
    final: bool = Field(description="The month is closed; this will not change")
    closed_at: Utc | None
    company_id: str
    agency_id: str
    agreement_id: str
    book_id: str | None
    company: Named
    agency: NamedAgency
    agreement: Cited
    opening: Standing
    closing: Standing
    movements: dict[str, int] = Field(description="Credits moved, by kind")
    points: Points
    entries: list[EntryOut]
    date_changes: list[DateChange]
    credits: list[CreditLine]
    expiring: list[Expiring] = Field(description="Available ones, within 90 days of the last day")
    owed: list[str] = Field(description="Credits the company owes")
    adjustments: list[AdjustmentLine]
    disputes: list[DisputeLine]
    reference_value: ReferenceValue
    head: Head
    checkpoint: int | None = Field(description="The newest signed checkpoint of the ledger")
    signed: Closed | None = Field(description="Null until the month is closed")


class StatementOut(Shape):
    """A month of the agreements asked for, by the day, in Japan, on which things are true."""

    month: str
    final: bool = Field(description="Closed in every book; none of this will change")
    agreements: list[StatementBook]


def closed(row: Statement, prefix: str, today: date) -> Closed:
    """A closed month as it is shown to the side whose doors stand under this prefix."""
    month = f"{row.month:%Y-%m}"
    other = f"agency_id={row.agency_id}" if "company" in prefix else f"company_id={row.company_id}"
    return Closed(
        id=row.id, month=month, company_id=row.company_id, agency_id=row.agency_id,
        book_id=row.book_id, seq=row.seq, head_hash=row.head_hash.hex(), closed_at=row.closed_at,
        sha256=row.sha256, signature=row.signature,
        document=f"{prefix}/{month}/document?{other}",
        answer_due_on=row.answer_due_on,
        company_answer=shown(row.company_answer, row.answer_due_on, today),
        agency_answer=shown(row.agency_answer, row.answer_due_on, today),
    )  # fmt: skip


def lines(document: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A statement row by row: opening, entries, closing. What is nought is left out."""
    named = {name: document[name] for name in ("company_id", "agency_id", "agreement_id")}
    yield from _balances(document, "opening", named, document["first_day"])
    yield from document["entries"]
    yield from _balances(document, "closing", named, document["last_day"])


def _balances(
    document: Mapping[str, Any], kind: str, named: Mapping[str, str], day: str
) -> Iterable[dict[str, Any]]:
    for bucket, count in document[kind].items():
        if count:
            yield {**named, "kind": kind, "unit": "credit", "quantity": count,
                   "to_bucket": bucket, "effective_on": day}  # fmt: skip


def as_table(documents: Iterable[Mapping[str, Any]]) -> str:
    """The lines of statements as CSV. Ids, dates and codes: nothing a spreadsheet could run."""
    made = io.StringIO()
    writer = csv.DictWriter(made, _COLUMNS, lineterminator="\r\n", extrasaction="ignore")
    writer.writeheader()
    for document in documents:
        writer.writerows(lines(document))
    return made.getvalue()
