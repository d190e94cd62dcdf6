"""The agency's fee register (手数料管理簿): a line for every hire made with a credit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

FEE_KIND = "無償紹介枠"
_LINES = text("""
    SELECT r.id AS reservation_id, r.company_id, r.credit_id, r.hired_on, c.name AS company_name,
           a.number AS agreement_number, t.effective_on AS restored_on
      FROM reservation r
      JOIN credit k ON k.company_id = r.company_id AND k.id = r.credit_id
      JOIN agreement a ON a.company_id = k.company_id AND a.id = k.agreement_id
      JOIN company c ON c.id = r.company_id
      LEFT JOIN ledger_tx t ON t.company_id = r.company_id AND t.book_id = r.book_id
       AND t.business_key = 'restore:' || r.id
     WHERE r.agency_id = :agency AND r.state IN ('used', 'restored')
       AND r.hired_on BETWEEN :first AND :last
     ORDER BY r.hired_on, r.id
""")


@dataclass(frozen=True)
class FeeLine:
    """A fee of nothing, and why: what 職業安定法施行規則 24条の7 wants of every fee."""

    reservation_id: str
    company_id: str
    credit_id: str
    payer: str
    collected_on: date
    agreement_number: str
    restored_on: date | None
    fee_kind: str = FEE_KIND
    fee_jpy: int = 0

    @property
    def basis(self) -> str:
        """手数料の算出根拠."""
        return f"無償紹介枠適用（契約番号 {self.agreement_number}）"

    @property
    def remarks(self) -> str:
        """備考: the credit, and its return when the hire left inside the guarantee."""
        if self.restored_on is None:
            return self.credit_id
        return f"{self.credit_id} 復活 {self.restored_on.isoformat()}"


async def fee_register(
    session: AsyncSession, agency_id: str, first: date, last: date
) -> Sequence[FeeLine]:
    """Hires of these days made with a credit of this agency, in their order. As the agency."""
    values = {"agency": agency_id, "first": first, "last": last}
    return [
        FeeLine(
            reservation_id=row.reservation_id,
            company_id=row.company_id,
            credit_id=row.credit_id,
            payer=row.company_name,
            collected_on=row.hired_on,
            agreement_number=row.agreement_number,
            restored_on=row.restored_on,
        )
        for row in (await session.execute(_LINES, values)).all()
    ]
