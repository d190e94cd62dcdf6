"""A register leaves the house: for the privacy officer alone, and that it left is kept."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import Invalid
from domain.ids import new_id
from domain.ports import Sealer
from domain.privacy import RegisterExport
from domain.views.provision_register import (
    REGISTER,
    Line,
    Wish,
    count_lines,
    provision_register,
    with_names,
)

LONGEST = timedelta(days=4 * 366)
"""Records are kept for three years; nobody needs more at once."""
MOST_LINES = {"csv": 50_000, "xlsx": 50_000, "pdf": 2_000}


async def export_register(
    session: AsyncSession,
    sealer: Sealer,
    company_id: str,
    wish: Wish,
    *,
    form: str,
    actor: str,
    now: datetime,
) -> Sequence[Line]:
    """The lines of the provision register with the names, and a row that says who took them.

    Raises `Invalid`: `period_invalid`, `period_too_long`, `too_many_lines`.
    """
    check_period(wish.first, wish.last)
    lines = await count_lines(session, company_id, wish)
    if lines > MOST_LINES[form]:
        raise Invalid(f"{lines} lines; at most {MOST_LINES[form]}", code="too_many_lines")
    records = await provision_register(session, company_id, wish, limit=MOST_LINES[form])
    session.add(
        RegisterExport(
            company_id=company_id, id=new_id("rex"), register_name=REGISTER, form=form,
            first_on=wish.first, last_on=wish.last, lines=len(records), actor=actor, at=now,
        )
    )  # fmt: skip
    await session.flush()
    return await with_names(session, sealer, company_id, records)


def check_period(first: date, last: date) -> None:
    """Raises `Invalid` (`period_invalid`, `period_too_long`) for days that are no period."""
    if last < first:
        raise Invalid("the last day lies before the first", code="period_invalid")
    if last - first > LONGEST:
        raise Invalid("ask for four years at most", code="period_too_long")
