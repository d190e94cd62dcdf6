"""Requests for feedback: what a person may ask and was told, and what waits for HR."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain import vault
from domain.candidate import Candidate
from domain.company import Company
from domain.ports import Sealer

_MINE = text("""
SELECT a.id AS application_id, a.job_title, f.id AS request_id, f.state, f.answer, f.asked_at,
       f.answered_at, f.candidate_id, a.company_id,
       a.outcome = 'rejected' AND a.holds = '[]'::jsonb AND bool_or(
         n.sent_at IS NOT NULL AND n.taken_back_at IS NULL AND n.feedback IS NULL) AS may_ask
FROM application a
LEFT JOIN notice n
  ON n.company_id = a.company_id AND n.application_id = a.id AND n.kind = 'rejected'
LEFT JOIN feedback_request f ON f.company_id = a.company_id AND f.application_id = a.id
WHERE a.company_id = :company AND a.candidate_id IN (
  SELECT id FROM candidate
  WHERE company_id = :company AND (id = :candidate OR merged_into_id = :candidate))
GROUP BY a.company_id, a.id, f.company_id, f.id
ORDER BY a.id DESC
""")
_QUEUE = text("""
SELECT f.id, f.application_id, f.candidate_id, f.state, f.draft, f.drafted_by, f.asked_at,
       a.job_title, a.stage
FROM feedback_request f
JOIN application a ON a.company_id = f.company_id AND a.id = f.application_id
WHERE f.company_id = :company AND f.state IN ('asked', 'to_approve')
ORDER BY f.id LIMIT :limit
""")
_PAGE = 50


@dataclass(frozen=True)
class Asked:
    """One application: whether feedback may be asked for, and what became of a request.

    `state`: whether a second person looks at the answer first is no matter of theirs.
    `answer` is opened; empty where there is none (`standard` says its words on the page).
    """

    application_id: str
    job_title: str
    may_ask: bool
    state: str | None
    asked_at: datetime | None
    answered_at: datetime | None
    answer: str


async def feedback_of_person(
    session: AsyncSession, sealer: Sealer, company: Company, candidate: Candidate
) -> list[Asked]:
    """Every application with a request, or one for which a request may be made; newest first.

    It may be made once, where the company allows it, after the no was told without feedback, and
    while nothing forbids contact.
    """
    values = {"company": company.id, "candidate": candidate.id}
    found = (await session.execute(_MINE, values)).mappings().all()
    allowed = company.feedback_requests and candidate.restricted_from != "all"
    shown = []
    for row in found:
        asks = bool(allowed and row["may_ask"]) and row["state"] is None
        if row["state"] in {None, "void"} and not asks:
            continue
        shown.append(
            Asked(
                row["application_id"], row["job_title"], asks,
                "asked" if row["state"] == "to_approve" else row["state"], row["asked_at"],
                row["answered_at"], await _answer(session, sealer, row),
            )
        )  # fmt: skip
    return shown


async def queue(session: AsyncSession, company_id: str) -> Sequence[Row[Any]]:
    """The oldest requests that wait: for an answer, or for a second person. Drafts are sealed."""
    return (await session.execute(_QUEUE, {"company": company_id, "limit": _PAGE})).all()


async def drafts(
    session: AsyncSession, sealer: Sealer, company_id: str, rows: Sequence[Row[Any]]
) -> dict[str, str]:
    """The drafts of these requests by id, opened."""
    sealed = [
        (row.candidate_id, row.draft, f"feedback_request:{row.id}:draft")
        for row in rows
        if row.draft
    ]
    opened = await vault.open_each(session, sealer, company_id, sealed)
    ids = [row.id for row in rows if row.draft]
    return {one: said or "" for one, said in zip(ids, opened, strict=True)}


async def _answer(session: AsyncSession, sealer: Sealer, row: Any) -> str:
    if row["answer"] is None:
        return ""
    whose = await session.get_one(Candidate, (row["company_id"], row["candidate_id"]))
    about = f"feedback_request:{row['request_id']}:answer"
    said: str = await vault.unseal(session, sealer, whose, "profile", row["answer"], about=about)
    return said
