"""What a company and an agency are shown of their book: shapes, and rows as CSV."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic import Field

from api.shapes import Shape, Utc
from domain.views import credits as view

Kind = Literal[
    "granted", "became_available", "reserved", "released", "used", "restored", "expired", "frozen",
    "unfrozen", "reversed", "clawback_owed", "clawback_settled", "adjusted", "point_counted",
    "point_removed", "term_changed",
]  # fmt: skip
Format = Annotated[
    Literal["json", "csv"] | None, Query(description="`csv` for a table; else by `Accept`")
]
AS_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}}
}


class Counts(Shape):
    """How many credits stand where. `owed` is negative: taken back after they had been used."""

    pending: int = Field(ge=0, description="Granted; the guarantee period is running")
    available: int = Field(ge=0, description="May be reserved")
    reserved: int = Field(ge=0, description="Held for an opening")
    used: int = Field(ge=0, description="A hire was made with it")
    expired: int = Field(ge=0, description="Lapsed")
    reversed: int = Field(ge=0, description="Taken back, e.g. after an early leave")
    frozen: int = Field(ge=0, description="Under dispute; its clock stands still")
    owed: int = Field(le=0, description="Owed back by the company")


class AgreementCounts(Counts):
    """The same for one agreement, and what is ahead."""

    agreement_id: str
    company_id: str
    agency_id: str
    book_id: str | None = Field(description="Null until something was granted")
    seq: int = Field(description="The newest transaction counted")
    head_hash: str | None = Field(description="Its hash; null in a look back")
    halted: bool = Field(description="A check failed: reads go on, postings wait for the operator")
    closed_through: date | None = Field(description="The last day of the last closed month")
    points: int = Field(ge=0, description="Relays counted towards the next credit, if so agreed")
    expected: int = Field(ge=0, description="What reported starts ahead will earn; not yet posted")
    expiring_30d: int = Field(ge=0)
    expiring_60d: int = Field(ge=0)
    expiring_90d: int = Field(ge=0)


class CreditsOut(Shape):
    """Free referral credits (無償紹介枠), in all and by agreement."""

    total: Counts
    agreements: list[AgreementCounts]
    as_of: date | None = Field(description="Facts true by the end of this day; null: all")
    known_at: Utc | None = Field(description="Facts recorded by this moment; null: all")


class EntryOut(Shape):
    """One move. Nothing here is ever changed; corrections are new entries."""

    id: str
    kind: Kind
    seq: int = Field(description="The transaction's number in its book")
    unit: Literal["credit", "point"]
    quantity: int
    credit_id: str | None = Field(description="Null for points")
    company_id: str
    agency_id: str
    agreement_id: str | None
    agreement_version: int | None = Field(description="The version this posting follows")
    relay_id: str | None
    placement_id: str | None
    from_bucket: str
    to_bucket: str
    effective_on: date = Field(description="The day, in Japan, on which it is true")
    at: Utc = Field(description="When it was recorded")
    reason: str | None
    actor: str
    request: dict[str, Any] = Field(description="What was asked for, in ids, codes and days")


_LISTED = [name for name in EntryOut.model_fields if name != "request"]


def counts(balance: view.Balance) -> Counts:
    """A balance as it is shown."""
    return Counts(**asdict(balance))


def credits_out(found: view.Balances, as_of: view.AsOf) -> CreditsOut:
    """Balances as they are shown."""
    return CreditsOut(
        total=counts(found.total),
        agreements=[_agreement(one) for one in found.agreements],
        as_of=as_of.day,
        known_at=as_of.known_at,
    )


def _agreement(one: view.AgreementBalance) -> AgreementCounts:
    facts = asdict(one)
    balance, (in_30, in_60, in_90) = facts.pop("balance"), facts.pop("expiring")
    return AgreementCounts(
        **facts, **balance, expiring_30d=in_30, expiring_60d=in_60, expiring_90d=in_90
    )


def entry_out(entry: view.Entry) -> EntryOut:
    """An entry as it is shown."""
    return EntryOut(**asdict(entry))


def wants_csv(request: Request, wanted: str | None) -> bool:
    """Whether a table was asked for, by name or by `Accept`."""
    return wanted == "csv" or (
        wanted is None and "text/csv" in request.headers.get("accept", "").lower()
    )


def as_csv(name: str, entries: Iterable[view.Entry], following: str | None) -> Response:
    """One line per entry. Ids, dates and codes only: nothing a spreadsheet could run."""
    made = io.StringIO()
    writer = csv.DictWriter(made, _LISTED, lineterminator="\r\n", extrasaction="ignore")
    writer.writeheader()
    for entry in entries:
        writer.writerow(entry_out(entry).model_dump(mode="json"))
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    if following is not None:
        headers["x-next-cursor"] = following
    return Response(made.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
