"""Look whether every signed statement still says what was signed, of the chain that stands.

Both sides hold their copies, so a book that was rewritten behind a statement contradicts them.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.access import as_company
from domain.checkpoint import Verifier
from domain.flows.earn.close_month import DOCUMENT_TYPE
from domain.recount import Finding

_PAGE = 200
_STATEMENTS = text("""
    SELECT s.id, s.book_id, s.seq, s.document, s.sha256, s.signature,
           s.seq = 0 OR t.hash = s.head_hash AS stands,
           b.closed_through >= (s.month + interval '1 month - 1 day')::date AS closed
      FROM statement s
      LEFT JOIN book b ON b.company_id = s.company_id AND b.id = s.book_id
      LEFT JOIN ledger_tx t
        ON t.company_id = s.company_id AND t.book_id = s.book_id AND t.seq = s.seq
     WHERE s.company_id = :company AND s.id > :after ORDER BY s.id LIMIT :page
""")


async def verify_statements(
    session: AsyncSession, verifier: Verifier, company_id: str
) -> list[Finding]:
    """Check a company's statements; `seq` is the transaction each of them ends with."""
    await as_company(session, company_id)
    found: list[Finding] = []
    after = ""
    while True:
        named = {"company": company_id, "after": after, "page": _PAGE}
        rows = (await session.execute(_STATEMENTS, named)).all()
        found += [
            Finding(company_id, row.book_id, check, row.seq, row.id)
            for row in rows
            for check in _problems(row, verifier)
        ]
        if len(rows) < _PAGE:
            return found
        after = rows[-1].id


def _problems(row: Any, verifier: Verifier) -> Iterator[str]:
    content = bytes(row.document)
    signed = verifier.verifies_document(row.signature, content, kind=DOCUMENT_TYPE)
    if not signed or sha256(content).hexdigest() != row.sha256:
        yield "statement_signature"
    if not row.stands:
        yield "statement_head"
    if not row.closed:
        yield "month_reopened"
