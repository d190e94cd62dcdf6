"""Doors a company and an agency share: the same paths, shapes and refusals on either side.

Row-level security decides what each sees. A row that is reached is worked on as its company.
"""

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, agency, company
from domain.access import pair_of, shared_row
from domain.agreement import Agreement
from domain.base import Row
from domain.ids import pattern

R = TypeVar("R", bound=Row)
EITHER = pattern("(cmp|agy)")
"""The other side's id, whichever side asks."""


@dataclass(frozen=True)
class Side:
    """One side of the table: its paths and the callers it lets in."""

    party: Literal["company", "agency"]
    reader: Any
    writer: Any

    @property
    def prefix(self) -> str:
        """Where its doors stand."""
        return f"/v1/{self.party}"

    async def row(self, db: AsyncSession, caller: Caller, kind: type[R], row_id: str) -> R:
        """A shared row by id; from here on the transaction works for its company."""
        return await shared_row(db, kind, row_id, agency_id=caller.agency_id)

    async def with_other(self, db: AsyncSession, caller: Caller, other_id: str) -> Agreement:
        """The agreement with the other side; from here on the transaction works for its company."""
        company_id, agency_id = caller.company_id or other_id, caller.agency_id or other_id
        return await pair_of(db, company_id=company_id, agency_id=agency_id, asked_by=self.party)

    def whose(self, caller: Caller) -> dict[str, str]:
        """The column and value that make a list the caller's own."""
        if self.party == "company":
            return {"company_id": caller.company_id or ""}
        return {"agency_id": caller.agency_id or ""}


SIDES = (
    Side("company", company("credits:read"), company("credits:write")),
    Side("agency", agency("credits:read"), agency("credits:write")),
)
