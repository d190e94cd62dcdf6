"""Mail one side of a book that the other has done something, or that something waits for it."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_company
from domain.agency import Agency
from domain.company import Company
from domain.consent_text import named
from domain.flows.tell.tell_members import tell_agency, tell_company
from domain.ports import Tools

ROLES = ("admin", "head", "recruiter")
"""Who hears of the ledger on the company's side."""


async def tell_side(
    session: AsyncSession,
    tools: Tools,
    party: str,
    *,
    company_id: str,
    agency_id: str,
    kind: str,
    about: str,
    path: str,
    now: datetime,
) -> None:
    """One mail to everyone of a side. `kind` chooses the words of the template `ledger_news`.

    `path` is the page below the side's own. The transaction works for the company before and after.
    """
    await session.flush()
    company = await session.get_one(Company, company_id)
    agency = await session.get_one(Agency, agency_id)
    home = "/dashboard" if party == "company" else "/agency"

    def words(locale: str) -> dict[str, str]:
        other = agency if party == "company" else company
        return {
            "kind": kind,
            "other": named(other, locale),
            "url": f"{tools.public_url}{home}{path}",
        }

    if party == "company":
        await tell_company(
            session, tools, company_id, "ledger_news", words, roles=ROLES, about=about, now=now
        )
    else:
        await tell_agency(session, tools, agency_id, "ledger_news", words, about=about, now=now)
        await as_company(session, company_id)


def other(party: str) -> str:
    """The side across the table."""
    return "agency" if party == "company" else "company"
