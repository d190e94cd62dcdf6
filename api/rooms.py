"""The rooms of the ledger's pages: a company's under `/dashboard`, an agency's under `/agency`.

Both sides see the same pages of the same rows; row-level security decides which. What differs is
who may act, and the frame around it.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from api.page_forms import Form, Refilled, known
from api.pages import page
from api.session import SignedIn, signed_in
from domain.access import as_agency, as_company, pair_of, shared_row
from domain.agreement import Agreement
from domain.base import Row
from domain.caller import Member
from domain.flows.office.sign_in import facts_of
from domain.ids import pattern
from domain.ports import Sealer
from domain.views.credits import posted_here

R = TypeVar("R", bound=Row)
EITHER = pattern("(cmp|agy)")
Before = Annotated[str | None, Query(pattern=r"^[a-z]{3}_[0-9a-zA-Z]{1,40}$")]
Done = Annotated[str, Query(pattern=r"^[a-z_]{0,40}$")]
With = Annotated[str | None, Query(alias="with", pattern=EITHER)]
_FIRST_DAY, _LAST_DAY = date(1950, 1, 1), date(2200, 12, 31)
"""Months and years may be added to a day between them without leaving the calendar."""


class LedgerForm(Form):
    """A form of these pages."""

    areas = ("ledger",)

    async def run(self, db: AsyncSession, act: Callable[[], Awaitable[Any]]) -> bool:
        """Do it, or only show what it would post: by the same way, with all of it taken back."""
        if not self.values.pop("preview", ""):
            return await super().run(db, act)
        seen: dict[str, Any] = {}

        async def rehearsal() -> None:
            await act()
            seen.update(await posted_here(db))
            raise _TakenBack

        with suppress(_TakenBack):
            await super().run(db, rehearsal)
        if self.refilled is None:
            kept = {f"{self.name}.{name}": value for name, value in self.values.items()}
            self.refilled = Refilled(values=kept, made=seen)
        return False


class _TakenBack(Exception):  # noqa: N818 - no error: a rehearsal ends this way
    """Rolls a rehearsal back."""


@dataclass(frozen=True)
class Room:
    """One side's room: where it stands, and whom it lets in and lets act."""

    party: Literal["company", "agency"]
    home: str
    base: str
    reader: Any
    writer: Any
    head: Any
    """Who may agree to terms and corrections for their side."""

    @property
    def other(self) -> str:
        """The party across the table."""
        return "agency" if self.party == "company" else "company"

    def owner(self, person: SignedIn) -> str:
        """The id of the company or agency whose room it is."""
        return (person.company_id if self.party == "company" else person.agency_id) or ""

    async def enter(self, db: AsyncSession, person: SignedIn) -> str:
        """From here on the transaction works for the person's own side; its id."""
        owner = self.owner(person)
        await (as_company if self.party == "company" else as_agency)(db, owner)
        return owner

    async def row(self, db: AsyncSession, person: SignedIn, kind: type[R], row_id: str) -> R:
        """A shared row by id; from here on the transaction works for its company."""
        return await shared_row(db, kind, row_id, agency_id=person.agency_id)

    async def with_other(self, db: AsyncSession, person: SignedIn, other_id: str) -> Agreement:
        """The agreement with the other side; then the transaction works for its company."""
        company_id, agency_id = person.company_id or other_id, person.agency_id or other_id
        return await pair_of(db, company_id=company_id, agency_id=agency_id, asked_by=self.party)

    def may_act(self, person: SignedIn) -> bool:
        """Whether the person may do what concerns single credits and disputes."""
        return self.party == "agency" or person.has("recruiter", "head")

    def may_agree(self, person: SignedIn) -> bool:
        """Whether the person may agree to terms and corrections."""
        return self.party == "agency" or person.has("head")

    def page(
        self, request: Request, person: SignedIn, template: str, again: Refilled, **values: Any
    ) -> Response:
        """A page of this room, also with a form to correct."""
        return page(
            request, f"ledger/{template}.html", status=again.status, room=self, home=self.home,
            may_act=self.may_act(person), may_agree=self.may_agree(person), again=again,
            **{**values, "done": known("ledger", values.get("done", ""))},
        )  # fmt: skip

    def to(self, path: str, done: str, **more: str) -> Response:
        """On to a page of this room, which says what was done."""
        return RedirectResponse(f"{self.home}{path}?{urlencode({'done': done, **more})}", 303)


ROOMS = (
    Room(
        "company", "/dashboard", "dashboard/base.html",
        signed_in("company"), signed_in("company", "recruiter", "head"),
        signed_in("company", "head"),
    ),
    Room(
        "agency", "/agency", "agency_portal/base.html",
        signed_in("agency"), signed_in("agency"), signed_in("agency"),
    ),
)  # fmt: skip


async def people(db: AsyncSession, sealer: Sealer, actors: Iterable[str | None]) -> dict[str, str]:
    """The names of those of these actors who are people of the tenant we work for."""
    ids = sorted({actor for actor in actors if actor is not None and actor.startswith("mbr_")})
    found = await db.scalars(select(Member).where(col(Member.id).in_(ids)))
    return {member.id: facts_of(sealer, member)["name"] for member in found.all()}


def day(given: str) -> date | None:
    """A day as a date field sends it, if people plan with such a day."""
    try:
        found = date.fromisoformat(given)
    except ValueError:
        return None
    return found if _FIRST_DAY <= found <= _LAST_DAY else None


def whole(given: str, *, most: int = 1_000_000_000) -> int | None:
    """A whole number as a person types it (commas and full-width digits too), or nothing."""
    digits = given.replace(",", "").replace("，", "").strip()
    if not digits.isdecimal() or len(digits) > len(str(most)):
        return None
    number = int(digits)
    return number if number <= most else None
